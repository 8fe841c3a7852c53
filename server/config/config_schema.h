/* The schema of the configuration: a row for each key. Parsing, errors, names in the environment
 * and the commented example all follow from it. */
#ifndef SNAKEPIT_SERVER_CONFIG_CONFIG_SCHEMA_H
#define SNAKEPIT_SERVER_CONFIG_CONFIG_SCHEMA_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_kind {
    CONFIG_TEXT,      /* const char *, from `min` bytes on */
    CONFIG_NAME,      /* const char *, a pool's name */
    CONFIG_NAMES,     /* const char *, "a,b"; a list in the file */
    CONFIG_SWITCH,    /* bool */
    CONFIG_NUMBER,    /* unsigned or uint64_t, by width; so are the next three */
    CONFIG_SIZE,      /* bytes */
    CONFIG_DURATION,  /* in units of `scale` microseconds */
    CONFIG_PERCENT,   /* */
    CONFIG_CHOICE,    /* an enum, in the order of `choices` */
    CONFIG_DURATIONS, /* uint64_t[POOL_RETRIES_MAX]; the last is repeated */
    CONFIG_VARIABLES, /* const char **, a mapping, in the file only */
    CONFIG_ADDRESS,   /* struct config_address */
    CONFIG_WORKERS,   /* unsigned, and the pool's minimum and maximum with it */
    CONFIG_SAME,      /* another spelling of the key `help` */
    CONFIG_REFUSED,   /* Snakepit has it and we do not: `help` says why */
};

struct config_row {
    const char *path; /* "http.body_limit"; of a pool's key without the pool */
    enum config_kind kind;
    unsigned width; /* of the member, bytes */
    size_t offset;  /* in struct config or struct pool_config */
    uint64_t min, max;
    uint64_t scale;             /* CONFIG_DURATION: microseconds in one of the member's units.
                                   CONFIG_SAME: what a number without unit counts, microseconds or bytes */
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one line */
};

struct config_schema {
    const struct config_row *rows;
    size_t count;
};

/* The keys at the top, and those of a pool; at most CONFIG_ROWS_MAX each. */
extern const struct config_schema config_schema_top, config_schema_pool;

/* The row of that path, or NULL. */
const struct config_row *config_schema_find(const struct config_schema *schema, struct bytes path);

/* The row that another spelling stands for; any other row itself. */
const struct config_row *config_schema_canonical(const struct config_schema *schema,
                                                 const struct config_row *row);

/* Whether there are keys below that path. */
bool config_schema_is_section(const struct config_schema *schema, struct bytes path);

/* The path of the key or section that was probably meant: it differs by a few letters, or the last
 * part does and the rest is missing. Empty: none. Borrowed from the schema. */
struct bytes config_schema_nearest(const struct config_schema *schema, struct bytes path);

/* How many letters have to be added, dropped, changed or swapped with their neighbour; only as far
 * as `limit` + 1. */
unsigned config_distance(struct bytes a, struct bytes b, unsigned limit);

#endif
