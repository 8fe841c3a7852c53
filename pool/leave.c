#include "pool/leave.h"

#include "pool/ending.h"
#include "pool/grace.h"
#include "pool/inside.h"
#include "pool/slots.h"

void pool_drain(struct pool *pool)
{
    struct effects effects;
    pool_enter(pool, &effects);
    pool->state = POOL_LEAVING;
    pool_leave(pool, &effects);
}

/* Ends what the worker has: it is told, so that it stops each call down to its last frame. False:
 * `effects` is full, apply it and come again. */
static bool end_sent(struct pool *pool, struct worker *worker, uint64_t now_us,
                     struct effects *effects)
{
    LIST_FOREACH (&worker->sent, node, next) {
        struct call *call = CONTAINER_OF(node, struct inflight, order)->call;
        if (!call)
            continue;
        if (effects_full(effects))
            return false;
        grace_begin(pool, call, CALL_END_SHUTDOWN, now_us, effects);
    }
    return true;
}

/* Takes no more calls. */
static void dismiss(struct pool *pool, struct worker *worker)
{
    if (worker->state == WORKER_STARTING || worker->state == WORKER_READY)
        worker_move(worker, WORKER_DRAINING);
    slots_reconsider(pool, worker);
    worker->leaving = true;
}

static unsigned list_workers(const struct pool *pool, struct worker_ref *out_refs)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        if (pool->workers[i].state != WORKER_VACANT)
            out_refs[count++] = pool->workers[i].ref;
    }
    return count;
}

/* What a worker gives back that dies between two sets of effects is queued again: hence the second
 * look at the queue. */
static unsigned end_all(struct pool *pool, struct worker_ref *out_refs)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    pool->state = POOL_LEAVING;
    pool->stopped = true;
    ending_give_waiting(pool, CALL_END_SHUTDOWN, &effects);
    for (unsigned i = 0; i < pool->seats; i++)
        dismiss(pool, &pool->workers[i]);
    for (unsigned i = 0; i < pool->seats; i++) {
        while (!end_sent(pool, &pool->workers[i], now_us, &effects)) {
            pool_leave(pool, &effects);
            now_us = pool_enter(pool, &effects);
        }
    }
    ending_give_waiting(pool, CALL_END_SHUTDOWN, &effects);
    unsigned count = list_workers(pool, out_refs);
    pool_leave(pool, &effects);
    return count;
}

void pool_stop(struct pool *pool, uint64_t grace_us)
{
    struct worker_ref refs[POOL_MAX_SEATS];
    unsigned count = end_all(pool, refs);
    for (unsigned i = 0; i < count; i++)
        pool->runtime->ops->stop(pool->runtime, refs[i], grace_us);
}
