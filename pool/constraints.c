#include "pool/constraints.h"

#include "base/buffer.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/json_equal.h"
#include "base/schema.h"

enum { CONSTRAINTS_MAX_DEPTH = 8, NAME_SHOWN = 32 };

#define BIT(type) (1u << VARIABLE_##type)
#define NUMBERS (BIT(FLOAT) | BIT(INTEGER))
#define TEXTS (BIT(STRING) | BIT(MODULE))
#define LISTS (BIT(LIST) | BIT(EMBEDDING))

/* What a constraint's value has to be. */
enum form { NUMBER, LENGTH, DIMENSION, SHAPE, PATTERN, CHOICE_LIST, WORD_LIST };

/* Which ends of what a value may be it is. */
enum { LEAST = 1, MOST = 2, BOTH = LEAST | MOST };

/* Each is one or two keywords of a JSON Schema. Some have a name of Snakepit's beside ours. */
static const struct rule {
    const char *name;
    unsigned types;
    enum form form;
    int ends;
    const char *first, *second; /* keywords, with all that stands before the value */
    const char *end;            /* what stands behind it */
} rules[] = {
    {"min", NUMBERS, NUMBER, LEAST, "\"minimum\":", NULL, ""},
    {"max", NUMBERS, NUMBER, MOST, "\"maximum\":", NULL, ""},
    {"min_length", TEXTS, LENGTH, LEAST, "\"minLength\":", NULL, ""},
    {"max_length", TEXTS, LENGTH, MOST, "\"maxLength\":", NULL, ""},
    {"min_length", LISTS, LENGTH, LEAST, "\"minItems\":", NULL, ""},
    {"max_length", LISTS, LENGTH, MOST, "\"maxItems\":", NULL, ""},
    {"min_length", BIT(MAP), LENGTH, LEAST, "\"minProperties\":", NULL, ""},
    {"max_length", BIT(MAP), LENGTH, MOST, "\"maxProperties\":", NULL, ""},
    {"pattern", TEXTS, PATTERN, 0, "\"pattern\":", NULL, ""},
    {"dimension", BIT(EMBEDDING), DIMENSION, BOTH, "\"minItems\":", ",\"maxItems\":", ""},
    {"dimensions", BIT(EMBEDDING), DIMENSION, BOTH, "\"minItems\":", ",\"maxItems\":", ""},
    {"shape", BIT(TENSOR), SHAPE, 0, "\"properties\":{\"shape\":{\"const\":", NULL, "}}"},
    {"choices", BIT(CHOICE), CHOICE_LIST, 0, "\"enum\":", NULL, ""},
    {"enum", BIT(CHOICE), CHOICE_LIST, 0, "\"enum\":", NULL, ""},
    {"choices", TEXTS, WORD_LIST, 0, "\"enum\":", NULL, ""},
    {"enum", TEXTS, WORD_LIST, 0, "\"enum\":", NULL, ""},
    {"allowed_modules", BIT(MODULE), WORD_LIST, 0, "\"enum\":", NULL, ""},
};

static const struct rule *find_rule(struct bytes name, enum variable_type type)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].types >> type & 1 && json_equal_text(name, bytes_of(rules[i].name)))
            return &rules[i];
    }
    return NULL;
}

/* --- what each of them has to be --- */

static bool is_length(struct json_value value)
{
    if (value.type != JSON_TYPE_NUMBER)
        return false;
    struct decimal number = decimal_read(value.raw);
    return decimal_is_whole(&number) && (!number.negative || number.count == 0);
}

static bool is_dimension(struct json_value value)
{
    return is_length(value) && decimal_read(value.raw).count > 0;
}

static bool is_number(struct json_value value)
{
    return value.type == JSON_TYPE_NUMBER;
}

static bool is_string(struct json_value value)
{
    return value.type == JSON_TYPE_STRING;
}

static bool is_anything(struct json_value value)
{
    (void)value;
    return true;
}

static const struct {
    const char *wanted;
    bool is_list; /* of those */
    bool may_be_empty;
    bool (*fits)(struct json_value value);
} forms[] = {
    [NUMBER] = {"a number", .fits = is_number},
    [LENGTH] = {"a whole number from 0 on", .fits = is_length},
    [DIMENSION] = {"a whole number from 1 on", .fits = is_dimension},
    [SHAPE] = {"a list of lengths", .is_list = true, .may_be_empty = true, .fits = is_length},
    [PATTERN] = {"a regular expression", .fits = is_string},
    [CHOICE_LIST] = {"a list that is not empty", .is_list = true, .fits = is_anything},
    [WORD_LIST] = {"a list of strings that is not empty", .is_list = true, .fits = is_string},
};

static bool has_form(enum form form, struct json_value value)
{
    struct json_cursor cursor = {0};
    struct json_value item;
    if (!forms[form].is_list)
        return forms[form].fits(value);
    bool good = value.type == JSON_TYPE_ARRAY;
    size_t count = 0;
    for (; good && json_next(value.raw, &cursor, NULL, &item); count++)
        good = forms[form].fits(item);
    return good && (count > 0 || forms[form].may_be_empty);
}

/* --- all of them together --- */

