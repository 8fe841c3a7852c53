#include "pool/grace.h"

#include "pool/ending.h"
#include "pool/removal.h"

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
    removal_kill(pool, worker, "another call on it could not be interrupted", effects);
}

void grace_begin(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                 struct effects *effects)
{
    struct inflight *entry = call->inflight;
    effects->cancels[effects->cancel_count].worker = entry->worker->ref;
    effects->cancels[effects->cancel_count++].call_id = entry->id;
    effects->flush = true;
    entry->grace.fire = on_grace_over;
    heap_set(&pool->timers, &entry->grace.node, now_us + pool->options.cancel_grace_us);
    call->outcome.run_us = now_us - entry->sent_us;
    ending_give(pool, call, end, EXECUTED_MAYBE, effects);
}
