/* A variable: a JSON value that has a name, a type and a version, and that may be constrained. */
#ifndef SNAKEPIT_POOL_VARIABLE_H
#define SNAKEPIT_POOL_VARIABLE_H

#include "base/bytes.h"
#include "pool/variable_fault.h"
#include "pool/variable_type.h"

#include <stdbool.h>
#include <stdint.h>

enum { VARIABLE_NAME_MAX = 128, VARIABLE_MAX_DEPTH = 128 };

/* Constant, in one block of memory with its texts. */
struct variable {
    enum variable_type type;
    bool declared; /* the type was given with a write, or constraints were */
    uint64_t version;
    struct bytes name;
    struct bytes value;       /* JSON, without white space around it */
    struct bytes constraints; /* a JSON object, or empty */
};

/* What is to become of a variable. */
struct variable_write {
    struct bytes name;
    struct bytes value;       /* any bytes */
    struct bytes type;        /* a name; empty: as declared, or else what the value suggests */
    struct bytes constraints; /* any bytes; empty: as they are, while the type is */
    bool remove;              /* instead */
    bool expects;
    uint64_t expected_version; /* 0: there must be none of that name */
};

/* The variable that the write asks for, with that version; `old` is what there was, or NULL. A
 * value of another form is brought into that of its type: 3.0 is the integer 3, 3 the float 3.0,
 * and a float may be one of the strings NaN, Infinity and -Infinity. Returns owned, to be freed
 * with free(); or NULL, and out_fault says what is wrong. A pure function. */
struct variable *variable_new(const struct variable_write *write, const struct variable *old,
                              uint64_t version, struct variable_fault *out_fault);

/* 1 to VARIABLE_NAME_MAX letters, digits, or _ . : - of which the last three do not come first. */
bool variable_is_name(struct bytes name);

/* Bytes of memory, about. */
size_t variable_size(const struct variable *variable);

#endif
