#include "pool/inside.h"

/* What a call is taken to cost on top of the tool's own time, and while its tool was never
 * measured. */
enum { OVERHEAD_US = 10, UNMEASURED_US = 1000000 };

static void on_call_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                        struct effects *effects);

static uint64_t queue_due(const struct pool *pool, const struct call *call)
{
    uint64_t limit =
        call->queue_timeout_us ? call->queue_timeout_us : pool->options.queue_timeout_us;
    uint64_t waited = call->outcome.queue_us; /* before it lost a worker */
    uint64_t due = call->enqueued_us + (limit > waited ? limit - waited : 0);
    return due < call->deadline_us ? due : call->deadline_us;
}

void schedule_enqueue(struct pool *pool, struct call *call, bool again, uint64_t now_us)
{
    call_move(call, CALL_QUEUED);
    call->enqueued_us = now_us;
    call->timer.fire = on_call_due;
    heap_set(&pool->timers, &call->timer.node, queue_due(pool, call));
    if (again)
        list_push_front(&pool->queue, &call->place);
    else
        list_push_back(&pool->queue, &call->place);
    pool->queue_depth++;
}

static void leave_queue(struct pool *pool, struct call *call)
{
    if (call->state != CALL_QUEUED)
        return;
    list_remove(&call->place);
    pool->queue_depth--;
}

void schedule_end(struct pool *pool, struct call *call, enum call_end end,
                  enum call_executed executed, struct effects *effects)
{
    leave_queue(pool, call);
    heap_remove(&pool->timers, &call->timer.node);
    if (call->inflight)
        call->inflight->call = NULL;
    call->inflight = NULL;
    call_move(call, CALL_DONE);
    call->outcome.end = end;
    call->outcome.executed = executed;
    pool->ends[end]++;
    effects_answer(effects, call);
}

static struct worker *worker_of(struct inflight *entry)
{
    return LIST_OWNER(entry - (entry->id & 0xff), struct worker, inflight);
}

/* The worker still runs a call that nobody waits for. It alone is killed, and that is no crash. */
static void on_grace_over(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                          struct effects *effects)
{
    struct inflight *entry = LIST_OWNER(timer, struct inflight, grace);
    struct worker *worker = worker_of(entry);
    if (worker->slots == 1 && worker->sent.next != &entry->order) {
        /* Another call runs, and its tool keeps the worker from letting go of this one. */
        heap_set(&pool->timers, &timer->node, now_us + pool->options.cancel_grace_us);
        return;
    }
    worker->leaving = true;
    if (worker->state == WORKER_READY)
        worker_move(worker, WORKER_DRAINING);
    schedule_reconsider(pool, worker);
    effects->kills[effects->kill_count++] = worker->ref;
}

void schedule_give_up(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                      struct effects *effects)
{
    struct inflight *entry = call->inflight;
    effects->cancels[effects->cancel_count].worker = worker_of(entry)->ref;
    effects->cancels[effects->cancel_count++].call_id = entry->id;
    effects->flush = true;
    entry->grace.fire = on_grace_over;
    heap_set(&pool->timers, &entry->grace.node, now_us + pool->options.cancel_grace_us);
    call->outcome.run_us = now_us - entry->sent_us;
    schedule_end(pool, call, end, EXECUTED_MAYBE, effects);
}

/* A queued call has waited too long, or a dispatched one has used up its time. */
static void on_call_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                        struct effects *effects)
{
    struct call *call = HEAP_OWNER(timer, struct call, timer);
    if (call->state == CALL_QUEUED) {
        call->outcome.queue_us += now_us - call->enqueued_us;
        call->outcome.retry_after_s = schedule_retry_after(pool);
        schedule_end(pool, call, CALL_END_QUEUE_TIMEOUT, EXECUTED_NO, effects);
        return;
    }
    schedule_give_up(pool, call, CALL_END_TIMEOUT, now_us, effects);
}

void schedule_reconsider(struct pool *pool, struct worker *worker)
{
    bool listed = !list_empty(&worker->free_place);
    bool free = worker->state == WORKER_READY && worker->inflight_count < worker->slots;
    if (free && !listed)
        list_push_front(&pool->free, &worker->free_place);
    else if (!free && listed)
        list_remove(&worker->free_place);
}

static uint64_t cost(const struct tool *tool)
{
    return tool->run_ewma_us ? tool->run_ewma_us + OVERHEAD_US : UNMEASURED_US;
}

static bool may_send_ahead(const struct pool *pool, const struct worker *worker)
{
    return worker->state == WORKER_READY && worker->inflight_count < INFLIGHT_MAX &&
           worker->backlog_us <= pool->options.ahead_budget_us * worker->slots;
}

/* A worker with a free slot; else the busy one where the call would wait least, if that is short;
 * else NULL. */
static struct worker *choose(struct pool *pool)
{
    if (!list_empty(&pool->free))
        return LIST_OWNER(pool->free.next, struct worker, free_place);
    struct worker *best = NULL;
    if (pool->options.ahead_budget_us == 0)
        return NULL;
    for (unsigned i = 0; i < pool->options.workers; i++) {
        struct worker *worker = &pool->workers[i];
        if (may_send_ahead(pool, worker) && (!best || worker->backlog_us < best->backlog_us))
            best = worker;
    }
    return best;
}

static void dispatch(struct pool *pool, struct call *call, struct worker *worker, uint64_t now_us,
                     struct effects *effects)
{
    uint64_t waited_us = now_us - call->enqueued_us;
    leave_queue(pool, call);
    call_move(call, CALL_DISPATCHED);
    call->outcome.queue_us += waited_us;
    call->outcome.attempts++;
    memcpy(call->outcome.worker, worker->id, sizeof worker->id);
    heap_set(&pool->timers, &call->timer.node, call->deadline_us);
    call->inflight = worker_take(worker, call, cost(call->tool), now_us);
    schedule_reconsider(pool, worker);
    histogram_observe(&pool->queue_seconds, (double)waited_us / 1e6);

    unsigned i = effects->invoke_count++;
    effects->invokes[i].worker = worker->ref;
    effects->invokes[i].call_id = call->inflight->id;
    effects->invokes[i].call = call_ref(call);
    effects->invokes[i].remaining_us = call->deadline_us > now_us ? call->deadline_us - now_us : 1;
}

bool schedule_pump(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    while (!list_empty(&pool->queue)) {
        struct worker *worker = choose(pool);
        if (!worker)
            return true;
        if (effects_full(effects))
            return false;
        dispatch(pool, LIST_OWNER(pool->queue.next, struct call, place), worker, now_us, effects);
    }
    return true;
}

void schedule_measure(struct pool *pool, struct tool *tool, uint64_t run_us)
{
    histogram_observe(&pool->run_seconds, (double)run_us / 1e6);
    uint64_t sample = run_us ? run_us : 1;
    int64_t change = ((int64_t)sample - (int64_t)tool->run_ewma_us) / 8;
    tool->run_ewma_us = tool->run_ewma_us ? tool->run_ewma_us + (uint64_t)change : sample;
    if (tool->run_ewma_us == 0)
        tool->run_ewma_us = 1;
}

unsigned schedule_retry_after(const struct pool *pool)
{
    uint64_t wait_us = (uint64_t)pool->queue_depth * pool->answer_every_us;
    uint64_t seconds = (wait_us + 999999) / 1000000;
    return seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)seconds;
}
