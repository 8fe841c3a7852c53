/* Processes that end, or are to be replaced, before they did anything: they are not simply followed
 * by others, since these would do the same. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_BACKOFF_H
#define SNAKEPIT_POOL_BACKOFF_H

#include "pool/inside.h"

/* A process is to be replaced before it did anything: the next one is not started at once. Returns
 * whether it is time to say so. */
bool backoff_note_early(struct pool *pool, uint64_t now_us);

/* The worker has answered a call, for the first time. */
void backoff_note_first_answer(struct pool *pool, struct worker *worker);

/* The worker is gone. If it was of no use, and there is no other, the pool has FAILED after some
 * like that: the next one will not be there soon, or not for long, and nobody is to wait for it. */
void backoff_note_death(struct pool *pool, const struct worker *worker,
                        const struct worker_exit *exit, uint64_t now_us);

#endif
