#include "pool/scheduler.h"

#include "pool/affinity.h"
#include "pool/due.h"
#include "pool/ending.h"
#include "pool/forecast.h"
#include "pool/recall.h"
#include "pool/slots.h"
#include "pool/staff.h"
#include "pool/waiting.h"

/* What a call is taken to cost on top of the tool's own time, and while its tool was never
 * measured. */
enum { OVERHEAD_US = 10, UNMEASURED_US = 1000000 };

/* --- admission --- */

/* A pool without a queue takes what a worker is free for. Nested calls find room where others have
 * filled it: refusing them would throw away what their callers have done; each of these, of which
 * there are as many as slots, waits for a limited number. `only`: no other will do; or NULL. */
static bool has_room(const struct pool *pool, const struct call *call, const struct worker *only)
{
    if (only ? worker_has_free_slot(only) : pool->queue.depth == 0 && !list_empty(&pool->free))
        return true;
    if (call->depth > 0 && pool->options.queue_limit > 0)
        return true;
    return waiting_count(pool) < pool->options.queue_limit;
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
    else if (!has_room(pool, call, only))
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

/* A stream lasts as long as its reader wants. */
static uint64_t cost(const struct call *call)
{
    uint64_t run_us = call->window ? 0 : call->tool->run_ewma_us;
    return run_us ? run_us + OVERHEAD_US : UNMEASURED_US;
}

static struct worker *choose(const struct pool *pool, const struct call *call)
{
    bool free = call->depth > 0 || !list_empty(&pool->free);
    struct worker *preferred = affinity_prefer(pool, call, free);
    return preferred ? preferred : slots_choose(pool, call);
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
    waiting_end(pool, call);
    call_move(call, CALL_DISPATCHED);
    call->outcome.queue_us += waited_us;
    call->outcome.attempts++;
    memcpy(call->outcome.worker, worker->id, sizeof worker->id);
    call->credit = (int64_t)call->window;
    due_begin(pool, call, now_us);
    call->inflight = worker_take(worker, call, cost(call), now_us);
    recall_watch(pool, call->inflight);
    slots_reconsider(pool, worker);
    note_wait(pool, waited_us);

    unsigned i = effects->invoke_count++;
    effects->invokes[i].worker = worker->ref;
    effects->invokes[i].call_id = call->inflight->id;
    effects->invokes[i].call = call_ref(call);
    effects->invokes[i].session_begins = affinity_follow(pool, call, worker);
    effects->invokes[i].remaining_us = call_time_left(call, now_us);
}

/* Its turn has come, and it is not given to anybody after all. */
static void end_in_turn(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                        struct effects *effects)
{
    call->outcome.queue_us += now_us - call->enqueued_us;
    call->outcome.retry_after_s = forecast_retry_after(pool, call);
    ending_give(pool, call, end, EXECUTED_NO, effects);
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
        if (slots_can_have(pool, worker, call) && (!first || call->turn_us < first->turn_us))
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
    waiting_unbind(pool, call, now_us);
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
        ending_give_lost(pool, call, 0, effects);
    } else if (verdict == AFFINITY_BUSY) {
        end_in_turn(pool, call, CALL_END_WORKER_BUSY, now_us, effects);
    } else if (only && !slots_can_have(pool, only, call)) {
        waiting_bind(pool, call, only, now_us);
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
            due_fire(pool, call, now_us, effects);
        } else if (effects_full(effects)) {
            return false;
        } else if (!give(pool, call, now_us, effects)) {
            staff_hurry(pool, now_us);
            full = true;
        }
    }
    return true;
}
