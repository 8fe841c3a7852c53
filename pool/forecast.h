/* How long things will take. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_FORECAST_H
#define SNAKEPIT_POOL_FORECAST_H

#include "pool/inside.h"

/* Notes a tool's measured run time. */
void forecast_measure(struct pool *pool, struct tool *tool, uint64_t run_us, uint64_t now_us);

/* The call, which a worker has, is out of time: its tool takes longer than that. */
void forecast_missed(const struct call *call, uint64_t now_us);

/* Whether the call, which is to be submitted, cannot be done in its time: the wait, at the pace of
 * now, and the tool's median are more than that. `only`: no other worker may run it; or NULL. */
bool forecast_is_hopeless(const struct pool *pool, const struct call *call,
                          const struct worker *only, uint64_t now_us);

/* The call has waited until what is left is less than its tool takes, and others wait behind it,
 * for whom the worker's time is not wasted. The last one tries: that is how a tool that has become
 * faster is noticed. */
bool forecast_comes_too_late(const struct pool *pool, const struct call *call, uint64_t now_us);

/* Seconds until the caller of this call, which is refused or has waited in vain, may find room:
 * length of the queue by the pace of answers; or until the breaker lets a trial through, or the
 * next worker is started. 1 to 60. */
unsigned forecast_retry_after(const struct pool *pool, const struct call *call);

#endif
