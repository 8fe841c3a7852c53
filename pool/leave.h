/* The end of a pool. Any thread. */
#ifndef SNAKEPIT_POOL_LEAVE_H
#define SNAKEPIT_POOL_LEAVE_H

#include <stdint.h>

struct pool;

/* Refuses new calls from now on; those that are in go on, and get workers, but no second try. */
void pool_drain(struct pool *pool);

/* Ends every call that is left (CALL_END_SHUTDOWN): workers are told to stop what they run, and
 * then to leave within `grace_us`. */
void pool_stop(struct pool *pool, uint64_t grace_us);

#endif
