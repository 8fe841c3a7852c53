#include "pool/waiting.h"

#include "pool/affinity.h"

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Puts the call among those that wait for this worker alone. */
static void await_worker(struct pool *pool, struct call *call, struct worker *worker,
                         uint64_t now_us)
{
    if (worker->waiting.depth == 0)
        list_push_back(&pool->awaited, &worker->awaited_place);
    queue_put(&worker->waiting, call, now_us);
    call->awaits = worker;
    pool->pinned++;
}

static void await_no_worker(struct pool *pool, struct call *call)
{
    queue_remove(&call->awaits->waiting, call);
    if (call->awaits->waiting.depth == 0)
        list_remove(&call->awaits->awaited_place);
    call->awaits = NULL;
    pool->pinned--;
}

/* Into the queue in which its turn will come, where its time runs since then. */
static void join(struct pool *pool, struct call *call, uint64_t since_us, uint64_t now_us)
{
    uint64_t limit_us = call->queue_timeout_us;
    uint64_t waited_us = call->outcome.queue_us; /* before it lost a worker */
    uint64_t left_us = limit_us > waited_us ? limit_us - waited_us : 0;
    struct worker *only;
    heap_set(&pool->timers, &call->timer.node, sooner(since_us + left_us, call->deadline_us));
    if (affinity_judge(pool, call, &only) == AFFINITY_ONE)
        await_worker(pool, call, only, now_us);
    else
        queue_put(&pool->queue, call, now_us);
}

void waiting_begin(struct pool *pool, struct call *call, uint64_t now_us)
{
    call_move(call, CALL_QUEUED);
    call->enqueued_us = now_us;
    join(pool, call, now_us, now_us);
}

void waiting_go_on(struct pool *pool, struct call *call, uint64_t sent_us, uint64_t now_us)
{
    call_move(call, CALL_QUEUED);
    call->outcome.queue_us -= sent_us - call->enqueued_us;
    join(pool, call, call->enqueued_us, now_us);
}

void waiting_begin_retry(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us)
{
    call_move(call, CALL_QUEUED);
    call->enqueued_us = now_us;
    heap_set(&pool->timers, &call->timer.node, sooner(now_us + after_us, call->deadline_us));
    pool->retrying++;
}

/* Such a call is queued, but in no list. */
bool waiting_is_for_retry(const struct call *call)
{
    return call->state == CALL_QUEUED && list_empty(&call->place);
}

void waiting_resume(struct pool *pool, struct call *call, uint64_t now_us)
{
    pool->retrying--;
    join(pool, call, now_us, now_us);
}

void waiting_end(struct pool *pool, struct call *call)
{
    if (call->awaits)
        await_no_worker(pool, call);
    else if (!list_empty(&call->place))
        queue_remove(&pool->queue, call);
    else if (waiting_is_for_retry(call))
        pool->retrying--;
}

void waiting_bind(struct pool *pool, struct call *call, struct worker *worker, uint64_t now_us)
{
    waiting_end(pool, call);
    await_worker(pool, call, worker, now_us);
}

void waiting_unbind(struct pool *pool, struct call *call, uint64_t now_us)
{
    waiting_end(pool, call);
    queue_put(&pool->queue, call, now_us);
}

unsigned waiting_count(const struct pool *pool)
{
    return pool->queue.depth + pool->pinned + pool->retrying;
}
