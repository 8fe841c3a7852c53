/* The keywords, one function for each shape of them. What is malformed is a problem and is left
 * out. */
#include "base/json_string.h"
#include "base/mem.h"
#include "base/schema_compiler.h"

#include <stdlib.h>

struct keyword;
typedef void keyword_reader(struct compiler *compiler, struct node *node,
                            const struct keyword *keyword, struct json_value value,
                            const struct place *place);

struct keyword {
    const char *name;
    keyword_reader *read; /* NULL: an annotation */
    size_t offset;        /* of what it sets, in the node or in its rules */
};

static void malformed(struct compiler *compiler, const struct keyword *keyword,
                      const struct place *place, const char *expected)
{
    schema_fault_add(compiler->problems, place, keyword->name, "\"%s\" must be %s", keyword->name,
                     expected);
}

static struct bytes text_of(struct compiler *compiler, struct json_value string)
{
    return json_text(string.raw, compiler->schema->arena);
}

static size_t count_members(struct json_value container)
{
    struct json_cursor cursor = {0};
    struct json_value value;
    size_t count = 0;
    while (json_next(container.raw, &cursor, NULL, &value))
        count++;
    return count;
}

/* --- the rules of a node, made when first needed --- */

static const struct span any_span = {0, SIZE_MAX};

static struct number_rules *numbers_of(struct compiler *compiler, struct node *node)
{
    if (!node->numbers)
        node->numbers = arena_zalloc(compiler->schema->arena, sizeof *node->numbers);
    return node->numbers;
}

static struct string_rules *strings_of(struct compiler *compiler, struct node *node)
{
    if (!node->strings) {
        node->strings = arena_zalloc(compiler->schema->arena, sizeof *node->strings);
        node->strings->length = any_span;
    }
    return node->strings;
}

static struct array_rules *arrays_of(struct compiler *compiler, struct node *node)
{
    if (!node->arrays) {
        node->arrays = arena_zalloc(compiler->schema->arena, sizeof *node->arrays);
        node->arrays->count = any_span;
    }
    return node->arrays;
}

static struct object_rules *objects_of(struct compiler *compiler, struct node *node)
{
    if (!node->objects) {
        node->objects = arena_zalloc(compiler->schema->arena, sizeof *node->objects);
        node->objects->size = any_span;
    }
    return node->objects;
}

/* --- any type --- */

static unsigned type_bits(struct bytes name)
{
    static const struct {
        struct bytes name;
        unsigned bits;
    } types[] = {
        {BYTES("null"), 1 << JSON_TYPE_NULL},     {BYTES("boolean"), 1 << JSON_TYPE_BOOL},
        {BYTES("integer"), TYPE_INTEGER_BIT},     {BYTES("number"), TYPE_NUMBER_BITS},
        {BYTES("string"), 1 << JSON_TYPE_STRING}, {BYTES("array"), 1 << JSON_TYPE_ARRAY},
        {BYTES("object"), 1 << JSON_TYPE_OBJECT},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (bytes_equal(types[i].name, name))
            return types[i].bits;
    }
    return 0;
}

/* The bits of a type's name; 0 when it is none. */
static unsigned read_type(struct compiler *compiler, struct json_value value)
{
    return value.type == JSON_TYPE_STRING ? type_bits(text_of(compiler, value)) : 0;
}

static void on_type(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                    struct json_value value, const struct place *place)
{
    unsigned types = 0;
    bool good = true;
    if (value.type == JSON_TYPE_ARRAY) {
        struct json_cursor cursor = {0};
        struct json_value element;
        while (json_next(value.raw, &cursor, NULL, &element)) {
            unsigned bits = read_type(compiler, element);
            good = good && bits;
            types |= bits;
        }
    } else {
        types = read_type(compiler, value);
    }
    if (good && types)
        node->types = (unsigned char)types;
    else
        malformed(compiler, keyword, place, "the name of a type, or several");
}

static void on_enum(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                    struct json_value value, const struct place *place)
{
    if (value.type == JSON_TYPE_ARRAY)
        node->choices = schema_choices_read(value, count_members(value), compiler->schema->arena);
    else
        malformed(compiler, keyword, place, "an array");
}

static void on_const(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                     struct json_value value, const struct place *place)
{
    (void)keyword;
    (void)place;
    node->constant = arena_alloc(compiler->schema->arena, sizeof *node->constant);
    *node->constant = value;
}

/* --- numbers --- */

static void on_bound(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                     struct json_value value, const struct place *place)
{
    if (value.type != JSON_TYPE_NUMBER) {
        malformed(compiler, keyword, place, "a number");
        return;
    }
    struct bound *bound = &numbers_of(compiler, node)->bounds[keyword->offset];
    bound->raw = value.raw;
    bound->exact = decimal_read(value.raw);
    bound->small = json_to_int(value.raw, &bound->whole);
}

