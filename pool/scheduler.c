#include "pool/inside.h"

/* What a call is taken to cost on top of the tool's own time, and while its tool was never
 * measured. */
enum { OVERHEAD_US = 10, UNMEASURED_US = 1000000 };

static void on_call_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                        struct effects *effects);

/* --- in and out of the queue --- */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Puts the call among those that wait for this worker alone; `again` as for queue_put(). */
static void await_worker(struct pool *pool, struct call *call, struct worker *worker, bool again,
                         uint64_t now_us)
{
    if (worker->waiting.depth == 0)
        list_push_back(&pool->awaited, &worker->awaited_place);
    queue_put(&worker->waiting, call, again, now_us);
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

static void join_queue(struct pool *pool, struct call *call, bool again, uint64_t now_us)
{
    uint64_t limit_us = call->queue_timeout_us;
    uint64_t waited_us = call->outcome.queue_us; /* before it lost a worker */
    uint64_t left_us = limit_us > waited_us ? limit_us - waited_us : 0;
    struct worker *only;
    call->timer.fire = on_call_due;
    heap_set(&pool->timers, &call->timer.node, sooner(now_us + left_us, call->deadline_us));
    if (affinity_judge(pool, call, &only) == AFFINITY_ONE) {
        await_worker(pool, call, only, again, now_us);
        return;
    }
    queue_put(&pool->queue, call, again, now_us);
}

void schedule_enqueue(struct pool *pool, struct call *call, bool again, uint64_t now_us)
{
    call_move(call, CALL_QUEUED);
    call->enqueued_us = now_us;
    join_queue(pool, call, again, now_us);
}

static void on_retry_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                         struct effects *effects)
{
    (void)effects;
    pool->retrying--;
    join_queue(pool, CONTAINER_OF(timer, struct call, timer), true, now_us);
}

/* Whether the worker was given fewer calls before this one than it runs at once. */
static bool has_slot(const struct inflight *entry)
{
    unsigned before = 0;
    const struct list *sent = &entry->worker->sent;
    for (const struct list *place = entry->order.prev; place != sent; place = place->prev)
        before++;
    return before < entry->worker->slots;
}

/* A call that had finished when its worker died says nothing of why it died; and a worker that we
 * or somebody else killed says nothing of the calls it had. Nor do the limits that callers choose,
 * or calls that waited behind another, say anything of the tool. */
static enum breaker_verdict verdict_of(const struct pool *pool, const struct call *call,
                                       enum call_end end, enum call_executed executed)
{
    if (end == CALL_END_RESULT || end == CALL_END_FAILURE)
        return BREAKER_SUCCESS;
    bool lost = end == CALL_END_CRASH
                    ? executed == EXECUTED_MAYBE && !worker_exit_is_nobodys(&call->outcome.crash)
                    : call->inflight && limits_used_up(pool, call, end) && has_slot(call->inflight);
    return lost ? BREAKER_LOSS : BREAKER_NEITHER;
}

/* A death is one loss, however many calls the worker was running. */
static void tell_breaker(struct pool *pool, struct call *call, enum call_end end,
                         enum call_executed executed)
{
    enum breaker_verdict verdict = verdict_of(pool, call, end, executed);
    if (end == CALL_END_CRASH && verdict == BREAKER_LOSS) {
        struct worker *worker = call->inflight->worker;
        if (worker->loss_noted && !call->trial)
            verdict = BREAKER_NEITHER;
        worker->loss_noted = true;
    }
    breaker_note(&pool->breaker, verdict, call->trial,
                 verdict == BREAKER_LOSS ? pool->options.now_us() : 0);
    call->trial = false;
}

void schedule_retry(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us)
{
    tell_breaker(pool, call, CALL_END_CRASH, call->outcome.executed);
    call->inflight = NULL;
    call_move(call, CALL_QUEUED);
    call->enqueued_us = now_us;
    call->timer.fire = on_retry_due;
    heap_set(&pool->timers, &call->timer.node, sooner(now_us + after_us, call->deadline_us));
    call->retries++;
    pool->retries++;
    pool->retrying++;
}

/* A call that waits for its retry is queued, but in no list. */
static void leave_queue(struct pool *pool, struct call *call)
{
    if (call->awaits)
        await_no_worker(pool, call);
    else if (!list_empty(&call->place))
        queue_remove(&pool->queue, call);
    else if (call->state == CALL_QUEUED)
        pool->retrying--;
}

