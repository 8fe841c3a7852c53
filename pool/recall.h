/* Calls that were sent ahead and wait at their worker for longer than was expected: they are taken
 * back, as far as they have not started, and wait for any worker, as if they had never been sent.
 * All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_RECALL_H
#define SNAKEPIT_POOL_RECALL_H

#include "pool/inside.h"

/* The worker has been given this call: sees to it that it does not wait there for long. */
void recall_watch(struct pool *pool, const struct inflight *entry);

/* Whether the answer, the worker's for a call that somebody waits for, gives it back. */
bool recall_returns(const struct inflight *entry, const struct worker_answer *answer);

/* The call of the entry, which is to be released, goes to where its turn is in the queue. */
void recall_end(struct pool *pool, struct inflight *entry, uint64_t now_us,
                struct effects *effects);

#endif
