/* The workers' seats: how many are taken, and who has to go. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_STAFF_H
#define SNAKEPIT_POOL_STAFF_H

#include "pool/inside.h"

/* The longest wait before another process is started; one that has lived so long was of use. */
enum { STAFF_BACKOFF_MAX_US = 5000000 };

/* Begins to look after the number of workers. */
void staff_open(struct pool *pool, uint64_t now_us);

/* Starts what is missing and dismisses what is too much. */
void staff_balance(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Calls have begun to wait: looks soon whether more workers are needed. */
void staff_hurry(struct pool *pool, uint64_t now_us);

/* The worker is to be replaced when its turn comes; `why` is static. */
void staff_retire(struct worker *worker, const char *why);

/* As staff_retire(), for a reason that its successors may have as well: if it was not given a call
 * yet, they come ever more slowly. Returns whether it is time to say so. */
bool staff_retire_early(struct pool *pool, struct worker *worker, const char *why, uint64_t now_us);

/* A worker has attached: others may go now. */
void staff_ready(struct pool *pool, struct worker *worker, uint64_t now_us,
                 struct effects *effects);

/* The worker has answered calls. */
void staff_answered(struct pool *pool, struct worker *worker, uint64_t now_us,
                    struct effects *effects);

/* A process has ended, or is to, before it did anything: the next one is not started at once. */
void staff_slow_down(struct pool *pool, uint64_t now_us);

/* READY workers; and of these, those that are to last. */
unsigned staff_able_count(const struct pool *pool);
unsigned staff_ready_count(const struct pool *pool);

#endif
