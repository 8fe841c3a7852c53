#include "pool/due.h"

#include "pool/ending.h"
#include "pool/forecast.h"
#include "pool/grace.h"
#include "pool/waiting.h"

static void on_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                   struct effects *effects)
{
    due_fire(pool, CONTAINER_OF(timer, struct call, timer), now_us, effects);
}

void due_init(struct call *call)
{
    call->timer.fire = on_due;
}

/* --- while it waits --- */

static void end_waiting(struct pool *pool, struct call *call, uint64_t now_us,
                        struct effects *effects)
{
    bool late = now_us >= call->deadline_us;
    call->outcome.queue_us += now_us - call->enqueued_us;
    call->outcome.retry_after_s = forecast_retry_after(pool, call);
    ending_give(pool, call, late ? CALL_END_DEADLINE : CALL_END_QUEUE_TIMEOUT, EXECUTED_NO,
                effects);
}

/* --- while a worker has it --- */

static void watch(struct pool *pool, struct call *call)
{
    uint64_t due_us = call->run_due_us < call->idle_due_us ? call->run_due_us : call->idle_due_us;
    heap_set(&pool->timers, &call->timer.node,
             due_us < call->deadline_us ? due_us : call->deadline_us);
}

void due_begin(struct pool *pool, struct call *call, uint64_t now_us)
{
    bool is_limited = call->window && call->idle_timeout_us;
    call->run_due_us = now_us + call->run_timeout_us;
    call->idle_due_us = is_limited ? now_us + call->idle_timeout_us : UINT64_MAX;
    watch(pool, call);
}

void due_idle(struct pool *pool, struct call *call, uint64_t now_us)
{
    if (call->idle_timeout_us == 0)
        return;
    call->idle_due_us = call->credit > 0 ? now_us + call->idle_timeout_us : UINT64_MAX;
    watch(pool, call);
}

/* It has run too long, or said nothing for too long; or the time in all is up. */
static enum call_end end_of(const struct call *call, uint64_t now_us)
{
    if (now_us >= call->run_due_us && call->run_due_us <= call->deadline_us)
        return CALL_END_TIMEOUT;
    return now_us >= call->deadline_us ? CALL_END_DEADLINE : CALL_END_STREAM_IDLE;
}

void due_fire(struct pool *pool, struct call *call, uint64_t now_us, struct effects *effects)
{
    if (waiting_is_for_retry(call)) {
        waiting_resume(pool, call, now_us);
    } else if (call->state == CALL_QUEUED) {
        end_waiting(pool, call, now_us, effects);
    } else {
        forecast_missed(call, now_us);
        grace_begin(pool, call, end_of(call, now_us), now_us, effects);
    }
}
