/* How calls end. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_ENDING_H
#define SNAKEPIT_POOL_ENDING_H

#include "pool/inside.h"

/* Ends the call and leaves its answer in `effects`; takes it out of the queue or from its worker's
 * entry. */
void ending_give(struct pool *pool, struct call *call, enum call_end end,
                 enum call_executed executed, struct effects *effects);

/* Ends every call that no worker has. */
void ending_give_waiting(struct pool *pool, enum call_end end, struct effects *effects);

/* Ends a call that has lost the worker of its session: the one of that number, or the present one
 * (0). */
void ending_give_lost(struct pool *pool, struct call *call, uint64_t number,
                      struct effects *effects);

/* No end: takes the call from the worker that died with it, and lets it wait for a while before it
 * goes into the queue again. */
void ending_put_off(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us);

#endif
