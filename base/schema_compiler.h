/* What the files of the schema compiler share. */
#ifndef SNAKEPIT_BASE_SCHEMA_COMPILER_H
#define SNAKEPIT_BASE_SCHEMA_COMPILER_H

#include "base/arena.h"
#include "base/schema_inside.h"

/* A $ref, and where in the text it points. */
struct pending {
    struct pending *next;
    struct node *node;
    const char *target;
};

/* Lives while one schema is compiled. */
struct compiler {
    struct schema *schema;
    struct bytes text; /* the schema's own copy */
    struct schema_faults *problems;
    struct node **nodes; /* by the offset in `text` at which they begin */
    size_t node_count;
    struct pending *pending;
    bool foreign; /* another dialect, whose keywords mean what they like */
    /* of the subschema at hand: its other names are not all known, nor its first items */
    bool names_unsure, items_unsure;
};

/* The node for a subschema. Never NULL: what is malformed becomes one that says nothing. */
struct node *schema_compile_node(struct compiler *compiler, struct json_value value,
                                 const struct place *place);

/* Where in the text a reference such as "#/$defs/x" points, or NULL. */
const char *schema_find_target(struct compiler *compiler, struct bytes reference);

/* Takes up one keyword of `node`. `place` is that of the value. False: there is no such keyword. */
bool schema_keyword(struct compiler *compiler, struct node *node, struct bytes name,
                    struct json_value value, const struct place *place);

#endif
