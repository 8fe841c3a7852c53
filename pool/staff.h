/* The workers' seats: who comes, and who has to go. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_STAFF_H
#define SNAKEPIT_POOL_STAFF_H

#include "pool/inside.h"

/* Begins to look after the number of workers. */
void staff_open(struct pool *pool, uint64_t now_us);

/* Starts what is missing and dismisses what is too much. */
void staff_balance(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Calls have begun to wait: looks soon whether more workers are needed. */
void staff_hurry(struct pool *pool, uint64_t now_us);

/* A worker has attached: others may go now. */
void staff_ready(struct pool *pool, struct worker *worker, uint64_t now_us,
                 struct effects *effects);

/* The worker has answered calls. */
void staff_answered(struct pool *pool, struct worker *worker, uint64_t now_us,
                    struct effects *effects);

#endif
