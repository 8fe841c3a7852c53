/* Workers that are gone. Under the pool's lock. */
#ifndef SNAKEPIT_POOL_DEATH_H
#define SNAKEPIT_POOL_DEATH_H

#include "pool/inside.h"

/* The process has gone: deals with its calls, vacates the seat. Returns how many calls were lost.
 */
unsigned death_settle(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                      const struct started_calls *started, uint64_t now_us,
                      struct effects *effects);

#endif
