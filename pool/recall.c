/* Calls that were sent ahead and wait at their worker for longer than was expected.
 *
 * That a call goes ahead is a bet: what is before it takes a millisecond at most. When the bet is
 * lost, whoever waits at that worker waits behind one call, though others may be free, or come,
 * and neither the queue's time limit nor the number of workers knows of it. So after a while they
 * are asked for. The worker, which alone knows what it has begun, gives back those that it has not;
 * of the others it says nothing, and they are answered as any. Nothing more is sent ahead to a
 * worker like that until it has moved on. */
#include "pool/recall.h"

#include "pool/affinity.h"
#include "pool/nested.h"
#include "pool/waiting.h"

/* Until when the call may wait there: as long as was expected, and the time it takes to be
 * surprised. One that is to be run in a batch waits for the batch before it. */
static uint64_t due_of(const struct pool *pool, const struct inflight *entry)
{
    uint64_t batch_us = entry->call->tool->spec.batch > 1 ? entry->cost_us : 0;
    return entry->sent_us + pool->options.ahead_budget_us + batch_us +
           pool->options.recall_after_us;
}

/* Another worker may run it, and it has not been asked for. */
static bool can_be_recalled(const struct pool *pool, const struct inflight *entry)
{
    const struct call *call = entry->call;
    return call->state == CALL_DISPATCHED && !entry->recalled &&
           !affinity_binds(pool, call, entry->worker);
}

static void recall(struct inflight *entry, struct effects *effects)
{
    effects_cancel(effects, entry->worker->ref, entry->id, true);
    entry->recalled = true;
}

/* Recalls what has waited for too long behind those that have slots, as long as there is room in
 * `effects`. The worker is late if one of these has, or the last that has got a slot. Returns when
 * the next one is due, UINT64_MAX: none is left. */
static uint64_t relieve(struct pool *pool, struct worker *worker, uint64_t now_us,
                        struct effects *effects)
{
    uint64_t next_us = UINT64_MAX;
    unsigned place = 0, running = worker->slots + worker->sharing;
    LIST_FOREACH (&worker->sent, node, next) {
        struct inflight *entry = CONTAINER_OF(node, struct inflight, order);
        if (++place < running || !entry->call)
            continue;
        uint64_t due_us = due_of(pool, entry);
        bool due = due_us <= now_us;
        worker->late |= due;
        if (place == running || !can_be_recalled(pool, entry))
            continue;
        if (due && !effects_full(effects))
            recall(entry, effects);
        else if (due_us < next_us)
            next_us = due_us;
    }
    return next_us;
}

static void on_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                   struct effects *effects)
{
    uint64_t next_us = UINT64_MAX;
    for (unsigned i = 0; i < pool->seats_used; i++) {
        uint64_t due_us = relieve(pool, &pool->workers[i], now_us, effects);
        next_us = due_us < next_us ? due_us : next_us;
    }
    if (next_us != UINT64_MAX)
        heap_set(&pool->timers, &timer->node, next_us);
}

/* The timer is set to what was due first among those that were sent ahead since it fired, which may
 * be gone when it fires. */
void recall_watch(struct pool *pool, const struct inflight *entry)
{
    const struct worker *worker = entry->worker;
    bool is_ahead = worker->inflight_count - worker->sharing > worker->slots;
    if (!is_ahead || pool->options.recall_after_us == 0)
        return;
    uint64_t due_us = due_of(pool, entry);
    if (heap_holds(&pool->recall.node) && pool->recall.node.key <= due_us)
        return;
    pool->recall.fire = on_due;
    heap_set(&pool->timers, &pool->recall.node, due_us);
}

/* Not started, be it that it was refused: whoever gets it next would say so, too. */
bool recall_returns(const struct inflight *entry, const struct worker_answer *answer)
{
    return entry->recalled && answer->failed && !answer->started &&
           entry->call->state == CALL_DISPATCHED;
}

void recall_end(struct pool *pool, struct inflight *entry, uint64_t now_us, struct effects *effects)
{
    struct call *call = entry->call;
    nested_abandon(call, effects); /* the worker may say anything */
    waiting_go_on(pool, call, entry->sent_us, now_us);
    call->inflight = NULL;
    call->outcome.attempts--;
    call->outcome.worker[0] = '\0';
    pool->recalled++;
}
