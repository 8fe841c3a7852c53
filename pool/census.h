/* How many workers there are of some kind. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_CENSUS_H
#define SNAKEPIT_POOL_CENSUS_H

#include "pool/inside.h"

/* It is to stay: it comes or is there, and is not to go. */
static inline bool census_lasts(const struct worker *worker)
{
    return (worker->state == WORKER_STARTING || worker->state == WORKER_READY) && !worker->retiring;
}

/* READY ones; of these, those that last; and those that have calls. */
unsigned census_able(const struct pool *pool);
unsigned census_ready(const struct pool *pool);
unsigned census_busy(const struct pool *pool);

/* Those that last. One that is lost has its place until it is gone, which is soon: how it went says
 * how its replacement is to be started. */
unsigned census_lasting(const struct pool *pool);

/* Those that are about to go. One that drains may have a long answer to finish: others do not wait
 * for that. */
unsigned census_retiring(const struct pool *pool);

/* The processes there will be: those there are and those that are missing. */
unsigned census_processes(const struct pool *pool);

#endif
