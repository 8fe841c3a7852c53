#include "pool/view.h"

#include "pool/affinity.h"
#include "pool/inside.h"
#include "pool/waiting.h"

#include <stdio.h>

/* Since when the call waits that waits longest, for any worker or for one. */
static uint64_t oldest_of(const struct pool *pool)
{
    uint64_t oldest_us = queue_oldest_us(&pool->queue);
    LIST_FOREACH (&pool->awaited, node, next) {
        const struct worker *worker = CONTAINER_OF(node, struct worker, awaited_place);
        uint64_t since_us = queue_oldest_us(&worker->waiting);
        oldest_us = since_us < oldest_us ? since_us : oldest_us;
    }
    return oldest_us;
}

void pool_look(struct pool *pool, struct pool_view *out_view)
{
    pthread_mutex_lock(&pool->lock);
    *out_view = (struct pool_view){
        .state = pool->state,
        .min_workers = pool->options.min_workers,
        .max_workers = pool->options.max_workers,
        .spare = pool->options.spare,
        .workers_wanted = pool->wanted,
        .queue_depth = waiting_count(pool),
        .pinned = pool->pinned,
        .retrying = pool->retrying,
        .queue_limit = pool->options.queue_limit,
        .queue_wait_us = pool->wait_us,
        .breaker = pool->breaker.state,
        .breaker_opened = pool->breaker.opened,
        .poison_after = pool->poison.after,
        .poison_ttl_us = pool->poison.ttl_us,
        .poisoned = poison_count(&pool->poison),
        .retries = pool->retries,
        .recycled = pool->recycled,
        .late_answers = pool->late_answers,
        .recovered = pool->recovered,
        .requeued = pool->requeued,
        .recalled = pool->recalled,
        .starts = pool->starts,
        .crashes = pool->crashes,
        .queue_seconds = pool->queue_seconds,
        .run_seconds = pool->run_seconds,
    };
    uint64_t oldest_us = oldest_of(pool);
    if (oldest_us != UINT64_MAX)
        out_view->queue_oldest_us = pool->options.now_us() - oldest_us;
    memcpy(out_view->reason, pool->reason, sizeof pool->reason);
    memcpy(out_view->ends, pool->ends, sizeof pool->ends);
    memcpy(out_view->emitted, pool->emitted, sizeof pool->emitted);
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        out_view->workers[worker->state]++;
        out_view->stalled += worker->state == WORKER_READY && worker->stalled;
        out_view->inflight += worker->inflight_count;
    }
    pthread_mutex_unlock(&pool->lock);
}

unsigned pool_look_at_workers(struct pool *pool, struct worker_view *out_views, unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_us = pool->options.now_us();
    for (unsigned i = 0; i < pool->seats && count < max; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_VACANT)
            continue;
        struct worker_view *view = &out_views[count++];
        *view = (struct worker_view){
            .state = worker->state,
            .pid = worker->pid,
            .slots = worker->slots,
            .inflight = worker->inflight_count,
            .tainted = worker_is_tainted(worker),
            .stalled = worker->stalled,
            .retiring = worker->retiring || worker->outdated,
            .resident = worker->resident,
            .calls_done = worker->calls_done,
            .age_us = now_us - worker->started_us,
            .startup_us = worker->ready_us ? worker->ready_us - worker->started_us : 0,
        };
        memcpy(view->id, worker->id, sizeof view->id);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

unsigned pool_outdated(struct pool *pool)
{
    unsigned count = 0;
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        count += (worker->state == WORKER_STARTING || worker->state == WORKER_READY) &&
                 worker->ref.number <= pool->reload_number;
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

unsigned pool_look_at_poison(struct pool *pool, struct poison_entry *out_entries, unsigned max)
{
    pthread_mutex_lock(&pool->lock);
    unsigned count = pool->poison.count < max ? pool->poison.count : max;
    memcpy(out_entries, pool->poison.entries, count * sizeof out_entries[0]);
    pthread_mutex_unlock(&pool->lock);
    return count;
}

static void describe(const struct call *call, uint64_t now_us, struct call_view *out_view)
{
    *out_view = (struct call_view){
        .number = call->number,
        .state = call->state,
        .priority = call->priority,
        .attempts = call->outcome.attempts,
        .age_us = now_us - call->submitted_us,
    };
    snprintf(out_view->request_id, sizeof out_view->request_id, "%.*s", (int)call->request_id.len,
             call->request_id.data);
    snprintf(out_view->tool, sizeof out_view->tool, "%.*s", (int)call->tool->spec.name.len,
             call->tool->spec.name.data);
    if (call->inflight) {
        memcpy(out_view->worker, call->outcome.worker, sizeof out_view->worker);
        out_view->ref = call->inflight->worker->ref;
        out_view->call_id = call->inflight->id;
    }
}

/* A worker may have calls that it has not begun with. Without the lock: what has ended meanwhile
 * stays as it was. */
static void ask_runtime(struct pool *pool, struct call_view *views, unsigned count)
{
    struct runtime *runtime = pool->runtime;
    for (unsigned i = 0; i < count; i++) {
        struct call_view *view = &views[i];
        if (view->state == CALL_DISPATCHED && runtime->ops->runs(runtime, view->ref, view->call_id))
            view->state = CALL_RUNNING;
    }
}

unsigned pool_look_at_calls(struct pool *pool, uint64_t after, struct call_view *out_views,
                            unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_us = pool->options.now_us();
    LIST_FOREACH (&pool->calls, node, next) {
        const struct call *call = CONTAINER_OF(node, struct call, known);
        if (count == max)
            break;
        if (call->number > after)
            describe(call, now_us, &out_views[count++]);
    }
    pthread_mutex_unlock(&pool->lock);
    ask_runtime(pool, out_views, count);
    return count;
}

unsigned pool_look_at_call(struct pool *pool, struct bytes request_id, struct call_view *out_view)
{
    unsigned found = 0;
    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH (&pool->calls, node, next) {
        const struct call *call = CONTAINER_OF(node, struct call, known);
        if (bytes_equal(call->request_id, request_id) && found++ == 0)
            describe(call, pool->options.now_us(), out_view);
    }
    pthread_mutex_unlock(&pool->lock);
    ask_runtime(pool, out_view, found ? 1 : 0);
    return found;
}

void pool_look_at(struct pool *pool, const struct call *call, struct call_view *out_view)
{
    pthread_mutex_lock(&pool->lock);
    describe(call, pool->options.now_us(), out_view);
    pthread_mutex_unlock(&pool->lock);
    ask_runtime(pool, out_view, 1);
}

void pool_look_at_session(struct pool *pool, const struct session *session,
                          char out_worker[WORKER_ID_MAX])
{
    pthread_mutex_lock(&pool->lock);
    const struct worker *worker = affinity_last(pool, session);
    if (worker)
        memcpy(out_worker, worker->id, WORKER_ID_MAX);
    else
        out_worker[0] = '\0';
    pthread_mutex_unlock(&pool->lock);
}
