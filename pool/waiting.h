/* Calls that wait: for any worker, for one alone, or for their retry. All of it under the pool's
 * lock. */
#ifndef SNAKEPIT_POOL_WAITING_H
#define SNAKEPIT_POOL_WAITING_H

#include "pool/inside.h"

/* The call begins to wait, or does so again since it lost its worker. Its timer is set to when it
 * has waited too long. */
void waiting_begin(struct pool *pool, struct call *call, uint64_t now_us);

/* The call, which its worker gives back that was given it at `sent_us`, goes on to wait as if it
 * had not been. */
void waiting_go_on(struct pool *pool, struct call *call, uint64_t sent_us, uint64_t now_us);

/* The call, whose worker died with it, waits so long before it goes into the queue again, by
 * waiting_resume(). Its timer is set to that. */
void waiting_begin_retry(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us);
bool waiting_is_for_retry(const struct call *call);
void waiting_resume(struct pool *pool, struct call *call, uint64_t now_us);

/* The call, which waits, does so from now on for this worker alone; or for any. */
void waiting_bind(struct pool *pool, struct call *call, struct worker *worker, uint64_t now_us);
void waiting_unbind(struct pool *pool, struct call *call, uint64_t now_us);

/* The call does not wait any more, if it did. */
void waiting_end(struct pool *pool, struct call *call);

/* How many wait. */
unsigned waiting_count(const struct pool *pool);

#endif
