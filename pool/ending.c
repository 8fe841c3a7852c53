#include "pool/ending.h"

#include "pool/affinity.h"
#include "pool/forecast.h"
#include "pool/limits.h"
#include "pool/nested.h"
#include "pool/waiting.h"

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

void ending_put_off(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us)
{
    tell_breaker(pool, call, CALL_END_CRASH, call->outcome.executed);
    call->inflight = NULL;
    call->retries++;
    pool->retries++;
    waiting_begin_retry(pool, call, after_us, now_us);
}

void ending_give(struct pool *pool, struct call *call, enum call_end end,
                 enum call_executed executed, struct effects *effects)
{
    if (call->state != CALL_NEW)
        tell_breaker(pool, call, end, executed);
    waiting_end(pool, call);
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

void ending_give_lost(struct pool *pool, struct call *call, uint64_t number,
                      struct effects *effects)
{
    affinity_release(pool, call, number);
    if (call->state == CALL_QUEUED)
        call->outcome.queue_us += pool->options.now_us() - call->enqueued_us;
    ending_give(pool, call, CALL_END_SESSION_LOST, EXECUTED_NO, effects);
}

void ending_give_waiting(struct pool *pool, enum call_end end, struct effects *effects)
{
    LIST_FOREACH (&pool->calls, node, next) {
        struct call *call = CONTAINER_OF(node, struct call, known);
        if (call->state != CALL_QUEUED)
            continue;
        call->outcome.retry_after_s = forecast_retry_after(pool, call);
        ending_give(pool, call, end, EXECUTED_NO, effects);
    }
}
