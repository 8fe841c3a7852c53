/* What a running call has asked for itself and waits for: mostly another call, of a tool in any
 * pool; or something outside of the pools, which needs no worker.
 *
 * Each has a parent, the call that asked. When that ends first, whatever it still waits for is
 * given up. And since the parent keeps its worker meanwhile, calls can come to wait for each other
 * in a circle, which deadlock.h finds. */
#ifndef SNAKEPIT_POOL_NESTED_H
#define SNAKEPIT_POOL_NESTED_H

#include "pool/call.h"
#include "pool/runtime.h"

#include <stdbool.h>
#include <stdint.h>

struct effects;
struct pool;

/* The call of that id that the worker runs, and its session or NULL, with references for the
 * caller; NULL when it has ended. */
struct call *pool_find_call(struct pool *pool, struct worker_ref worker, uint64_t call_id,
                            struct session **out_session);

enum nested_verdict {
    NESTED_BEGUN,
    NESTED_ENDED,    /* the parent has ended */
    NESTED_TOO_MANY, /* the parent waits for as many as it may */
};

/* The parent, a call that runs in `pool`, begins to wait; it waits for `limit` at most. Exactly
 * once afterwards either nested_end() returns true or `give_up` is called. The nested call joins
 * the parent's session, and its affinity. Writes what time the parent has left, at least 1, and how
 * many it has begun to wait for in all. */
enum nested_verdict nested_begin(struct pool *pool, struct call *parent, struct nested *nested,
                                 unsigned limit, uint64_t *out_left_us, uint64_t *out_number)
    __attribute__((warn_unused_result));

/* What was waited for is there, or will never be. False: it has been given up before. */
bool nested_end(struct pool *pool, struct nested *nested) __attribute__((warn_unused_result));

/* Gives up the one of that number; nothing happens when it has ended. */
void pool_give_up_nested(struct pool *pool, struct worker_ref worker, uint64_t call_id,
                         uint64_t id);

/* The call ends, or has lost its worker: what it waits for is given up. While it has its entry;
 * under the pool's lock. */
void nested_abandon(struct call *parent, struct effects *effects);

#endif
