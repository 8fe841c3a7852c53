/* Whether two JSON values are the same value: numbers by what they are worth, strings by their
 * characters whichever are escaped, objects whatever the order of their members. An object in which
 * a name is given twice may count as different from every other.
 *
 * For values that json_check() accepted. Nothing is allocated; the depth of recursion is that of
 * the values. Any thread. */
#ifndef SNAKEPIT_BASE_JSON_EQUAL_H
#define SNAKEPIT_BASE_JSON_EQUAL_H

#include "base/json.h"

/* Takes what it costs, about a unit for each member looked at, off `work`. Where that is not
 * enough, `work` becomes 0 and the answer false. */
bool json_equal(struct json_value a, struct json_value b, uint64_t *work);

/* The same for the insides of two strings or member names. */
bool json_equal_text(struct bytes a, struct bytes b);

/* Equal for equal values. */
uint64_t json_hash(struct json_value value);

#endif