static void on_multiple(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                        struct json_value value, const struct place *place)
{
    struct decimal number = {0};
    if (value.type == JSON_TYPE_NUMBER)
        number = decimal_read(value.raw);
    struct decimal_divisor divisor;
    if (!decimal_to_divisor(&number, &divisor)) {
        malformed(compiler, keyword, place, "a number above 0 of at most 18 digits");
        return;
    }
    struct number_rules *rules = numbers_of(compiler, node);
    rules->multiple_raw = value.raw;
    rules->multiple = divisor;
}

/* --- how many --- */

/* A whole number from 0 on; what does not fit is as good as SIZE_MAX. */
static bool read_count(struct json_value value, size_t *out_count)
{
    int64_t whole = 0;
    if (value.type != JSON_TYPE_NUMBER)
        return false;
    if (json_to_int(value.raw, &whole)) {
        *out_count = (size_t)whole;
        return whole >= 0;
    }
    struct decimal number = decimal_read(value.raw);
    struct decimal_divisor parts = {0};
    if (number.negative || !decimal_is_whole(&number))
        return false;
    bool fits = number.count == 0 || (decimal_to_divisor(&number, &parts) && number.high <= 18);
    for (; fits && parts.exponent > 0; parts.exponent--)
        parts.digits *= 10;
    *out_count = fits ? (size_t)parts.digits : SIZE_MAX;
    return true;
}

static struct span *span_of(struct compiler *compiler, struct node *node, const char *name)
{
    if (strstr(name, "Length"))
        return &strings_of(compiler, node)->length;
    if (strstr(name, "Items"))
        return &arrays_of(compiler, node)->count;
    return &objects_of(compiler, node)->size;
}

static void on_count(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                     struct json_value value, const struct place *place)
{
    size_t count = 0;
    if (!read_count(value, &count)) {
        malformed(compiler, keyword, place, "a whole number from 0 on");
        return;
    }
    struct span *span = span_of(compiler, node, keyword->name);
    *(size_t *)((char *)span + keyword->offset) = count;
}

/* --- strings --- */

static struct pattern *read_pattern(struct compiler *compiler, struct bytes source,
                                    const struct place *place)
{
    char reason[SCHEMA_SHOWN_BYTES];
    struct pattern *pattern = schema_pattern_compile(compiler->schema, source, reason);
    if (!pattern)
        schema_fault_add(compiler->problems, place, "pattern",
                         "no regular expression that can be used: %s", reason);
    return pattern;
}

static void on_pattern(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                       struct json_value value, const struct place *place)
{
    if (value.type != JSON_TYPE_STRING) {
        malformed(compiler, keyword, place, "a string");
        return;
    }
    struct pattern *pattern = read_pattern(compiler, text_of(compiler, value), place);
    if (pattern)
        strings_of(compiler, node)->pattern = pattern;
}

/* --- lists of subschemas --- */

static bool read_list(struct compiler *compiler, const struct keyword *keyword,
                      struct json_value value, const struct place *place,
                      struct node_list *out_list)
{
    struct json_cursor cursor = {0};
    struct json_value element;
    size_t count = value.type == JSON_TYPE_ARRAY ? count_members(value) : 0;
    if (count == 0) {
        malformed(compiler, keyword, place, "an array of schemas, not empty");
        return false;
    }
    struct place inner = {.up = place};
    out_list->nodes = arena_alloc(compiler->schema->arena, count * sizeof out_list->nodes[0]);
    for (; json_next(value.raw, &cursor, NULL, &element); inner.index++)
        out_list->nodes[inner.index] = schema_compile_node(compiler, element, &inner);
    out_list->count = count;
    return true;
}

static void on_list(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                    struct json_value value, const struct place *place)
{
    struct node_list *list = (struct node_list *)((char *)node + keyword->offset);
    (void)read_list(compiler, keyword, value, place, list);
}

static void on_no(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                  struct json_value value, const struct place *place)
{
    (void)keyword;
    node->no = schema_compile_node(compiler, value, place);
}

/* --- arrays --- */

static void on_prefix(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                      struct json_value value, const struct place *place)
{
    struct node_list *list = &arrays_of(compiler, node)->prefix;
    if (!read_list(compiler, keyword, value, place, list))
        compiler->items_unsure = true;
}

static void on_items(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                     struct json_value value, const struct place *place)
{
    (void)keyword;
    arrays_of(compiler, node)->items = schema_compile_node(compiler, value, place);
}

static void on_unique(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                      struct json_value value, const struct place *place)
{
    if (value.type == JSON_TYPE_BOOL)
        arrays_of(compiler, node)->unique = value.raw.data[0] == 't';
    else
        malformed(compiler, keyword, place, "true or false");
}