void schedule_end(struct pool *pool, struct call *call, enum call_end end,
                  enum call_executed executed, struct effects *effects)
{
    if (call->state != CALL_NEW)
        tell_breaker(pool, call, end, executed);
    leave_queue(pool, call);
    list_remove(&call->known);
    heap_remove(&pool->timers, &call->timer.node);
    nested_abandon(call, effects);
    if (call->inflight)
        call->inflight->call = NULL;
    call->inflight = NULL;
    call_move(call, CALL_DONE);
    call->outcome.end = end;
    if (executed > call->outcome.executed) /* an earlier worker may have got further */
        call->outcome.executed = executed;
    pool->ends[end]++;
    effects_answer(effects, call);
}

void schedule_lose(struct pool *pool, struct call *call, uint64_t number, struct effects *effects)
{
    affinity_release(pool, call, number);
    if (call->state == CALL_QUEUED)
        call->outcome.queue_us += pool->options.now_us() - call->enqueued_us;
    schedule_end(pool, call, CALL_END_SESSION_LOST, EXECUTED_NO, effects);
}

void schedule_desert(struct pool *pool, struct worker *worker, struct effects *effects)
{
    struct call *call;
    while ((call = queue_first(&worker->waiting))) {
        if (affinity_binds(pool, call, worker)) {
            schedule_lose(pool, call, worker->ref.number, effects);
        } else { /* its session has moved on meanwhile */
            leave_queue(pool, call);
            queue_put(&pool->queue, call, true, pool->options.now_us());
        }
    }
}

void schedule_end_queued(struct pool *pool, enum call_end end, struct effects *effects)
{
    LIST_FOREACH (&pool->calls, node, next) {
        struct call *call = CONTAINER_OF(node, struct call, known);
        if (call->state != CALL_QUEUED)
            continue;
        call->outcome.retry_after_s = forecast_retry_after(pool, call);
        schedule_end(pool, call, end, EXECUTED_NO, effects);
    }
}

/* --- time limits and cancellation --- */

/* The worker still runs a call that nobody waits for. It alone is killed, and that is no crash. */
static void on_grace_over(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                          struct effects *effects)
{
    struct inflight *entry = CONTAINER_OF(timer, struct inflight, grace);
    struct worker *worker = entry->worker;
    if (worker->slots == 1 && worker->sent.next != &entry->order) {
        /* Another call runs, and its tool keeps the worker from letting go of this one. */
        heap_set(&pool->timers, &timer->node, now_us + pool->options.cancel_grace_us);
        return;
    }
    staff_kill(pool, worker, "another call on it could not be interrupted", effects);
}

void schedule_give_up(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                      struct effects *effects)
{
    struct inflight *entry = call->inflight;
    effects->cancels[effects->cancel_count].worker = entry->worker->ref;
    effects->cancels[effects->cancel_count++].call_id = entry->id;
    effects->flush = true;
    entry->grace.fire = on_grace_over;
    heap_set(&pool->timers, &entry->grace.node, now_us + pool->options.cancel_grace_us);
    call->outcome.run_us = now_us - entry->sent_us;
    schedule_end(pool, call, end, EXECUTED_MAYBE, effects);
}

/* A queued call has waited too long; a dispatched one has run too long, or said nothing for too
 * long; or the time in all is up. */
static void on_call_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                        struct effects *effects)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    bool late = now_us >= call->deadline_us;
    if (call->state == CALL_QUEUED) {
        call->outcome.queue_us += now_us - call->enqueued_us;
        call->outcome.retry_after_s = forecast_retry_after(pool, call);
        schedule_end(pool, call, late ? CALL_END_DEADLINE : CALL_END_QUEUE_TIMEOUT, EXECUTED_NO,
                     effects);
        return;
    }
    forecast_missed(call, now_us);
    bool ran_out = now_us >= call->run_due_us && call->run_due_us <= call->deadline_us;
    enum call_end end = ran_out ? CALL_END_TIMEOUT
                        : late  ? CALL_END_DEADLINE
                                : CALL_END_STREAM_IDLE;
    schedule_give_up(pool, call, end, now_us, effects);
}

void schedule_due(struct pool *pool, struct call *call)
{
    uint64_t due_us = sooner(sooner(call->run_due_us, call->idle_due_us), call->deadline_us);
    call->timer.fire = on_call_due;
    heap_set(&pool->timers, &call->timer.node, due_us);
}

/* --- admission --- */

/* A pool without a queue takes what a worker is free for. `only`: no other will do; or NULL. */
static bool has_room(const struct pool *pool, const struct worker *only)
{
    if (only ? worker_has_free_slot(only) : pool->queue.depth == 0 && !list_empty(&pool->free))
        return true;
    return pool->queue.depth + pool->pinned + pool->retrying < pool->options.queue_limit;
}

