/* Compiling a schema: each subschema becomes a node, in the order of the text; then references are
 * tied, which is why they may point anywhere; then it is made sure that checking a value ends. */
#include "base/mem.h"
#include "base/schema_compiler.h"

#include <stdlib.h>

enum { CHAIN_VISITING = 255 };

static void problem(struct compiler *compiler, const char *keyword, const char *detail)
{
    schema_fault_add(compiler->problems, NULL, keyword, "%s", detail);
}

/* --- nodes --- */

static struct node *make_node(struct compiler *compiler, const char *at)
{
    struct node *node = arena_zalloc(compiler->schema->arena, sizeof *node);
    node->types = TYPE_ALL;
    compiler->nodes[at - compiler->text.data] = node;
    compiler->node_count++;
    return node;
}

static bool says_nothing(const struct node *node)
{
    return !node->never && node->types == TYPE_ALL && !node->numbers && !node->strings &&
           !node->arrays && !node->objects && !node->choices && !node->constant &&
           !node->reference && !node->all.count && !node->any.count && !node->one.count &&
           !node->no;
}

static void take_keywords(struct compiler *compiler, struct node *node, struct json_value value,
                          const struct place *place)
{
    struct json_cursor cursor = {0};
    struct place inner = {.up = place};
    struct json_value member;
    while (json_next(value.raw, &cursor, &inner.name, &member)) {
        struct bytes name = json_text(inner.name, compiler->schema->arena);
        if (schema_keyword(compiler, node, name, member, &inner))
            continue;
        name = schema_shown(name);
        schema_fault_add(compiler->problems, &inner, "unsupported",
                         "the keyword \"%.*s\" is not supported", (int)name.len, name.data);
    }
}

struct node *schema_compile_node(struct compiler *compiler, struct json_value value,
                                 const struct place *place)
{
    bool names_unsure = compiler->names_unsure, items_unsure = compiler->items_unsure;
    struct node *node = make_node(compiler, value.raw.data);
    compiler->names_unsure = compiler->items_unsure = false;
    if (compiler->node_count > SCHEMA_MAX_NODES) {
        if (compiler->node_count == SCHEMA_MAX_NODES + 1)
            schema_fault_add(compiler->problems, place, "schema", "more than %d subschemas",
                             SCHEMA_MAX_NODES);
    } else if (value.type == JSON_TYPE_OBJECT) {
        take_keywords(compiler, node, value, place);
    } else if (value.type == JSON_TYPE_BOOL) {
        node->never = value.raw.data[0] == 'f';
    } else {
        schema_fault_add(compiler->problems, place, "schema", "a schema is an object or a boolean");
    }
    if (node->objects && compiler->names_unsure)
        node->objects->additional = NULL;
    if (node->objects)
        schema_property_index(node->objects, compiler->schema->arena);
    if (node->arrays && compiler->items_unsure)
        node->arrays->items = NULL;
    compiler->names_unsure = names_unsure;
    compiler->items_unsure = items_unsure;
    return node;
}

/* --- references --- */

static void tie_references(struct compiler *compiler)
{
    for (struct pending *it = compiler->pending; it; it = it->next) {
        it->node->reference = compiler->nodes[it->target - compiler->text.data];
        if (!it->node->reference)
            problem(compiler, "$ref", "a $ref points at what is no schema");
    }
}

static unsigned types_of_list(const struct node_list *list)
{
    unsigned types = list->count ? 0 : TYPE_ALL;
    for (size_t i = 0; i < list->count; i++)
        types |= list->nodes[i]->takes;
    return types;
}

static unsigned types_of_choices(const struct value_list *choices)
{
    unsigned types = choices ? 0 : TYPE_ALL;
    for (size_t i = 0; choices && i < choices->count; i++)
        types |= choices->values[i].type == JSON_TYPE_NUMBER ? TYPE_NUMBER_BITS
                                                             : 1u << choices->values[i].type;
    return types;
}

/* Once those of its subschemas are known. */
static unsigned types_taken(const struct node *node)
{
    unsigned types = node->never ? 0 : node->types;
    types &= types_of_list(&node->any) & types_of_list(&node->one);
    types &= types_of_choices(node->choices);
    for (size_t i = 0; i < node->all.count; i++)
        types &= node->all.nodes[i]->takes;
    return node->reference ? types & node->reference->takes : types;
}

