#include "pool/inside.h"

void pool_drain(struct pool *pool)
{
    struct effects effects;
    pool_enter(pool, &effects);
    pool->state = POOL_LEAVING;
    pool_leave(pool, &effects);
}

static unsigned dismiss(struct pool *pool, struct worker_ref *out_refs, struct effects *effects)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        LIST_FOREACH (&worker->sent, node, next) {
            struct call *call = CONTAINER_OF(node, struct inflight, order)->call;
            if (call)
                schedule_end(pool, call, CALL_END_SHUTDOWN, EXECUTED_MAYBE, effects);
        }
        if (worker->state == WORKER_STARTING || worker->state == WORKER_READY)
            worker_move(worker, WORKER_DRAINING);
        schedule_reconsider(pool, worker);
        worker->leaving = true;
        if (worker->state != WORKER_VACANT)
            out_refs[count++] = worker->ref;
    }
    return count;
}

void pool_stop(struct pool *pool, uint64_t grace_us)
{
    struct effects effects;
    struct worker_ref refs[POOL_MAX_SEATS];
    pool_enter(pool, &effects);
    pool->state = POOL_LEAVING;
    pool->stopped = true;
    schedule_end_queued(pool, CALL_END_SHUTDOWN, &effects);
    unsigned count = dismiss(pool, refs, &effects);
    pool_leave(pool, &effects);
    for (unsigned i = 0; i < count; i++)
        pool->runtime->ops->stop(pool->runtime, refs[i], grace_us);
}
