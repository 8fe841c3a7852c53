/* Calls that wait for calls that wait for them. Any thread. */
#ifndef SNAKEPIT_POOL_DEADLOCK_H
#define SNAKEPIT_POOL_DEADLOCK_H

#include "pool/call.h"

#include <stdbool.h>

/* Whether the nested call, which has not been submitted, could never run: the workers that may run
 * it are taken by calls that wait for calls that wait, in the end, for the same workers. To be
 * asked after nested_begin(): whoever closes such a circle is told. */
bool deadlock_closes(const struct call *call);

#endif
