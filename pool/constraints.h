/* What the values of a variable have in common, beyond their type: {"min": 0, "max": 1} and the
 * like. Pure functions. */
#ifndef SNAKEPIT_POOL_CONSTRAINTS_H
#define SNAKEPIT_POOL_CONSTRAINTS_H

#include "base/bytes.h"
#include "pool/variable_fault.h"
#include "pool/variable_type.h"

#include <stdbool.h>

/* Floats that JSON has no number for. */
enum special { SPECIAL_NONE, SPECIAL_NAN, SPECIAL_ABOVE, SPECIAL_BELOW };

/* Whether these, any bytes, are constraints that the type has, and a value of that type meets them.
 * Cuts white space around them, and makes {} empty. `value` is JSON, and `special` what it stands
 * for. */
bool constraints_check(struct bytes *constraints, enum variable_type type, struct bytes value,
                       enum special special, struct variable_fault *out_fault)
    __attribute__((warn_unused_result));

#endif
