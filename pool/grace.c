#include "pool/grace.h"

#include "pool/ending.h"
#include "pool/removal.h"

/* Whether somebody waits for one of those that it is run with. */
static bool has_wanted_mate(const struct inflight *entry)
{
    LIST_FOREACH (&entry->mates, node, next) {
        if (CONTAINER_OF(node, struct inflight, mates)->call)
            return true;
    }
    return false;
}

/* Whether it is something else that keeps the worker from letting go of the call: another call that
 * it runs first, or those that are run with it, whose tool is not to be interrupted. */
static bool waits_for_others(const struct inflight *entry)
{
    const struct worker *worker = entry->worker;
    bool is_first = worker->sent.next == &entry->order;
    return has_wanted_mate(entry) || (worker->slots == 1 && !is_first);
}

/* The worker still runs a call that nobody waits for. It alone is killed, and that is no crash. */
static void on_grace_over(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                          struct effects *effects)
{
    struct inflight *entry = CONTAINER_OF(timer, struct inflight, grace);
    if (waits_for_others(entry))
        heap_set(&pool->timers, &timer->node, now_us + pool->options.cancel_grace_us);
    else
        removal_kill(pool, entry->worker, "another call on it could not be interrupted", effects);
}

void grace_begin(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                 struct effects *effects)
{
    struct inflight *entry = call->inflight;
    effects_cancel(effects, entry->worker->ref, entry->id, false);
    entry->grace.fire = on_grace_over;
    heap_set(&pool->timers, &entry->grace.node, now_us + pool->options.cancel_grace_us);
    call->outcome.run_us = now_us - entry->sent_us;
    ending_give(pool, call, end, EXECUTED_MAYBE, effects);
}