static unsigned chain_of(struct compiler *compiler, struct node *node);

/* Recursion is at most as deep as there are nodes, SCHEMA_MAX_NODES; it happens once. */
/* NOLINTBEGIN(misc-no-recursion) */

static unsigned longest(struct compiler *compiler, const struct node_list *list, unsigned most)
{
    for (size_t i = 0; i < list->count; i++) {
        unsigned chain = chain_of(compiler, list->nodes[i]);
        most = chain > most ? chain : most;
    }
    return most;
}

static void cut(struct node *node)
{
    node->reference = node->no = NULL;
    node->all.count = node->any.count = node->one.count = 0;
}

/* How many subschemas, one within the other, look at the same value. Those that would go on for
 * ever, or for too long, are cut off. */
static unsigned chain_of(struct compiler *compiler, struct node *node)
{
    if (node->chain)
        return node->chain;
    node->chain = CHAIN_VISITING;
    unsigned most = node->reference ? chain_of(compiler, node->reference) : 0;
    most = longest(compiler, &node->all, most);
    most = longest(compiler, &node->any, most);
    most = longest(compiler, &node->one, most);
    if (node->no) {
        unsigned chain = chain_of(compiler, node->no);
        most = chain > most ? chain : most;
    }
    if (most >= SCHEMA_MAX_CHAIN) {
        problem(compiler, "$ref",
                most == CHAIN_VISITING ? "a schema that refers to itself without end"
                                       : "too many schemas within each other for one value");
        cut(node);
        most = 0;
    }
    node->takes = (unsigned char)types_taken(node);
    node->chain = (unsigned char)(most + 1);
    return node->chain;
}

/* NOLINTEND(misc-no-recursion) */

static void finish(struct compiler *compiler)
{
    tie_references(compiler);
    for (size_t i = 0; i < compiler->text.len; i++) {
        if (compiler->nodes[i])
            (void)chain_of(compiler, compiler->nodes[i]);
    }
    for (size_t i = 0; i < compiler->text.len; i++) {
        if (compiler->nodes[i])
            compiler->nodes[i]->anything = says_nothing(compiler->nodes[i]);
    }
}

/* --- the whole --- */

void schema_free(struct schema **slot)
{
    struct schema *schema = *slot;
    *slot = NULL;
    if (!schema)
        return;
    for (struct pattern *pattern = schema->patterns; pattern; pattern = pattern->next)
        pcre2_code_free(pattern->code);
    pcre2_match_context_free(schema->limits);
    arena_unref(&schema->arena);
    free(schema);
}

static struct schema *compile(struct bytes text, struct schema_faults *problems)
{
    struct schema *schema = MEM_NEW(struct schema);
    schema->arena = arena_new(0);
    struct compiler compiler = {.schema = schema,
                                .text = arena_copy(schema->arena, text),
                                .problems = problems,
                                .nodes = mem_array(text.len, sizeof(struct node *))};
    struct json_value whole = json_value_at(compiler.text.data, compiler.text.data + text.len);
    schema->root = schema_compile_node(&compiler, whole, NULL);
    finish(&compiler);
    schema->partial = problems->count > 0;
    free(compiler.nodes);
    if (compiler.foreign)
        schema_free(&schema);
    return schema;
}

struct schema *schema_compile(struct bytes text, struct schema_faults *out_problems)
{
    struct json_value whole;
    struct json_error error;
    out_problems->count = 0;
    out_problems->more = false;
    if (text.len > SCHEMA_MAX_BYTES) {
        schema_fault_add(out_problems, NULL, "schema", "larger than %d bytes", SCHEMA_MAX_BYTES);
        return NULL;
    }
    if (!json_check(text, SCHEMA_MAX_NESTING, &whole, &error)) {
        schema_fault_add(out_problems, NULL, "schema", "not usable at byte %zu: %s", error.offset,
                         error.reason);
        return NULL;
    }
    return compile(whole.raw, out_problems);
}
