#include "pool/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "pool/inside.h"

#include <stdio.h>
#include <stdlib.h>

/* Seconds; from a fast tool's wait to a long model run. */
static const double bounds[] = {.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1,
                                .25,    .5,    1,      2.5,   5,    10,    30,   60,  120,  300};

struct pool_options pool_defaults(void)
{
    return (struct pool_options){
        .name = "default",
        .workers = 1,
        .queue_limit = 1000,
        .queue_timeout_us = UINT64_C(10000000),
        .timeout_us = UINT64_C(300000000),
        .ahead_budget_us = 1000,
        .cancel_grace_us = UINT64_C(5000000),
        .now_us = clock_now_us,
    };
}

struct pool *pool_new(const struct pool_options *options, struct registry *registry,
                      struct runtime *runtime, struct observer observer)
{
    struct pool *pool = MEM_NEW(struct pool);
    pool->options = *options;
    snprintf(pool->name, sizeof pool->name, "%s", options->name);
    pool->registry = registry;
    pool->runtime = runtime;
    pool->observer = observer;
    pthread_mutex_init(&pool->lock, NULL);
    pool->workers = mem_array(options->workers, sizeof(struct worker));
    for (unsigned i = 0; i < options->workers; i++)
        worker_init(&pool->workers[i], i);
    list_init(&pool->free);
    list_init(&pool->queue);
    pool->alarm_us = UINT64_MAX;
    histogram_init(&pool->queue_seconds, bounds, sizeof bounds / sizeof bounds[0]);
    histogram_init(&pool->run_seconds, bounds, sizeof bounds / sizeof bounds[0]);
    return pool;
}

void pool_free(struct pool **pool)
{
    struct pool *gone = *pool;
    *pool = NULL;
    if (!gone)
        return;
    heap_deinit(&gone->timers);
    free(gone->workers);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

const char *pool_name(const struct pool *pool)
{
    return pool->name;
}

static uint64_t enter(struct pool *pool, struct effects *effects)
{
    effects_init(effects);
    pthread_mutex_lock(&pool->lock);
    return pool->options.now_us();
}

static void leave(struct pool *pool, struct effects *effects)
{
    const struct heap_node *first = heap_first(&pool->timers);
    if (first && first->key < pool->alarm_us)
        pool->alarm_us = effects->alarm_us = first->key;
    pthread_mutex_unlock(&pool->lock);
    effects_apply(effects, pool->runtime);
}

/* Leaves, and comes back as often as there is more to dispatch than one set of effects holds. */
static void leave_pumping(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    while (!schedule_pump(pool, now_us, effects)) {
        leave(pool, effects);
        bool flush = effects->flush;
        now_us = enter(pool, effects);
        effects->flush = flush;
    }
    leave(pool, effects);
}

void pool_start(struct pool *pool)
{
    for (unsigned i = 0; i < pool->options.workers;) {
        struct effects effects;
        uint64_t now_us = enter(pool, &effects);
        for (; i < pool->options.workers && !effects_full(&effects); i++)
            staff_start(pool, &pool->workers[i], now_us, &effects);
        leave(pool, &effects);
    }
}

/* Why the call cannot even be queued, if so. */
static bool refusal(const struct pool *pool, enum call_end *out_end)
{
    if (pool->draining)
        *out_end = CALL_END_SHUTDOWN;
    else if (pool->state == POOL_FAILED)
        *out_end = CALL_END_NO_WORKERS;
    else if (pool->queue_depth >= pool->options.queue_limit)
        *out_end = CALL_END_SATURATED;
    else
        return false;
    return true;
}

void pool_submit(struct pool *pool, struct call *call)
{
    struct effects effects;
    enum call_end end;
    call_ref(call);
    uint64_t now_us = enter(pool, &effects);
    call->submitted_us = call->enqueued_us = now_us;
    call->deadline_us = now_us + (call->timeout_us ? call->timeout_us : pool->options.timeout_us);
    bool refused = refusal(pool, &end);
    if (refused) {
        call->outcome.retry_after_s = schedule_retry_after(pool);
        schedule_end(pool, call, end, EXECUTED_NO, &effects);
        leave(pool, &effects);
        return;
    }
    schedule_enqueue(pool, call, false, now_us);
    leave_pumping(pool, now_us, &effects);
}

void pool_flush(struct pool *pool)
{
    pool->runtime->ops->flush(pool->runtime);
}

void pool_cancel(struct pool *pool, struct call *call)
{
    struct effects effects;
    uint64_t now_us = enter(pool, &effects);
    if (call->state == CALL_DISPATCHED || call->state == CALL_RUNNING) {
        schedule_give_up(pool, call, CALL_END_CANCELLED, now_us, &effects);
    } else if (call->state == CALL_QUEUED) {
        schedule_end(pool, call, CALL_END_CANCELLED, EXECUTED_NO, &effects);
    }
    leave(pool, &effects);
}

/* The worker that the reference means, if it is still there. */
static struct worker *resolve(struct pool *pool, struct worker_ref ref)
{
    struct worker *worker = ref.seat < pool->options.workers ? &pool->workers[ref.seat] : NULL;
    return worker && worker_is(worker, ref) ? worker : NULL;
}

static bool all_ready(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->options.workers; i++) {
        if (pool->workers[i].state != WORKER_READY)
            return false;
    }
    return true;
}

