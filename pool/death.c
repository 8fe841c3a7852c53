/* Workers that are gone: what becomes of their calls, and what their end says of the next one. */
#include "pool/death.h"

#include "pool/affinity.h"
#include "pool/ending.h"
#include "pool/nested.h"
#include "pool/removal.h"
#include "pool/slots.h"
#include "pool/staff.h"
#include "pool/waiting.h"

#include <stdio.h>

/* After so many processes in a row that died before they answered anything, and with no worker
 * left, calls are refused until one is ready. Of processes that were given a call it takes more,
 * since one request can be the end of as many as make it poisonous; but not more than make restarts
 * as slow as they get. */
enum { EARLY_DEATHS_MAX = 3, EARLY_DEATHS_WITH_CALLS_MAX = 9 };

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

/* Has answered a call, or at least lived for some time. */
static bool was_useful(const struct worker *worker, uint64_t now_us)
{
    return worker->calls_done > 0 ||
           (worker->ready_us && now_us - worker->ready_us >= STAFF_BACKOFF_MAX_US);
}

/* Whether it is to be feared that the next process dies as soon: not when a worker that could take
 * calls was killed from outside. */
static bool died_early(const struct worker *worker, const struct worker_exit *exit)
{
    return !exit->expected && !(exit->outside && worker->ready_us);
}

static unsigned early_deaths_limit(const struct pool *pool, const struct worker *worker)
{
    bool had_calls = worker->next_sequence > 1;
    unsigned limit = EARLY_DEATHS_MAX + (had_calls ? pool->options.poison_after : 0);
    return limit < EARLY_DEATHS_WITH_CALLS_MAX ? limit : EARLY_DEATHS_WITH_CALLS_MAX;
}

/* The next worker will not be there soon, or not for long: nobody is to wait for it. */
static void despair(struct pool *pool, const struct worker *worker, const struct worker_exit *exit)
{
    if (pool->early_deaths < early_deaths_limit(pool, worker) || staff_able_count(pool) > 0 ||
        pool->state == POOL_LEAVING)
        return;
    pool->state = POOL_FAILED;
    if (!pool->reason[0])
        snprintf(pool->reason, sizeof pool->reason,
                 "workers end before they have answered anything (%s %d)", exit->cause,
                 exit->signal ? exit->signal : exit->code);
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
    if (was_useful(worker, now_us)) {
        if (!worker->premature)
            pool->early_deaths = 0;
    } else if (died_early(worker, exit)) {
        staff_slow_down(pool, now_us);
        despair(pool, worker, exit);
    }
    staff_balance(pool, now_us, effects);
    return lost;
}
