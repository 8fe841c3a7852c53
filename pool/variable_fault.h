/* Why a variable cannot be as somebody wants it. */
#ifndef SNAKEPIT_POOL_VARIABLE_FAULT_H
#define SNAKEPIT_POOL_VARIABLE_FAULT_H

#include "base/bytes.h"

#include <stdbool.h>

enum { VARIABLE_DETAIL_MAX = 320 };

struct variable_fault {
    const char *member;      /* static: "name", "value", "type" or "constraints" */
    struct bytes constraint; /* its name as it stands in the write's JSON, borrowed; or NULL */
    char detail[VARIABLE_DETAIL_MAX];
};

/* Writes a fault of no constraint; returns false. */
bool variable_fault(struct variable_fault *out_fault, const char *member, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