bool pool_worker_ready(struct pool *pool, struct worker_ref ref, const struct worker_hello *hello)
{
    struct effects effects;
    char id[WORKER_ID_MAX] = "";
    bool started = false;
    uint64_t startup_us = 0;
    uint64_t now_us = enter(pool, &effects);
    struct worker *worker = resolve(pool, ref);
    bool expected = worker && worker->state == WORKER_STARTING && pool->state != POOL_LEAVING;
    if (expected) {
        worker_move(worker, WORKER_READY);
        worker->pid = hello->pid;
        worker->slots = hello->slots;
        worker->ready_us = now_us;
        startup_us = now_us - worker->started_us;
        memcpy(id, worker->id, sizeof id);
        started = pool->state == POOL_STARTING && all_ready(pool);
        if (started || pool->state == POOL_FAILED)
            pool->state = POOL_RUNNING;
        pool->reason[0] = '\0';
        schedule_reconsider(pool, worker);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
    if (expected && pool->observer.ops->worker_ready)
        pool->observer.ops->worker_ready(pool->observer.context, id, hello->pid, startup_us);
    if (started && pool->observer.ops->pool_started)
        pool->observer.ops->pool_started(pool->observer.context, pool);
    return expected;
}

static void answer(struct pool *pool, struct worker *worker, const struct worker_answer *from,
                   struct arena *memory, struct effects *effects)
{
    struct inflight *entry = worker_find(worker, from->call_id);
    struct call *call = entry ? entry->call : NULL;
    if (entry && (!from->failed || from->started))
        schedule_measure(pool, entry->tool, from->run_us);
    if (call) {
        call->outcome.body = from->body;
        call->outcome.content_type = from->content_type;
        call->outcome.failure = from->failure;
        call->outcome.run_us = from->run_us;
        call->outcome.memory = arena_ref(memory);
        schedule_end(pool, call, from->failed ? CALL_END_FAILURE : CALL_END_RESULT,
                     !from->failed || from->started ? EXECUTED_YES : EXECUTED_NO, effects);
    } else {
        pool->late_answers++;
    }
    if (entry) {
        worker->calls_done++;
        heap_remove(&pool->timers, &entry->grace.node);
        worker_release(worker, entry);
    }
}

static void measure_pace(struct pool *pool, size_t count, uint64_t now_us)
{
    uint64_t every_us = (now_us - pool->answered_us) / count;
    if (pool->answered_us)
        pool->answer_every_us +=
            (uint64_t)(((int64_t)every_us - (int64_t)pool->answer_every_us) / 8);
    pool->answered_us = now_us;
}

void pool_worker_answers(struct pool *pool, struct worker_ref ref,
                         const struct worker_answer *answers, size_t count, struct arena *memory)
{
    struct effects effects;
    if (count == 0)
        return;
    uint64_t now_us = enter(pool, &effects);
    struct worker *worker = resolve(pool, ref);
    if (worker) {
        for (size_t i = 0; i < count; i++)
            answer(pool, worker, &answers[i], memory, &effects);
        measure_pace(pool, count, now_us);
        schedule_reconsider(pool, worker);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
}

void pool_worker_gone(struct pool *pool, struct worker_ref ref, const struct worker_exit *exit,
                      const struct started_calls *started)
{
    struct effects effects;
    struct worker_exit cause = *exit;
    char id[WORKER_ID_MAX] = "";
    int pid = 0;
    unsigned lost = 0;
    uint64_t now_us = enter(pool, &effects);
    struct worker *worker = resolve(pool, ref);
    if (worker) {
        memcpy(id, worker->id, sizeof id);
        pid = worker->pid;
        cause.expected = exit->expected || worker->leaving;
        lost = staff_gone(pool, worker, &cause, started, now_us, &effects);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
    if (worker && pool->observer.ops->worker_gone)
        pool->observer.ops->worker_gone(pool->observer.context, id, pid, &cause, lost);
}

static void end_queued(struct pool *pool, enum call_end end, struct effects *effects)
{
    while (!list_empty(&pool->queue)) {
        struct call *call = LIST_OWNER(pool->queue.next, struct call, place);
        call->outcome.retry_after_s = schedule_retry_after(pool);
        schedule_end(pool, call, end, EXECUTED_NO, effects);
    }
}

static bool any_ready(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->options.workers; i++) {
        if (pool->workers[i].state == WORKER_READY)
            return true;
    }
    return false;
}

/* Workers that are there go on, even if no more can be started. */
void pool_fail(struct pool *pool, const char *reason)
{
    struct effects effects;
    enter(pool, &effects);
    snprintf(pool->reason, sizeof pool->reason, "%s", reason);
    if (pool->state != POOL_LEAVING && !any_ready(pool)) {
        pool->state = POOL_FAILED;
        end_queued(pool, CALL_END_NO_WORKERS, &effects);
    }
    leave(pool, &effects);
    if (pool->observer.ops->pool_failed)
        pool->observer.ops->pool_failed(pool->observer.context, pool, reason);
}

uint64_t pool_tick(struct pool *pool)
{
    struct effects effects;
    uint64_t next_us;
    bool more;
    do {
        uint64_t now_us = enter(pool, &effects);
        struct heap_node *first = heap_first(&pool->timers);
        while (first && first->key <= now_us && !effects_full(&effects)) {
            struct pool_timer *timer = HEAP_OWNER(first, struct pool_timer, node);
            heap_remove(&pool->timers, first);
            timer->fire(pool, timer, now_us, &effects);
            first = heap_first(&pool->timers);
        }
        more = first && first->key <= now_us;
        next_us = pool->alarm_us = first ? first->key : UINT64_MAX;
        leave(pool, &effects);
    } while (more);
    return next_us;
}

void pool_drain(struct pool *pool)
{
    struct effects effects;
    enter(pool, &effects);
    pool->draining = true;
    leave(pool, &effects);
}

static unsigned dismiss(struct pool *pool, struct worker_ref *out_refs, struct effects *effects)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->options.workers; i++) {
        struct worker *worker = &pool->workers[i];
        LIST_FOREACH (&worker->sent, node, next) {
            struct call *call = LIST_OWNER(node, struct inflight, order)->call;
            if (call)
                schedule_end(pool, call, CALL_END_SHUTDOWN, EXECUTED_MAYBE, effects);
        }
        if (worker->state == WORKER_STARTING || worker->state == WORKER_READY)
            worker_move(worker, WORKER_DRAINING);
        schedule_reconsider(pool, worker);
        worker->leaving = true;
        heap_remove(&pool->timers, &worker->timer.node);
        if (worker->state != WORKER_VACANT)
            out_refs[count++] = worker->ref;
    }
    return count;
}

