/* Holding a value against a node. Faults are told as they are found, but while an alternative is
 * tried (anyOf, oneOf, not), where the first one ends the trial. */
#include "base/schema_check.h"

#include "base/json_equal.h"

/* What the text of a value may cost: work, and the time of patterns. */
enum { WORK_LEAST = 1000000, WORK_A_BYTE = 4, MATCHES_LEAST_US = 50000, BYTES_A_US = 64 };

/* --- any type --- */

static bool is_whole(struct bytes raw)
{
    size_t at = raw.data[0] == '-';
    while (at < raw.len && raw.data[at] >= '0' && raw.data[at] <= '9')
        at++;
    if (at == raw.len)
        return true;
    struct decimal number = decimal_read(raw);
    return decimal_is_whole(&number);
}

static bool admits(unsigned types, struct json_value value)
{
    if (types & 1u << value.type)
        return true;
    return value.type == JSON_TYPE_NUMBER && (types & TYPE_INTEGER_BIT) && is_whole(value.raw);
}

static bool type_fault(struct run *run, unsigned types, const struct place *place, const char *at)
{
    char expected[SCHEMA_SHOWN_BYTES], found[SCHEMA_SHOWN_BYTES];
    struct tag tag;
    if (run->quiet)
        return false;
    if (schema_tag_read(run, place, at, &tag))
        return RUN_FAULT(run, place, "type", "expected %s, found a tagged %s",
                         schema_describe_types(types, expected), tag.name);
    return RUN_FAULT(run, place, "type", "expected %s, found %s",
                     schema_describe_types(types, expected),
                     schema_describe(run_value(run, at), found));
}

static bool check_choices(struct run *run, const struct node *node, const struct place *place,
                          struct json_value value)
{
    char expected[SCHEMA_DETAIL_BYTES], found[SCHEMA_SHOWN_BYTES];
    struct value_list constant = {.count = 1, .values = node->constant};
    const struct value_list *list = node->choices;
    if (list && !schema_choices_have(run, list, value))
        return !run_stops(run) &&
               RUN_FAULT(run, place, "enum", "expected one of %s, found %s",
                         schema_describe_choices(list, expected), schema_describe(value, found));
    if (!node->constant || json_equal(*node->constant, value, &run->work))
        return true;
    return !run_stops(run) &&
           RUN_FAULT(run, place, "const", "expected %s, found %s",
                     schema_describe_choices(&constant, expected), schema_describe(value, found));
}

/* --- the node's own rules --- */

/* Writes the end of the value if that has come out; NULL otherwise. */
static bool check_container(struct run *run, const struct node *node, const struct place *place,
                            const char *at, const char **out_end)
{
    if (*at == '{' && node->objects)
        return schema_check_object(run, node->objects, place, at, out_end);
    if (*at == '[' && node->arrays)
        return schema_check_array(run, node->arrays, place, at, out_end);
    return true;
}

static bool check_scalar(struct run *run, const struct node *node, const struct place *place,
                         struct json_value value)
{
    if (!admits(node->types, value))
        return type_fault(run, node->types, place, value.raw.data);
    if (value.type == JSON_TYPE_NUMBER && node->numbers)
        return schema_check_number(run, node->numbers, place, value.raw);
    if (value.type == JSON_TYPE_STRING && node->strings)
        return schema_check_string(run, node->strings, place,
                                   bytes_from(value.raw.data + 1, value.raw.len - 2));
    return true;
}

static bool check_own(struct run *run, const struct node *node, const struct place *place,
                      const char *at, const char **out_end)
{
    enum json_type type = json_type_of(*at);
    struct tag tag;
    if (schema_tag_read(run, place, at, &tag))
        return schema_check_tag(run, node, place, &tag);
    if (type == JSON_TYPE_OBJECT || type == JSON_TYPE_ARRAY) {
        if (!(node->types & 1u << type))
            return type_fault(run, node->types, place, at);
        return check_container(run, node, place, at, out_end);
    }
    struct json_value value = run_value(run, at);
    *out_end = at + value.raw.len;
    return check_scalar(run, node, place, value);
}

/* --- subschemas for the same value --- */

/* Recursion is at most as deep as the value (128 levels) times SCHEMA_MAX_CHAIN. */
/* NOLINTBEGIN(misc-no-recursion) */

static bool try(struct run *run, const struct node *node, const struct place *place, const char *at,
                const char **out_end)
{
    const char *end;
    run->quiet++;
    bool good = schema_check_node(run, node, place, at, &end);
    run->quiet--;
    if (good)
        *out_end = end;
    return good;
}

/* None of the alternatives fits: tells it as well as it can be told. The wrong type is that; where
 * only one of them is for this type, its own faults say more. */
