/* How many workers are wanted. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_DEMAND_H
#define SNAKEPIT_POOL_DEMAND_H

#include "pool/inside.h"

/* Those that the pool begins with. */
void demand_init(struct pool *pool);

/* Changes how many there may be, as pool_resize(). */
const char *demand_limit(struct pool *pool, unsigned min_workers, unsigned max_workers,
                         unsigned spare);

/* Looks again: more when calls wait longer than they should, fewer when some had nothing to do for
 * long. */
void demand_review(struct pool *pool, uint64_t now_us);

#endif
