/* Workers that are gone: what becomes of their calls, and what their end says of the next one. */
#include "pool/death.h"

#include "pool/affinity.h"
#include "pool/backoff.h"
#include "pool/ending.h"
#include "pool/nested.h"
#include "pool/removal.h"
#include "pool/slots.h"
#include "pool/staff.h"
#include "pool/waiting.h"

/* A call that never started goes elsewhere, but not for ever: it may be what kills them before it
 * starts. */
enum { ATTEMPTS_MAX = 5 };

static bool contains(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* MAYBE: it was running. YES: it had finished, but its answer was lost. NO: it never started. */
static enum call_executed how_far(const struct started_calls *started, uint64_t id)
{
    if (!started->known || contains(started->running, started->running_count, id))
        return EXECUTED_MAYBE;
    return contains(started->started, started->started_count, id) ? EXECUTED_YES : EXECUTED_NO;
}

static bool may_retry(const struct pool *pool, struct call *call, uint64_t now_us)
{
    enum retry_policy policy = pool->options.retry;
    bool wanted = policy == RETRY_ALWAYS || (policy == RETRY_IDEMPOTENT && call->idempotent);
    return wanted && call->state != CALL_STREAMING && pool->state != POOL_LEAVING &&
           pool->state != POOL_FAILED && call->retries < pool->options.max_retries &&
           now_us < call->deadline_us && !poison_blocks(&pool->poison, call) &&
           !affinity_binds(pool, call, call->inflight->worker);
}

static unsigned count_running(struct worker *worker, const struct started_calls *started)
{
    unsigned count = 0;
    LIST_FOREACH (&worker->sent, node, next) {
        const struct inflight *entry = CONTAINER_OF(node, struct inflight, order);
        count += how_far(started, entry->id) == EXECUTED_MAYBE;
    }
    return count;
}

/* Each call that ran may be what killed the worker, unless nothing that runs in it is to blame. */
static void blame(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                  const struct started_calls *started, uint64_t now_us)
{
    if (worker_exit_is_nobodys(exit))
        return;
    bool alone = count_running(worker, started) == 1;
    LIST_FOREACH (&worker->sent, node, next) {
        const struct inflight *entry = CONTAINER_OF(node, struct inflight, order);
        if (entry->call && how_far(started, entry->id) == EXECUTED_MAYBE)
            poison_note(&pool->poison, entry->call, worker->ref.number, alone, now_us);
    }
}

/* The worker died while it ran the call, or before its answer was out. */
static bool lose(struct pool *pool, struct call *call, enum call_executed executed,
                 const struct worker_exit *exit, uint64_t now_us, struct effects *effects)
{
    if (call->state == CALL_DISPATCHED)
        call_move(call, CALL_RUNNING);
    call->outcome.crash = *exit;
    if (may_retry(pool, call, now_us)) {
        nested_abandon(call, effects);
        call->outcome.executed = executed;
        ending_put_off(pool, call, pool->options.retry_backoff_us[call->retries], now_us);
        return false;
    }
    call->outcome.run_us = now_us - call->inflight->sent_us;
    ending_give(pool, call, CALL_END_CRASH, executed, effects);
    return true;
}

/* What had not started goes back to the front of the queue, in its old order: hence newest first.
 */
static unsigned settle_calls(struct pool *pool, struct worker *worker,
                             const struct worker_exit *exit, const struct started_calls *started,
                             uint64_t now_us, struct effects *effects)
{
    unsigned lost = 0;
    blame(pool, worker, exit, started, now_us);
    while (!list_empty(&worker->sent)) {
        struct inflight *entry = CONTAINER_OF(worker->sent.prev, struct inflight, order);
        struct call *call = entry->call;
        enum call_executed executed = how_far(started, entry->id);
        bool again = call && executed == EXECUTED_NO && call->state == CALL_DISPATCHED &&
                     call->outcome.attempts < ATTEMPTS_MAX;
        if (again && affinity_binds(pool, call, worker)) {
            ending_give_lost(pool, call, worker->ref.number, effects);
        } else if (again) {
            nested_abandon(call, effects);
            call->inflight = NULL;
            waiting_begin(pool, call, now_us);
            pool->requeued++;
        } else if (call) {
            lost += lose(pool, call, executed, exit, now_us, effects);
        }
        heap_remove(&pool->timers, &entry->grace.node);
        worker_release(worker, entry);
    }
    return lost;
}

static void on_taint_over(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                          struct effects *effects)
{
    (void)now_us;
    (void)effects;
    slots_reconsider(pool, CONTAINER_OF(timer, struct worker, taint));
}

/* What made the worker crash may be there still: others are preferred to its replacement. */
static void taint(struct pool *pool, struct worker *worker, uint64_t now_us)
{
    if (pool->options.taint_us == 0)
        return;
    worker->taint.fire = on_taint_over;
    heap_set(&pool->timers, &worker->taint.node, now_us + pool->options.taint_us);
}

unsigned death_settle(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                      const struct started_calls *started, uint64_t now_us, struct effects *effects)
{
    if (worker->state != WORKER_DRAINING)
        worker_move(worker, WORKER_DRAINING); /* no call of its sessions comes back to it */
    removal_desert(pool, worker, effects);
    unsigned lost = settle_calls(pool, worker, exit, started, now_us, effects);
    pool->cold |= worker->is_template && !worker->leaving; /* another one, then */
    pool->crashes += !exit->expected;
    if (!worker_exit_is_nobodys(exit))
        taint(pool, worker, now_us);
    worker_end(worker);
    slots_reconsider(pool, worker);
    backoff_note_death(pool, worker, exit, now_us);
    staff_balance(pool, now_us, effects);
    return lost;
}
