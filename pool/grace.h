/* Calls that are given up while a worker has them, and the time it has to let go of them. Under the
 * pool's lock. */
#ifndef SNAKEPIT_POOL_GRACE_H
#define SNAKEPIT_POOL_GRACE_H

#include "pool/inside.h"

/* Ends a call that a worker has: the worker is told, and has the grace to let go of it. */
void grace_begin(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                 struct effects *effects);

#endif