bool schedule_refuses(struct pool *pool, struct call *call, uint64_t now_us, enum call_end *out_end)
{
    struct worker *only;
    enum affinity_verdict verdict = affinity_judge(pool, call, &only);
    if (pool->state == POOL_LEAVING && (pool->stopped || call->depth == 0))
        *out_end = CALL_END_SHUTDOWN;
    else if (pool->state == POOL_FAILED)
        *out_end = CALL_END_NO_WORKERS;
    else if (poison_blocks(&pool->poison, call))
        *out_end = CALL_END_POISON;
    else if (verdict == AFFINITY_LOST)
        *out_end = CALL_END_SESSION_LOST;
    else if (verdict == AFFINITY_BUSY)
        *out_end = CALL_END_WORKER_BUSY;
    else if (!has_room(pool, only))
        *out_end = CALL_END_SATURATED;
    else if (forecast_is_hopeless(pool, call, only, now_us))
        *out_end = CALL_END_UNREACHABLE;
    else if (!breaker_admit(&pool->breaker, now_us, &call->trial))
        *out_end = CALL_END_CIRCUIT_OPEN;
    else
        return false;
    if (*out_end == CALL_END_SESSION_LOST)
        affinity_release(pool, call, 0);
    return true;
}

/* --- dispatch --- */

/* Whether one worker with a free slot is chosen before the other: not where a worker has crashed,
 * if it can be helped; where fewer calls are; and of equals the one that became so last, whose
 * caches are warm. */
static bool is_chosen_before(const struct worker *latest, const struct worker *other)
{
    bool tainted = worker_is_tainted(latest);
    if (tainted != worker_is_tainted(other))
        return !tainted;
    return latest->inflight_count <= other->inflight_count;
}

void schedule_reconsider(struct pool *pool, struct worker *worker)
{
    list_remove(&worker->free_place);
    if (!worker_has_free_slot(worker))
        return;
    struct list *place = pool->free.next;
    while (place != &pool->free &&
           !is_chosen_before(worker, CONTAINER_OF(place, struct worker, free_place)))
        place = place->next;
    list_insert_before(place, &worker->free_place);
}

/* A stream lasts as long as its reader wants. */
static uint64_t cost(const struct call *call)
{
    uint64_t run_us = call->window ? 0 : call->tool->run_ewma_us;
    return run_us ? run_us + OVERHEAD_US : UNMEASURED_US;
}

/* Calls can wait at the busy worker. Not while a nested one waits for its slot, which would never
 * be free. */
static bool takes_ahead(const struct worker *worker)
{
    bool able = worker->state == WORKER_READY && !worker->stalled && worker->nesting == 0;
    return able && worker->inflight_count < worker->room &&
           (worker->waiting.depth == 0 || queue_first(&worker->waiting)->depth == 0);
}

static bool may_send_ahead(const struct pool *pool, const struct worker *worker)
{
    return takes_ahead(worker) &&
           worker->backlog_us <= pool->options.ahead_budget_us * worker->slots;
}

bool schedule_can_give(const struct pool *pool, const struct worker *worker)
{
    return worker_has_free_slot(worker) ||
           (pool->options.ahead_budget_us && may_send_ahead(pool, worker));
}

/* A nested call is not sent ahead: it could wait for whoever waits for it. A worker that is about
 * to leave has those calls that wait for it alone. */
static bool can_have(const struct pool *pool, const struct worker *worker, const struct call *call)
{
    if (worker->state == WORKER_DRAINING)
        return !worker->leaving && !worker->lost && !worker->stalled &&
               worker->inflight_count < worker->slots;
    return call->depth ? worker_has_free_slot(worker) : schedule_can_give(pool, worker);
}

/* It has calls of the same tool, which runs many at once: as many as it runs, and as many again
 * that wait for the next turn. */
static bool is_batching(const struct worker *worker, const struct tool *tool)
{
    return tool->spec.batch > 1 && worker->latest == tool && takes_ahead(worker) &&
           worker->inflight_count / 2 < tool->spec.batch;
}

static bool is_better_ahead(const struct worker *worker, const struct worker *other)
{
    if (worker_is_tainted(worker) != worker_is_tainted(other))
        return worker_is_tainted(other);
    return worker->backlog_us < other->backlog_us;
}

/* The worker that the call prefers; else one with a free slot; else the busy one where the call
 * would wait least, if that is short; else NULL. */
static struct worker *choose(const struct pool *pool, const struct call *call)
{
    bool free = call->depth > 0 || !list_empty(&pool->free);
    struct worker *preferred = affinity_prefer(pool, call, free);
    if (preferred)
        return preferred;
    if (!list_empty(&pool->free))
        return CONTAINER_OF(pool->free.next, struct worker, free_place);
    struct worker *best = NULL;
    if (pool->options.ahead_budget_us == 0 || call->depth > 0)
        return NULL;
    for (unsigned i = 0; i < pool->seats_used; i++) {
        struct worker *worker = &pool->workers[i];
        bool may = may_send_ahead(pool, worker) || is_batching(worker, call->tool);
        if (may && (!best || is_better_ahead(worker, best)))
            best = worker;
    }
    return best;
}

