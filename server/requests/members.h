/* A JSON object that becomes a struct, by a table of its members. Strict: a member that is unknown,
 * given twice or of the wrong kind is a fault that names it. */
#ifndef SNAKEPIT_SERVER_REQUESTS_MEMBERS_H
#define SNAKEPIT_SERVER_REQUESTS_MEMBERS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

enum { MEMBERS_MAX_DEPTH = 128, MEMBERS_MAX_TEXT = 256, MEMBERS_MAX = 32 };

enum member_kind {
    MEMBER_TEXT,         /* struct bytes: 1 to `max` bytes without control characters */
    MEMBER_OBJECT,       /* struct bytes: the object as it came */
    MEMBER_VALUE,        /* struct bytes: any value as it came */
    MEMBER_MILLISECONDS, /* uint64_t, microseconds: from 1 ms to a day */
    MEMBER_NUMBER,       /* struct member_number: 0 to `max` */
    MEMBER_COUNT,        /* struct member_number: 1 to `max` */
    MEMBER_FLAG,         /* struct member_number: 0 or 1 */
    MEMBER_AFFINITY,     /* unsigned, an enum affinity by its name */
};

struct member_number {
    bool given;
    unsigned value;
};

/* One row of the table: a member and its place in the struct. */
struct member {
    struct bytes name;
    enum member_kind kind;
    size_t offset;
    unsigned max; /* of a number; of a text, 0 is MEMBERS_MAX_TEXT */
};

/* What is wrong with a body. */
struct member_fault {
    const char *code;     /* "invalid_json" or "invalid_request" */
    const char *detail;   /* in the arena or static */
    struct bytes pointer; /* JSON pointer to the member, or empty data NULL */
    bool out_of_range;    /* a number, but one that cannot be */
};

/* Reads `body` into `out_struct`, of which it writes only what was given; bytes then lie in `body`
 * or in `arena`. `out_seen` gets a bit for each row of the table, of which there are at most
 * MEMBERS_MAX. False: it is wrong, and out_fault says how. A pure function. */
bool members_read(struct bytes body, const struct member *table, size_t count, struct arena *arena,
                  void *out_struct, uint32_t *out_seen, struct member_fault *out_fault)
    __attribute__((warn_unused_result));

/* The same from a query, name=value&…: texts and names of an affinity are written as they are,
 * other values as in JSON. */
bool members_read_query(struct bytes query, const struct member *table, size_t count,
                        struct arena *arena, void *out_struct, uint32_t *out_seen,
                        struct member_fault *out_fault) __attribute__((warn_unused_result));

/* Why a text that json_check() has refused at MEMBERS_MAX_DEPTH is no JSON. In the arena. */
const char *members_not_json(struct arena *arena, const struct json_error *error);

/* Writes the fault of the member `name`, "invalid_request"; returns false. `detail` in the arena or
 * static. */
bool members_fault(struct member_fault *out_fault, struct arena *arena, struct bytes name,
                   const char *detail);

/* The fault is of what stands at that JSON pointer, and says where in there; returns false. */
bool members_fault_within(struct member_fault *fault, struct arena *arena, const char *at);

/* Answers with that fault. */
void members_refuse(struct exchange *exchange, unsigned status, const struct member_fault *fault);

#endif
