/* Which call goes to which worker, and when. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_SCHEDULER_H
#define SNAKEPIT_POOL_SCHEDULER_H

#include "pool/inside.h"

/* Why the call must be refused, if so. One that is let through may have become the breaker's trial.
 */
bool schedule_refuses(struct pool *pool, struct call *call, uint64_t now_us,
                      enum call_end *out_end);

/* Gives queued calls to workers that can take them, in order. False: `effects` is full, apply it
 * and come again. */
bool schedule_pump(struct pool *pool, uint64_t now_us, struct effects *effects);

#endif
