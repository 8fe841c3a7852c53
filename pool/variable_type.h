/* What the values of a variable are. */
#ifndef SNAKEPIT_POOL_VARIABLE_TYPE_H
#define SNAKEPIT_POOL_VARIABLE_TYPE_H

#include "base/bytes.h"

#include <stdbool.h>

enum variable_type {
    VARIABLE_ANY, /* whatever it is; what null suggests */
    VARIABLE_FLOAT,
    VARIABLE_INTEGER,
    VARIABLE_STRING,
    VARIABLE_BOOLEAN,
    VARIABLE_LIST,
    VARIABLE_MAP,
    VARIABLE_EMBEDDING, /* a list of floats */
    VARIABLE_TENSOR,    /* {"shape": […], "data": […]}, the numbers in one list */
    VARIABLE_CHOICE,    /* one of the constraint `choices` or `enum` */
    VARIABLE_MODULE,    /* a name */
};
enum { VARIABLE_TYPES = VARIABLE_MODULE + 1 };

/* "float" and so on. */
const char *variable_type_name(enum variable_type type);

/* The type of that name. False: there is none. */
bool variable_type_find(struct bytes name, enum variable_type *out_type);

#endif