void pool_stop(struct pool *pool, uint64_t grace_us)
{
    struct effects effects;
    struct worker_ref refs[POOL_MAX_WORKERS];
    enter(pool, &effects);
    pool->state = POOL_LEAVING;
    pool->draining = true;
    end_queued(pool, CALL_END_SHUTDOWN, &effects);
    unsigned count = dismiss(pool, refs, &effects);
    leave(pool, &effects);
    for (unsigned i = 0; i < count; i++)
        pool->runtime->ops->stop(pool->runtime, refs[i], grace_us);
}

static const char *const state_names[] = {
    [POOL_STARTING] = "starting",
    [POOL_RUNNING] = "running",
    [POOL_FAILED] = "failed",
    [POOL_LEAVING] = "leaving",
};

const char *pool_state_name(enum pool_state state)
{
    return state_names[state];
}

void pool_look(struct pool *pool, struct pool_view *out_view)
{
    pthread_mutex_lock(&pool->lock);
    *out_view = (struct pool_view){
        .state = pool->draining ? POOL_LEAVING : pool->state,
        .workers_wanted = pool->options.workers,
        .queue_depth = pool->queue_depth,
        .queue_limit = pool->options.queue_limit,
        .late_answers = pool->late_answers,
        .requeued = pool->requeued,
        .starts = pool->starts,
        .crashes = pool->crashes,
        .queue_seconds = pool->queue_seconds,
        .run_seconds = pool->run_seconds,
    };
    memcpy(out_view->reason, pool->reason, sizeof pool->reason);
    memcpy(out_view->ends, pool->ends, sizeof pool->ends);
    for (unsigned i = 0; i < pool->options.workers; i++) {
        out_view->workers[pool->workers[i].state]++;
        out_view->inflight += pool->workers[i].inflight_count;
    }
    pthread_mutex_unlock(&pool->lock);
}

unsigned pool_look_at_workers(struct pool *pool, struct worker_view *out_views, unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&pool->lock);
    uint64_t now_us = pool->options.now_us();
    for (unsigned i = 0; i < pool->options.workers && count < max; i++) {
        const struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_VACANT)
            continue;
        struct worker_view *view = &out_views[count++];
        *view = (struct worker_view){
            .state = worker->state,
            .pid = worker->pid,
            .slots = worker->slots,
            .inflight = worker->inflight_count,
            .calls_done = worker->calls_done,
            .age_us = now_us - worker->started_us,
            .startup_us = worker->ready_us ? worker->ready_us - worker->started_us : 0,
        };
        memcpy(view->id, worker->id, sizeof view->id);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}