/* Exponential moving average with alpha 0.2. */
static void note_wait(struct pool *pool, uint64_t waited_us)
{
    int64_t change = ((int64_t)waited_us - (int64_t)pool->wait_us) / 5;
    pool->wait_us += (uint64_t)change;
    histogram_observe(&pool->queue_seconds, (double)waited_us / 1e6);
}

static void dispatch(struct pool *pool, struct call *call, struct worker *worker, uint64_t now_us,
                     struct effects *effects)
{
    uint64_t waited_us = now_us - call->enqueued_us;
    call->run_due_us = now_us + call->run_timeout_us;
    uint64_t due_us = sooner(call->run_due_us, call->deadline_us);
    leave_queue(pool, call);
    call_move(call, CALL_DISPATCHED);
    call->outcome.queue_us += waited_us;
    call->outcome.attempts++;
    memcpy(call->outcome.worker, worker->id, sizeof worker->id);
    stream_begin(call, now_us);
    schedule_due(pool, call);
    call->inflight = worker_take(worker, call, cost(call), now_us);
    schedule_reconsider(pool, worker);
    note_wait(pool, waited_us);

    unsigned i = effects->invoke_count++;
    effects->invokes[i].worker = worker->ref;
    effects->invokes[i].call_id = call->inflight->id;
    effects->invokes[i].call = call_ref(call);
    effects->invokes[i].session_begins = affinity_follow(pool, call, worker);
    effects->invokes[i].remaining_us = due_us > now_us ? due_us - now_us : 1;
}

/* Its turn has come, and it is not given to anybody after all. */
static void end_in_turn(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                        struct effects *effects)
{
    call->outcome.queue_us += now_us - call->enqueued_us;
    call->outcome.retry_after_s = forecast_retry_after(pool, call);
    schedule_end(pool, call, end, EXECUTED_NO, effects);
}

/* The call whose turn it is: of those that any worker may run, or that only one may which can be
 * given it now. `full`: there is none for the first of them, but those that are about to leave may
 * have slots for theirs. */
static struct call *first_in_turn(struct pool *pool, bool full)
{
    struct call *first = full ? NULL : queue_first(&pool->queue);
    LIST_FOREACH (&pool->awaited, node, next) {
        const struct worker *worker = CONTAINER_OF(node, struct worker, awaited_place);
        struct call *call = queue_first(&worker->waiting);
        if (full && worker->state != WORKER_DRAINING)
            continue;
        if (can_have(pool, worker, call) && (!first || call->turn_us < first->turn_us))
            first = call;
    }
    return first;
}

/* No worker can take the call: it stays in the queue, or goes there if its session has left the
 * worker that it waited for. Returns whether it has. */
static bool give_to_nobody(struct pool *pool, struct call *call, uint64_t now_us)
{
    if (!call->awaits)
        return false;
    leave_queue(pool, call);
    queue_put(&pool->queue, call, true, now_us);
    return true;
}

/* False: no worker can take the call. While the call waited, others of the same request may have
 * killed their workers, and its session may have got its worker, or lost it. */
static bool give(struct pool *pool, struct call *call, uint64_t now_us, struct effects *effects)
{
    struct worker *only;
    enum affinity_verdict verdict = affinity_judge(pool, call, &only);
    if (poison_blocks(&pool->poison, call)) {
        end_in_turn(pool, call, CALL_END_POISON, now_us, effects);
    } else if (verdict == AFFINITY_LOST) {
        schedule_lose(pool, call, 0, effects);
    } else if (verdict == AFFINITY_BUSY) {
        end_in_turn(pool, call, CALL_END_WORKER_BUSY, now_us, effects);
    } else if (only && !can_have(pool, only, call)) {
        leave_queue(pool, call);
        await_worker(pool, call, only, true, now_us);
    } else {
        struct worker *worker = only ? only : choose(pool, call);
        if (!worker)
            return give_to_nobody(pool, call, now_us);
        if (forecast_comes_too_late(pool, call, now_us))
            end_in_turn(pool, call, CALL_END_UNREACHABLE, now_us, effects);
        else
            dispatch(pool, call, worker, now_us, effects);
    }
    return true;
}

bool schedule_pump(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    struct call *call;
    bool full = false;
    while ((call = first_in_turn(pool, full))) {
        if (call->timer.node.key <= now_us) { /* its timer fires soon, but it is too late now */
            on_call_due(pool, &call->timer, now_us, effects);
        } else if (effects_full(effects)) {
            return false;
        } else if (!give(pool, call, now_us, effects)) {
            staff_hurry(pool, now_us);
            full = true;
        }
    }
    return true;
}
