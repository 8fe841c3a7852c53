/* How long calls may take. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_LIMITS_H
#define SNAKEPIT_POOL_LIMITS_H

#include "pool/inside.h"

/* Writes into the call which limits hold. */
void limits_settle(const struct pool *pool, struct call *call);

/* Whether the call, which has its state still, ends because its tool used up what it gets where the
 * caller wishes nothing: the time to run, or that in all and most of it by running. A stream that
 * has emitted something does so by silence only: it may last as long as its reader wants. */
bool limits_used_up(const struct pool *pool, const struct call *call, enum call_end end);

#endif
