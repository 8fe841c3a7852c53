/* What a running call has asked for itself and waits for: mostly another call, of a tool in any
 * pool; or something outside of the pools, which needs no worker.
 *
 * Each has a parent, the call that asked. When that ends first, whatever it still waits for is
 * given up. And since the parent keeps its worker meanwhile, calls can come to wait for each other
 * in a circle, which nested_is_hopeless() finds. */
#ifndef SNAKEPIT_POOL_NESTED_H
#define SNAKEPIT_POOL_NESTED_H

#include "base/list.h"
#include "pool/runtime.h"
#include "pool/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;
struct call;
struct session;

/* Embedded in what its maker knows of it. The lower half is the pool's, under the lock of the
 * parent's. */
struct nested {
    uint64_t id;       /* the worker's own number for it */
    struct call *call; /* of a pool, not submitted before nested_begin(); NULL: it needs no worker.
                          Constant from then on; borrowed until one of both ends is told */
    /* The parent has ended, or does not want it any more, or it has taken too long. On any thread,
     * without a lock. */
    void (*give_up)(struct nested *nested);
    uint64_t timeout_us; /* after which it is given up, too; 0: only a nested call limits itself */

    bool timed_out;          /* why it is given up */
    struct pool_timer timer; /* the timeout */
    struct call *parent;     /* borrowed */
    struct list place;       /* among those of its parent */
    struct nested *next;     /* of those that are to be given up */
};

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
 * many it has begun to wait for in all. Returns NULL, or why not (static). */
enum nested_verdict nested_begin(struct pool *pool, struct call *parent, struct nested *nested,
                                 unsigned limit, uint64_t *out_left_us, uint64_t *out_number)
    __attribute__((warn_unused_result));

/* What was waited for is there, or will never be. False: it has been given up before. */
bool nested_end(struct pool *pool, struct nested *nested) __attribute__((warn_unused_result));

/* Gives up the one of that number; nothing happens when it has ended. */
void pool_give_up_nested(struct pool *pool, struct worker_ref worker, uint64_t call_id,
                         uint64_t id);

/* Whether the nested call, which has not been submitted, could never run: the workers that may run
 * it are taken by calls that wait for calls that wait, in the end, for the same workers. To be
 * asked after nested_begin(): whoever closes such a circle is told. */
bool nested_is_hopeless(const struct call *call);

#endif