/* From where to where the values may go, or their lengths. */
struct range {
    bool has_least, has_most;
    struct decimal least, most;
};

static bool narrow(struct range *range, int ends, struct bytes raw)
{
    struct decimal end = decimal_read(raw);
    if (ends & LEAST && (!range->has_least || decimal_compare(&end, &range->least) > 0)) {
        range->has_least = true;
        range->least = end;
    }
    if (ends & MOST && (!range->has_most || decimal_compare(&end, &range->most) < 0)) {
        range->has_most = true;
        range->most = end;
    }
    return !range->has_least || !range->has_most ||
           decimal_compare(&range->least, &range->most) <= 0;
}

static bool blame(struct variable_fault *fault, struct bytes name, const char *verb,
                  const char *what)
{
    int shown = name.len > NAME_SHOWN ? NAME_SHOWN : (int)name.len;
    variable_fault(fault, "constraints", "the constraint \"%.*s\" %s %s", shown, name.data, verb,
                   what);
    fault->constraint = name;
    return false;
}

static bool check_rule(const struct rule *rule, struct bytes name, struct json_value value,
                       struct range *range, struct variable_fault *fault)
{
    if (!rule)
        return blame(fault, name, "is", "none that a variable of this type can have");
    if (!has_form(rule->form, value))
        return blame(fault, name, "must be", forms[rule->form].wanted);
    return !rule->ends || narrow(range, rule->ends, value.raw) ||
           blame(fault, name, "leaves", "no value that meets the others too");
}

static void add_rule(struct buffer *schema, const struct rule *rule, struct bytes value)
{
    buffer_add_string(schema, schema->len ? ",{" : "{\"allOf\":[{");
    buffer_add_string(schema, rule->first);
    buffer_add(schema, value);
    if (rule->second) {
        buffer_add_string(schema, rule->second);
        buffer_add(schema, value);
    }
    buffer_add_string(schema, rule->end);
    buffer_add_string(schema, "}");
}

/* Writes the schema, which all constraints are a part of; nothing when there are none. */
static bool translate(struct bytes constraints, enum variable_type type, struct buffer *schema,
                      struct variable_fault *fault)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value value;
    struct range range = {0};
    while (json_next(constraints, &cursor, &name, &value)) {
        const struct rule *rule = find_rule(name, type);
        if (!check_rule(rule, name, value, &range, fault))
            return false;
        add_rule(schema, rule, value.raw);
    }
    if (schema->len)
        buffer_add_string(schema, "]}");
    return true;
}

static bool has(struct bytes constraints, const char *wanted)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value value;
    while (json_next(constraints, &cursor, &name, &value)) {
        if (json_equal_text(name, bytes_of(wanted)))
            return true;
    }
    return false;
}

static bool check_special(struct bytes constraints, enum special special,
                          struct variable_fault *fault)
{
    if (special != SPECIAL_BELOW && has(constraints, "max"))
        return variable_fault(fault, "value", "is not at most the constraint max");
    if (special != SPECIAL_ABOVE && has(constraints, "min"))
        return variable_fault(fault, "value", "is not at least the constraint min");
    return true;
}

/* What is wrong with constraints that have the forms they must have: a pattern, or their size. */
static void blame_schema(const struct schema_faults *faults, struct variable_fault *fault)
{
    const struct schema_fault *first = &faults->list[0];
    if (strcmp(first->keyword, "pattern") == 0)
        blame(fault, BYTES("pattern"), "is", first->detail);
    else
        variable_fault(fault, "constraints", "cannot be used: %s", first->detail);
}

/* `schema` is compiled for every write: kept, it would take more memory than the variable. */
static bool check(struct bytes schema, struct bytes constraints, struct bytes value,
                  enum special special, struct variable_fault *fault)
{
    struct schema_faults faults;
    struct schema *compiled = schema_compile(schema, &faults);
    bool good = compiled && faults.count == 0;
    if (!good)
        blame_schema(&faults, fault);
    else if (special)
        good = check_special(constraints, special, fault);
    else if (!schema_check(compiled, value, &faults))
        good = variable_fault(fault, "value", "does not meet its constraints: %s",
                              faults.list[0].detail);
    schema_free(&compiled);
    return good;
}

bool constraints_check(struct bytes *constraints, enum variable_type type, struct bytes value,
                       enum special special, struct variable_fault *out_fault)
{
    struct json_value whole = {JSON_TYPE_OBJECT, BYTES("{}")};
    struct buffer schema = {0};
    if (constraints->len && (!json_check(*constraints, CONSTRAINTS_MAX_DEPTH, &whole, NULL) ||
                             whole.type != JSON_TYPE_OBJECT))
        return variable_fault(out_fault, "constraints", "must be an object");
    bool good = translate(whole.raw, type, &schema, out_fault);
    *constraints = schema.len ? whole.raw : (struct bytes){0};
    if (good && type == VARIABLE_CHOICE && !has(whole.raw, "choices") && !has(whole.raw, "enum"))
        good = variable_fault(out_fault, "constraints", "must have the choices of a choice");
    if (good && schema.len)
        good = check(buffer_bytes(&schema), *constraints, value, special, out_fault);
    buffer_deinit(&schema);
    return good;
}
