/* JSON Schema 2020-12, as far as signatures and annotations of functions produce it: compiled once,
 * then held against JSON texts without building a tree of either.
 *
 * Keywords: type, enum, const; minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf;
 * minLength, maxLength, pattern; prefixItems, items, minItems, maxItems, uniqueItems; properties,
 * patternProperties, additionalProperties, propertyNames, required, minProperties, maxProperties;
 * allOf, anyOf, oneOf, not, $ref within the document, $defs (and definitions). Annotations, format
 * among them, are accepted and say nothing about a plain value. Every other keyword, and every one
 * of these that is malformed, is a problem that schema_compile() names, and then it is left out, as
 * is a type that the Python SDK has no schema for and says in the keyword x-unchecked; where
 * anything is left out, `not` is too, and oneOf is read as anyOf, so that what is valid is never
 * refused.
 *
 * Numbers are compared exactly, whatever their size. Patterns are PCRE2's in UTF mode, read as
 * ECMA-262 writes them, but for \s (ASCII only) and lookbehind (fixed length). A name that is given
 * twice in an object is checked each time. Below the top, an object whose member `__type__` says
 * that it stands for a value that JSON lacks (a datetime, bytes, a set, infinity; see
 * schema_tag.c) is checked as that: where there is a `type`, bytes and times are strings with the
 * `format` binary (or byte), date-time, date or time. */
#ifndef SNAKEPIT_BASE_SCHEMA_H
#define SNAKEPIT_BASE_SCHEMA_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    SCHEMA_MAX_BYTES = 65536,   /* of a schema */
    SCHEMA_MAX_NODES = 4096,    /* subschemas, references followed once */
    SCHEMA_MAX_NESTING = 64,    /* levels of JSON in a schema */
    SCHEMA_MAX_CHAIN = 16,      /* subschemas within each other that look at the same value */
    SCHEMA_MAX_REQUIRED = 256,  /* names in one `required` */
    SCHEMA_MAX_UNIQUE = 65536,  /* elements of an array that is checked for uniqueness */
    SCHEMA_MAX_FAULTS = 16,     /* told of one value or schema */
    SCHEMA_POINTER_BYTES = 256, /* of a JSON pointer; what is longer is cut */
    SCHEMA_DETAIL_BYTES = 256,
};

struct schema_fault {
    const char *keyword; /* static: the keyword that is not met, or whose use is a problem */
    char pointer[SCHEMA_POINTER_BYTES + 1]; /* RFC 6901 */
    char detail[SCHEMA_DETAIL_BYTES + 1];   /* for people: what was expected and what was found */
};

/* Only the first `count` of the list are written. */
struct schema_faults {
    unsigned count;
    bool more; /* there are more than fit */
    struct schema_fault list[SCHEMA_MAX_FAULTS];
};

struct schema;

/* Returns owned, or NULL when nothing of it can be used: not JSON, too large, another
 * dialect. Whatever cannot be
 * checked is in `out_problems`, at its place in the schema. Copies `text`. */
struct schema *schema_compile(struct bytes text, struct schema_faults *out_problems);
void schema_free(struct schema **schema);

/* True when `value` fits. Otherwise `out_faults` has at least one fault. `value` is the raw bytes
 * of one value that json_check() accepted, without white space around it, nested at most 128
 * levels. Allocates only for patterns and for uniqueItems of more than a few elements. The work is
 * limited in proportion to the length of the value; past that it is refused. Any number of threads
 * at once. */
bool schema_check(const struct schema *schema, struct bytes value, struct schema_faults *out_faults)
    __attribute__((warn_unused_result));

#endif
