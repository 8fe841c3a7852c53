/* What the files of the schema share: the compiled form, and the writing of faults. */
#ifndef SNAKEPIT_BASE_SCHEMA_INSIDE_H
#define SNAKEPIT_BASE_SCHEMA_INSIDE_H

#include "base/decimal.h"
#include "base/json.h"
#include "base/schema.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Types as bits: one for each enum json_type, and one for whole numbers. */
enum {
    TYPE_INTEGER_BIT = 1 << (JSON_TYPE_OBJECT + 1),
    TYPE_NUMBER_BITS = 1 << JSON_TYPE_NUMBER | TYPE_INTEGER_BIT,
    TYPE_ALL = (1 << (JSON_TYPE_OBJECT + 2)) - 1,
};

/* The formats of strings that tags may stand for, as bits. */
enum { FORMAT_BINARY = 1, FORMAT_DATETIME = 2, FORMAT_DATE = 4, FORMAT_TIME = 8 };

struct node;

struct node_list {
    size_t count;
    struct node **nodes;
};

/* In the order of the schema. */
struct value_list {
    size_t count;
    struct json_value *values;
    size_t mask;
    unsigned *slots; /* by hash: indices from 1 on, 0 where there is none; at most half are taken */
};

enum bound_kind { BOUND_MINIMUM, BOUND_MAXIMUM, BOUND_ABOVE, BOUND_BELOW, BOUND_KINDS };

struct bound {
    struct bytes raw; /* empty: no such bound */
    bool small;       /* it is `whole` */
    int64_t whole;
    struct decimal exact;
};

struct number_rules {
    struct bound bounds[BOUND_KINDS];
    struct bytes multiple_raw; /* empty: none */
    struct decimal_divisor multiple;
};

/* How many of something; `most` is SIZE_MAX where there is no such bound. */
struct span {
    size_t least, most;
};

struct pattern {
    struct pattern *next; /* all of the schema, for the end */
    struct bytes source;
    pcre2_code *code;
};

struct string_rules {
    struct span length; /* characters */
    struct pattern *pattern;
};

struct array_rules {
    struct node_list prefix;
    struct node *items; /* behind the prefix; NULL: anything */
    struct span count;
    bool unique;
};

struct property {
    struct bytes name;    /* as it is, escapes resolved */
    struct bytes written; /* as it is in the schema, between the quotes */
    struct node *node;    /* NULL: only required, or known to be anything */
    bool declared;        /* by `properties` */
    int required;         /* number of its bit, or -1 */
};

struct pattern_property {
    struct pattern *pattern;
    struct node *node;
};

struct object_rules {
    size_t count;
    struct property *properties;
    size_t bucket_mask;
    struct property **buckets; /* NULL when there are no properties */
    unsigned required_count;
    size_t pattern_count;
    struct pattern_property *patterns;
    struct node *additional; /* NULL: anything */
    struct node *names;      /* NULL: anything */
    struct span size;
};

/* One subschema. The rules are NULL where it has none for that type. */
struct node {
    bool never;            /* the schema `false` */
    bool anything;         /* no value can break it */
    unsigned char types;   /* by `type` */
    unsigned char takes;   /* the same, with what its subschemas for the same value and enum say */
    unsigned char formats; /* of strings */
    unsigned char chain;   /* compiler's: 0 not visited, 255 being visited, else its depth */
    struct number_rules *numbers;
    struct string_rules *strings;
    struct array_rules *arrays;
    struct object_rules *objects;
    struct value_list *choices; /* enum */
    struct json_value *constant;
    struct node *reference;
    struct node_list all, any, one;
    struct node *no;
};

struct schema {
    struct arena *arena;
    struct node *root;
    struct pattern *patterns;
    pcre2_match_context *limits; /* of matching; NULL where there is no pattern */
    bool partial;                /* some of it was left out */
};

/* Where in a text one is: the steps from its root, the last one first. */
struct place {
    const struct place *up; /* NULL: the step from the root */
    struct bytes name; /* inside of a member's name as it is in the text; data NULL: an index */
    size_t index;
};

/* Adds a fault at `place`, NULL being the root. Returns false. */
bool schema_fault_add(struct schema_faults *faults, const struct place *place, const char *keyword,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

enum { SCHEMA_SHOWN_BYTES = 96, SCHEMA_NAME_BYTES = 64 };

/* The beginning of a name or pattern, as much as is repeated to people. */
struct bytes schema_shown(struct bytes text);

/* "the string \"abc\"", "an array": a value for people, scalars cut short. */
const char *schema_describe(struct json_value value, char out_text[SCHEMA_SHOWN_BYTES]);

/* "an integer or null". */
const char *schema_describe_types(unsigned types, char out_text[SCHEMA_SHOWN_BYTES]);

/* "1, 2, 3", cut short. */
const char *schema_describe_choices(const struct value_list *choices,
                                    char out_text[SCHEMA_DETAIL_BYTES]);

/* The array of an enum, which has `count` values. */
struct value_list *schema_choices_read(struct json_value array, size_t count, struct arena *arena);

/* Compiles the regular expression `source`, whose bytes the schema owns. NULL: it is none, and
 * `out_reason` says why. */
struct pattern *schema_pattern_compile(struct schema *schema, struct bytes source,
                                       char out_reason[SCHEMA_SHOWN_BYTES]);

enum pattern_verdict { PATTERN_MATCHES, PATTERN_DIFFERS, PATTERN_TOO_COSTLY };

/* What all matches of one check share. For one thread; free `data` with pcre2_match_data_free(). */
struct matcher {
    uint64_t allowed_us; /* of the processor's time, for all together */
    pcre2_match_data *data;
    uint64_t due_us;  /* on the clock */
    uint64_t used_us; /* by the thread, before the first match */
};

/* Looks for the pattern in the inside of a string as it is in a JSON text. */
enum pattern_verdict schema_pattern_match(const struct schema *schema,
                                          const struct pattern *pattern, struct bytes inside,
                                          struct matcher *matcher);

/* The property of that name, as it is in a text, or NULL. `hint`: where it may be; moves on. */
const struct property *schema_property_find(const struct object_rules *rules, struct bytes name,
                                            size_t *hint);

/* Fills the buckets, for the properties there are. */
void schema_property_index(struct object_rules *rules, struct arena *arena);

#endif
