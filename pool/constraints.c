#include "pool/constraints.h"

#include "base/buffer.h"
#include "base/json.h"
#include "base/json_equal.h"
#include "base/schema.h"

enum { CONSTRAINTS_MAX_DEPTH = 8 };

#define BIT(type) (1u << VARIABLE_##type)
#define NUMBERS (BIT(FLOAT) | BIT(INTEGER))
#define TEXTS (BIT(STRING) | BIT(MODULE))
#define LISTS (BIT(LIST) | BIT(EMBEDDING))

#define CHOICES (TEXTS | BIT(CHOICE))

/* Each is one or two keywords of a JSON Schema. Some have a name of Snakepit's beside ours. */
static const struct rule {
    const char *name;
    unsigned types;
    const char *first, *second; /* keywords, with all that stands before the value */
    const char *end;            /* what stands behind it */
} rules[] = {
    {"min", NUMBERS, "\"minimum\":", NULL, ""},
    {"max", NUMBERS, "\"maximum\":", NULL, ""},
    {"min_length", TEXTS, "\"minLength\":", NULL, ""},
    {"max_length", TEXTS, "\"maxLength\":", NULL, ""},
    {"min_length", LISTS, "\"minItems\":", NULL, ""},
    {"max_length", LISTS, "\"maxItems\":", NULL, ""},
    {"min_length", BIT(MAP), "\"minProperties\":", NULL, ""},
    {"max_length", BIT(MAP), "\"maxProperties\":", NULL, ""},
    {"pattern", TEXTS, "\"pattern\":", NULL, ""},
    {"dimension", BIT(EMBEDDING), "\"minItems\":", ",\"maxItems\":", ""},
    {"dimensions", BIT(EMBEDDING), "\"minItems\":", ",\"maxItems\":", ""},
    {"shape", BIT(TENSOR), "\"properties\":{\"shape\":{\"const\":", NULL, "}}"},
    {"choices", CHOICES, "\"enum\":", NULL, ""},
    {"enum", CHOICES, "\"enum\":", NULL, ""},
    {"allowed_modules", BIT(MODULE), "\"enum\":", NULL, ""},
};

static const struct rule *find_rule(struct bytes name, enum variable_type type)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].types >> type & 1 && json_equal_text(name, bytes_of(rules[i].name)))
            return &rules[i];
    }
    return NULL;
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
    while (json_next(constraints, &cursor, &name, &value)) {
        const struct rule *rule = find_rule(name, type);
        if (!rule)
            return variable_fault(fault, "constraints",
                                  "have \"%.*s\", which a variable of type "
                                  "%s cannot have",
                                  name.len > 32 ? 32 : (int)name.len, name.data,
                                  variable_type_name(type));
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

/* `schema` is compiled for every write: kept, it would take more memory than the variable. */
static bool check(struct bytes schema, struct bytes constraints, struct bytes value,
                  enum special special, struct variable_fault *fault)
{
    struct schema_faults faults;
    struct schema *compiled = schema_compile(schema, &faults);
    bool good = compiled && faults.count == 0;
    if (!good)
        variable_fault(fault, "constraints", "are wrong: %s: %s",
                       faults.count ? faults.list[0].keyword : "schema",
                       faults.count ? faults.list[0].detail : "they cannot be used");
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
