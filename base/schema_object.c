/* Objects, and dicts that are tagged because they have keys that JSON's do not. */
#include "base/schema_check.h"

/* One object while its members are walked. */
struct walk {
    const struct object_rules *rules;
    const struct place *place;
    uint64_t seen[SCHEMA_MAX_REQUIRED / 64]; /* bits of the required names; by number */
    unsigned seen_count;
    size_t hint;
    size_t count; /* of members */
};

static void note_required(struct walk *walk, const struct property *property)
{
    uint64_t bit = UINT64_C(1) << (property->required % 64);
    uint64_t *word = &walk->seen[property->required / 64];
    walk->seen_count += !(*word & bit);
    *word |= bit;
}

/* Runs one schema over the member's value. */
static bool apply(struct run *run, const struct node *node, const struct place *place,
                  const char *at, const char **out_end)
{
    return node->anything || schema_check_node(run, node, place, at, out_end);
}

static bool apply_patterns(struct run *run, const struct object_rules *rules, struct bytes name,
                           const struct place *place, const char *at, const char **out_end,
                           bool *out_found)
{
    bool good = true;
    for (size_t i = 0; i < rules->pattern_count && (good || !run_stops(run)); i++) {
        enum pattern_verdict verdict =
            schema_pattern_match(run->schema, rules->patterns[i].pattern, name, &run->matcher);
        (void)run_spend(run, name.len / 4 + 16);
        if (verdict == PATTERN_TOO_COSTLY) {
            run->work = 0;
            return schema_fault_add(run->faults, place, "patternProperties",
                                    "matching names with patterns takes too long");
        }
        if (verdict == PATTERN_DIFFERS)
            continue;
        *out_found = true;
        good &= apply(run, rules->patterns[i].node, place, at, out_end);
    }
    return good;
}

static bool apply_additional(struct run *run, const struct object_rules *rules,
                             const struct place *place, const char *at, const char **out_end)
{
    if (!rules->additional)
        return true;
    if (!rules->additional->never)
        return apply(run, rules->additional, place, at, out_end);
    return RUN_FAULT(run, place, "additionalProperties", "there is no member of that name");
}

/* `name` is where the name begins, with its quote, or a key that is none. */
static bool check_name(struct run *run, const struct object_rules *rules, const struct place *place,
                       const char *name)
{
    const char *end;
    if (!rules->names)
        return true;
    run->quiet++;
    bool good = schema_check_node(run, rules->names, place, name, &end);
    run->quiet--;
    return good || RUN_FAULT(run, place, "propertyNames", "a name that is not allowed");
}

static bool check_member(struct run *run, struct walk *walk, struct bytes name,
                         const struct place *place, const char *at, const char **out_end)
{
    const struct object_rules *rules = walk->rules;
    const struct property *property = schema_property_find(rules, name, &walk->hint);
    bool known = property && property->declared;
    const char *end = NULL;
    bool good = check_name(run, rules, place, name.data - 1);
    if (property && property->required >= 0)
        note_required(walk, property);
    if (known)
        good &= apply(run, property->node, place, at, &end);
    if (rules->pattern_count && (good || !run_stops(run)))
        good &= apply_patterns(run, rules, name, place, at, &end, &known);
    if (!known && (good || !run_stops(run)))
        good &= apply_additional(run, rules, place, at, &end);
    *out_end = end || run->work == 0 ? end : at + run_value(run, at).raw.len;
    return good;
}

static bool report_missing(struct run *run, const struct walk *walk)
{
    for (size_t i = 0; i < walk->rules->count; i++) {
        const struct property *property = &walk->rules->properties[i];
        int bit = property->required;
        struct place missing = {.up = walk->place, .name = property->written};
        if (bit >= 0 && !(walk->seen[bit / 64] >> (bit % 64) & 1))
            (void)schema_fault_add(run->faults, &missing, "required", "is missing");
    }
    return false;
}

static bool check_whole(struct run *run, const struct walk *walk)
{
    struct span span = walk->rules->size;
    bool good = true;
    if (walk->seen_count < walk->rules->required_count)
        good = !run->quiet && report_missing(run, walk);
    if (walk->count < span.least)
        good = RUN_FAULT(run, walk->place, "minProperties",
                         "expected at least %zu members, found %zu", span.least, walk->count);
    if (walk->count > span.most)
        good = RUN_FAULT(run, walk->place, "maxProperties",
                         "expected at most %zu members, found %zu", span.most, walk->count);
    return good;
}

bool schema_check_object(struct run *run, const struct object_rules *rules,
                         const struct place *place, const char *at, const char **out_end)
{
    struct walk walk = {.rules = rules, .place = place};
    struct place inner = {.up = place};
    bool good = true;
    at = json_skip_space(at + 1, run->end);
    while (at < run->end && *at != '}') {
        struct bytes name = json_value_at(at, run->end).raw;
        inner.name = bytes_from(name.data + 1, name.len - 2);
        at = json_skip_space(name.data + name.len, run->end); /* the colon */
        at = json_skip_space(at + 1, run->end);
        good &= check_member(run, &walk, inner.name, &inner, at, &at);
        if (!run_spend(run, 1 + name.len / 32) || (!good && run_stops(run)))
            return false;
        walk.count++;
        at = json_skip_space(at, run->end);
        if (at < run->end && *at == ',')
            at = json_skip_space(at + 1, run->end);
    }
    *out_end = at + 1;
    return check_whole(run, &walk) && good;
}

/* Of a tagged dict one pair: its key is the name, unless JSON's names cannot be that. */
static bool check_pair(struct run *run, struct walk *walk, const struct place *place,
                       struct json_value key, const char *at)
{
    struct place of_key = {.up = place}, of_value = {.up = place, .index = 1};
    const char *end;
    struct tag tag;
    if (schema_tag_read(run, &of_key, key.raw.data, &tag))
        key = schema_tag_value(&tag, key);
    if (key.type == JSON_TYPE_STRING)
        return check_member(run, walk, bytes_from(key.raw.data + 1, key.raw.len - 2), &of_value, at,
                            &end);
    bool good = check_name(run, walk->rules, &of_key, key.raw.data);
    return apply_additional(run, walk->rules, &of_value, at, &end) && good;
}

static bool read_pair(struct json_value pair, struct json_value *out_key,
                      struct json_value *out_value)
{
    struct json_cursor cursor = {0};
    struct json_value more;
    return pair.type == JSON_TYPE_ARRAY && json_next(pair.raw, &cursor, NULL, out_key) &&
           json_next(pair.raw, &cursor, NULL, out_value) &&
           !json_next(pair.raw, &cursor, NULL, &more);
}

bool schema_check_pairs(struct run *run, const struct object_rules *rules,
                        const struct place *place, struct bytes pairs)
{
    struct walk walk = {.rules = rules, .place = place->up};
    struct place inner = {.up = place};
    struct json_cursor cursor = {0};
    struct json_value pair, key, value;
    bool good = true;
    for (; json_next(pairs, &cursor, NULL, &pair); inner.index++, walk.count++) {
        if (read_pair(pair, &key, &value))
            good &= check_pair(run, &walk, &inner, key, value.raw.data);
        else
            good = RUN_FAULT(run, &inner, "type", "expected a key and a value");
        if (!run_spend(run, 1 + pair.raw.len / 32) || (!good && run_stops(run)))
            return false;
    }
    return check_whole(run, &walk) && good;
}