static bool tell_alternatives(struct run *run, const struct node_list *list, const char *keyword,
                              const struct place *place, const char *at)
{
    struct json_value value = run_value(run, at);
    const struct node *fitting = NULL;
    unsigned types = 0, count = 0;
    char found[SCHEMA_SHOWN_BYTES];
    const char *end;
    struct tag tag;
    bool tagged = schema_tag_read(run, place, at, &tag);
    for (size_t i = 0; i < list->count; i++) {
        types |= list->nodes[i]->takes;
        if (tagged ? list->nodes[i]->takes & tag.types : admits(list->nodes[i]->takes, value)) {
            fitting = list->nodes[i];
            count++;
        }
    }
    if (count == 0 && types)
        return type_fault(run, types, place, at);
    if (count == 1)
        return schema_check_node(run, fitting, place, at, &end);
    return RUN_FAULT(run, place, keyword, "%s fits none of the %zu alternatives",
                     schema_describe(value, found), list->count);
}

static bool check_alternatives(struct run *run, const struct node_list *list, bool only_one,
                               const struct place *place, const char *at, const char **out_end)
{
    size_t fitting = 0;
    for (size_t i = 0; i < list->count && run->work > 0; i++) {
        fitting += try(run, list->nodes[i], place, at, out_end);
        if (fitting && !only_one)
            return true;
    }
    if (fitting == 1 || run->work == 0)
        return fitting == 1 && run->work > 0;
    if (run->quiet)
        return false;
    if (fitting == 0)
        return tell_alternatives(run, list, only_one ? "oneOf" : "anyOf", place, at);
    return RUN_FAULT(run, place, "oneOf", "expected to fit one of %zu alternatives, fits %zu",
                     list->count, fitting);
}

static bool check_all(struct run *run, const struct node *node, const struct place *place,
                      const char *at, const char **out_end)
{
    bool good = true;
    if (node->reference)
        good = schema_check_node(run, node->reference, place, at, out_end);
    for (size_t i = 0; i < node->all.count && (good || !run_stops(run)); i++)
        good &= schema_check_node(run, node->all.nodes[i], place, at, out_end);
    return good;
}

static bool check_combined(struct run *run, const struct node *node, const struct place *place,
                           const char *at, const char **out_end)
{
    bool partial = run->schema->partial;
    const char *end;
    bool good = check_all(run, node, place, at, out_end);
    if (node->any.count && (good || !run_stops(run)))
        good &= check_alternatives(run, &node->any, false, place, at, out_end);
    if (node->one.count && (good || !run_stops(run)))
        good &= check_alternatives(run, &node->one, !partial, place, at, out_end);
    if (node->no && !partial && (good || !run_stops(run))) {
        bool fits = try(run, node->no, place, at, &end);
        good = good && !fits && run->work > 0;
        if (fits)
            (void)RUN_FAULT(run, place, "not", "a value that is excluded");
    }
    return good;
}

/* What the value from `at` to `end` is to an enum. */
static struct json_value value_between(struct run *run, const struct place *place, const char *at,
                                       const char *end)
{
    struct json_value value = {json_type_of(*at), bytes_from(at, (size_t)(end - at))};
    struct tag tag;
    return schema_tag_read(run, place, at, &tag) ? schema_tag_value(&tag, value) : value;
}

bool schema_check_node(struct run *run, const struct node *node, const struct place *place,
                       const char *at, const char **out_end)
{
    const char *end = NULL;
    if (!run_spend(run, 1))
        return false;
    bool good = !node->never || RUN_FAULT(run, place, "false", "no value is allowed here");
    if (good)
        good = check_own(run, node, place, at, &end);
    if (good || !run_stops(run))
        good &= check_combined(run, node, place, at, &end);
    if (!good && run_stops(run))
        return false;
    if (!end)
        end = at + run_value(run, at).raw.len;
    if (node->choices || node->constant)
        good &= check_choices(run, node, place, value_between(run, place, at, end));
    *out_end = end;
    return good;
}

/* NOLINTEND(misc-no-recursion) */

bool schema_check(const struct schema *schema, struct bytes value, struct schema_faults *out_faults)
{
    struct run run = {.schema = schema,
                      .end = value.data + value.len,
                      .tagged = memmem(value.data, value.len, "\"__type__\"", 10),
                      .work = WORK_LEAST + WORK_A_BYTE * (uint64_t)value.len,
                      .matcher.allowed_us = MATCHES_LEAST_US + value.len / BYTES_A_US,
                      .faults = out_faults};
    const char *end;
    out_faults->count = 0;
    out_faults->more = false;
    bool good = schema_check_node(&run, schema->root, NULL, value.data, &end) && run.work > 0;
    if (run.work == 0 && out_faults->count == 0)
        (void)schema_fault_add(out_faults, NULL, "schema", "takes too long to be checked");
    pcre2_match_data_free(run.matcher.data);
    return good;
}