/* --- objects --- */

static struct property *property_of(struct compiler *compiler, struct object_rules *rules,
                                    struct bytes written)
{
    struct bytes name = json_text(written, compiler->schema->arena);
    for (size_t i = 0; i < rules->count; i++) {
        if (bytes_equal(rules->properties[i].name, name))
            return &rules->properties[i];
    }
    if ((rules->count & (rules->count - 1)) ==
        0) { /* it is full: powers of two, beginning with 1 */
        struct property *old = rules->properties;
        size_t capacity = rules->count ? 2 * rules->count : 1;
        rules->properties = arena_alloc(compiler->schema->arena, capacity * sizeof *old);
        if (rules->count)
            memcpy(rules->properties, old, rules->count * sizeof *old);
    }
    struct property *property = &rules->properties[rules->count++];
    *property = (struct property){.name = name, .written = written, .required = -1};
    return property;
}

static void on_properties(struct compiler *compiler, struct node *node,
                          const struct keyword *keyword, struct json_value value,
                          const struct place *place)
{
    struct object_rules *rules = objects_of(compiler, node);
    struct json_cursor cursor = {0};
    struct place inner = {.up = place};
    struct json_value member;
    if (value.type != JSON_TYPE_OBJECT) {
        malformed(compiler, keyword, place, "an object");
        compiler->names_unsure = true;
        return;
    }
    while (json_next(value.raw, &cursor, &inner.name, &member)) {
        struct node *found = schema_compile_node(compiler, member, &inner);
        struct property *property = property_of(compiler, rules, inner.name);
        property->node = found;
        property->declared = true;
    }
}

static void on_pattern_properties(struct compiler *compiler, struct node *node,
                                  const struct keyword *keyword, struct json_value value,
                                  const struct place *place)
{
    struct object_rules *rules = objects_of(compiler, node);
    struct json_cursor cursor = {0};
    struct place inner = {.up = place};
    struct json_value member;
    if (value.type != JSON_TYPE_OBJECT) {
        malformed(compiler, keyword, place, "an object");
        compiler->names_unsure = true;
        return;
    }
    rules->patterns = arena_alloc(compiler->schema->arena,
                                  (count_members(value) + 1) * sizeof rules->patterns[0]);
    rules->pattern_count = 0;
    while (json_next(value.raw, &cursor, &inner.name, &member)) {
        struct bytes source = json_text(inner.name, compiler->schema->arena);
        struct node *found = schema_compile_node(compiler, member, &inner);
        struct pattern *pattern = read_pattern(compiler, source, &inner);
        compiler->names_unsure |= !pattern;
        if (pattern)
            rules->patterns[rules->pattern_count++] = (struct pattern_property){pattern, found};
    }
}

static void on_members(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                       struct json_value value, const struct place *place)
{
    struct object_rules *rules = objects_of(compiler, node);
    struct node **slot = (struct node **)((char *)rules + keyword->offset);
    *slot = schema_compile_node(compiler, value, place);
}

static void on_required(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                        struct json_value value, const struct place *place)
{
    struct object_rules *rules = objects_of(compiler, node);
    struct json_cursor cursor = {0};
    struct json_value element;
    bool good = value.type == JSON_TYPE_ARRAY && count_members(value) <= SCHEMA_MAX_REQUIRED;
    while (good && json_next(value.raw, &cursor, NULL, &element)) {
        good = element.type == JSON_TYPE_STRING;
        if (!good)
            break;
        struct bytes inside = bytes_from(element.raw.data + 1, element.raw.len - 2);
        struct property *property = property_of(compiler, rules, inside);
        if (property->required < 0)
            property->required = (int)rules->required_count++;
    }
    if (!good)
        malformed(compiler, keyword, place, "an array of at most 256 names");
}

/* --- references --- */

static void on_definitions(struct compiler *compiler, struct node *node,
                           const struct keyword *keyword, struct json_value value,
                           const struct place *place)
{
    struct json_cursor cursor = {0};
    struct place inner = {.up = place};
    struct json_value member;
    (void)node;
    if (value.type != JSON_TYPE_OBJECT) {
        malformed(compiler, keyword, place, "an object");
        return;
    }
    while (json_next(value.raw, &cursor, &inner.name, &member))
        (void)schema_compile_node(compiler, member, &inner);
}

static void on_ref(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                   struct json_value value, const struct place *place)
{
    const char *target = NULL;
    if (value.type == JSON_TYPE_STRING)
        target = schema_find_target(compiler, text_of(compiler, value));
    if (!target) {
        malformed(compiler, keyword, place, "a pointer to a place in this schema");
        return;
    }
    struct pending *pending = arena_alloc(compiler->schema->arena, sizeof *pending);
    *pending = (struct pending){compiler->pending, node, target};
    compiler->pending = pending;
}

