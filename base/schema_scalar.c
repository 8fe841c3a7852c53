/* Numbers and strings. */
#include "base/json_string.h"
#include "base/schema_run.h"
#include "base/utf8.h"

/* --- numbers --- */

static int compare(struct bytes raw, const struct bound *bound)
{
    int64_t whole = 0;
    if (bound->small && json_to_int(raw, &whole))
        return (whole > bound->whole) - (whole < bound->whole);
    struct decimal number = decimal_read(raw);
    return decimal_compare(&number, &bound->exact);
}

static bool holds(enum bound_kind kind, int order)
{
    switch (kind) {
    case BOUND_MINIMUM:
        return order >= 0;
    case BOUND_MAXIMUM:
        return order <= 0;
    case BOUND_ABOVE:
        return order > 0;
    case BOUND_BELOW:
    case BOUND_KINDS:
        break;
    }
    return order < 0;
}

static bool bound_fault(struct run *run, const struct bound *bound, enum bound_kind kind,
                        const struct place *place, const char *found)
{
    static const char *const keywords[] = {"minimum", "maximum", "exclusiveMinimum",
                                           "exclusiveMaximum"};
    static const char *const expected[] = {"at least", "at most", "more than", "less than"};
    return RUN_FAULT(run, place, keywords[kind], "expected %s %.*s, found %s", expected[kind],
                     (int)bound->raw.len, bound->raw.data, found);
}

static bool check_bound(struct run *run, const struct bound *bound, enum bound_kind kind,
                        const struct place *place, struct bytes raw)
{
    char found[SCHEMA_SHOWN_BYTES];
    if (holds(kind, compare(raw, bound)))
        return true;
    return bound_fault(run, bound, kind, place,
                       schema_describe((struct json_value){JSON_TYPE_NUMBER, raw}, found));
}

static bool multiple_fault(struct run *run, const struct number_rules *rules,
                           const struct place *place, const char *found)
{
    return RUN_FAULT(run, place, "multipleOf", "expected a multiple of %.*s, found %s",
                     (int)rules->multiple_raw.len, rules->multiple_raw.data, found);
}

bool schema_check_number(struct run *run, const struct number_rules *rules,
                         const struct place *place, struct bytes raw)
{
    bool good = true;
    for (enum bound_kind kind = 0; kind < BOUND_KINDS; kind++) {
        if (rules->bounds[kind].raw.len)
            good &= check_bound(run, &rules->bounds[kind], kind, place, raw);
    }
    if (rules->multiple_raw.len == 0)
        return good;
    struct decimal number = decimal_read(raw);
    char found[SCHEMA_SHOWN_BYTES];
    if (decimal_is_multiple(&number, &rules->multiple))
        return good;
    return multiple_fault(run, rules, place,
                          schema_describe((struct json_value){JSON_TYPE_NUMBER, raw}, found));
}

bool schema_check_unbounded(struct run *run, const struct number_rules *rules,
                            const struct place *place, const char *name, int order)
{
    bool good = true;
    for (enum bound_kind kind = 0; kind < BOUND_KINDS; kind++) {
        const struct bound *bound = &rules->bounds[kind];
        if (bound->raw.len && (order == 0 || !holds(kind, order)))
            good = bound_fault(run, bound, kind, place, name);
    }
    return rules->multiple_raw.len ? multiple_fault(run, rules, place, name) : good;
}

/* --- strings --- */

static size_t count_characters(struct bytes inside)
{
    size_t count = 0;
    while (inside.len > 0) {
        const char *end = inside.data + inside.len;
        size_t plain = (size_t)(json_plain_end(inside.data, end) - inside.data);
        count += plain;
        inside = bytes_skip(inside, plain);
        if (inside.len > 0) {
            (void)json_take_character(&inside);
            count++;
        }
    }
    return count;
}

static bool check_count(struct run *run, struct span span, const struct place *place, size_t count,
                        const char *unit)
{
    if (count < span.least)
        return RUN_FAULT(run, place, "minLength", "expected at least %zu %s, found %zu", span.least,
                         unit, count);
    if (count > span.most)
        return RUN_FAULT(run, place, "maxLength", "expected at most %zu %s, found %zu", span.most,
                         unit, count);
    return true;
}

static bool check_length(struct run *run, struct span span, const struct place *place,
                         struct bytes inside)
{
    size_t count = inside.len; /* no character takes less than a byte, nor more than twelve */
    if (count / 12 >= span.least && count <= span.most)
        return true;
    return check_count(run, span, place, count_characters(inside), "characters");
}

static size_t count_decoded(struct bytes base64)
{
    size_t characters = 0, padding = 0;
    for (; base64.len > 0; characters++)
        padding += json_take_character(&base64) == '=';
    size_t most = characters / 4 * 3;
    return most > padding ? most - padding : 0;
}

bool schema_check_base64(struct run *run, const struct string_rules *rules,
                         const struct place *place, struct bytes inside)
{
    (void)run_spend(run, inside.len / 4);
    if (!check_count(run, rules->length, place, count_decoded(inside), "bytes"))
        return false;
    return !rules->pattern || RUN_FAULT(run, place, "pattern", "bytes match no pattern");
}

static bool check_pattern(struct run *run, const struct pattern *pattern, const struct place *place,
                          struct bytes inside)
{
    char found[SCHEMA_SHOWN_BYTES];
    struct bytes source = schema_shown(pattern->source);
    struct json_value value = {JSON_TYPE_STRING, bytes_from(inside.data - 1, inside.len + 2)};
    (void)run_spend(run, inside.len / 4 + 16);
    switch (schema_pattern_match(run->schema, pattern, inside, &run->matcher)) {
    case PATTERN_MATCHES:
        return true;
    case PATTERN_DIFFERS:
        return RUN_FAULT(run, place, "pattern", "expected a match of %.*s, found %s",
                         (int)source.len, source.data, schema_describe(value, found));
    case PATTERN_TOO_COSTLY:
        break;
    }
    run->work = 0;
    return schema_fault_add(run->faults, place, "pattern",
                            "matching this string with the pattern %.*s takes too long",
                            (int)source.len, source.data);
}

bool schema_check_string(struct run *run, const struct string_rules *rules,
                         const struct place *place, struct bytes inside)
{
    if (!check_length(run, rules->length, place, inside))
        return false;
    return !rules->pattern || check_pattern(run, rules->pattern, place, inside);
}