static void on_id(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                  struct json_value value, const struct place *place)
{
    (void)node;
    (void)value;
    if (place->up)
        malformed(compiler, keyword, place, "at the top of the schema");
}

static void on_dialect(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                       struct json_value value, const struct place *place)
{
    const struct bytes dialect = BYTES("https://json-schema.org/draft/2020-12/schema");
    (void)node;
    if (value.type == JSON_TYPE_STRING) {
        struct bytes text = text_of(compiler, value);
        if (text.len > 0 && text.data[text.len - 1] == '#')
            text.len--;
        if (bytes_equal(text, dialect))
            return;
    }
    compiler->foreign = true;
    malformed(compiler, keyword, place, "that of draft 2020-12");
}

/* --- what the SDK says of types --- */

static void on_unchecked(struct compiler *compiler, struct node *node,
                         const struct keyword *keyword, struct json_value value,
                         const struct place *place)
{
    (void)node;
    struct bytes name =
        value.type == JSON_TYPE_STRING ? schema_shown(text_of(compiler, value)) : BYTES("");
    schema_fault_add(compiler->problems, place, keyword->name,
                     "the type %.*s is not one that is checked", (int)name.len, name.data);
}

/* To plain strings an annotation. */
static void on_format(struct compiler *compiler, struct node *node, const struct keyword *keyword,
                      struct json_value value, const struct place *place)
{
    static const struct {
        struct bytes name;
        unsigned char format;
    } formats[] = {
        {BYTES("binary"), FORMAT_BINARY}, {BYTES("byte"), FORMAT_BINARY},
        {BYTES("date"), FORMAT_DATE},     {BYTES("date-time"), FORMAT_DATETIME},
        {BYTES("time"), FORMAT_TIME},
    };
    (void)keyword;
    (void)place;
    if (value.type != JSON_TYPE_STRING)
        return;
    struct bytes name = text_of(compiler, value);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (bytes_equal(name, formats[i].name))
            node->formats = formats[i].format;
    }
}

/* --- all of them --- */

static const struct keyword keywords[] = {
    {"type", on_type, 0},
    {"properties", on_properties, 0},
    {"required", on_required, 0},
    {"additionalProperties", on_members, offsetof(struct object_rules, additional)},
    {"items", on_items, 0},
    {"enum", on_enum, 0},
    {"const", on_const, 0},
    {"anyOf", on_list, offsetof(struct node, any)},
    {"allOf", on_list, offsetof(struct node, all)},
    {"oneOf", on_list, offsetof(struct node, one)},
    {"not", on_no, 0},
    {"$ref", on_ref, 0},
    {"$defs", on_definitions, 0},
    {"definitions", on_definitions, 0},
    {"minimum", on_bound, BOUND_MINIMUM},
    {"maximum", on_bound, BOUND_MAXIMUM},
    {"exclusiveMinimum", on_bound, BOUND_ABOVE},
    {"exclusiveMaximum", on_bound, BOUND_BELOW},
    {"multipleOf", on_multiple, 0},
    {"minLength", on_count, offsetof(struct span, least)},
    {"maxLength", on_count, offsetof(struct span, most)},
    {"pattern", on_pattern, 0},
    {"prefixItems", on_prefix, 0},
    {"minItems", on_count, offsetof(struct span, least)},
    {"maxItems", on_count, offsetof(struct span, most)},
    {"uniqueItems", on_unique, 0},
    {"patternProperties", on_pattern_properties, 0},
    {"propertyNames", on_members, offsetof(struct object_rules, names)},
    {"minProperties", on_count, offsetof(struct span, least)},
    {"maxProperties", on_count, offsetof(struct span, most)},
    {"$schema", on_dialect, 0},
    {"$id", on_id, 0},
    {"title", NULL, 0},
    {"description", NULL, 0},
    {"default", NULL, 0},
    {"examples", NULL, 0},
    {"deprecated", NULL, 0},
    {"readOnly", NULL, 0},
    {"writeOnly", NULL, 0},
    {"$comment", NULL, 0},
    {"format", on_format, 0},
    {"contentEncoding", NULL, 0},
    {"contentMediaType", NULL, 0},
    {"contentSchema", NULL, 0},
    {"x-unchecked", on_unchecked, 0},
};

bool schema_keyword(struct compiler *compiler, struct node *node, struct bytes name,
                    struct json_value value, const struct place *place)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (!bytes_equal(bytes_of(keywords[i].name), name))
            continue;
        if (keywords[i].read)
            keywords[i].read(compiler, node, &keywords[i], value, place);
        return true;
    }
    return false;
}
