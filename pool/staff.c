#include "pool/inside.h"

/* A call that never started goes elsewhere, but not for ever: it may be what kills them before it
 * starts. */
enum { ATTEMPTS_MAX = 5 };

/* A process that dies so soon without having been given a call is not simply replaced: each further
 * one waits longer. */
enum { EARLY_US = 1000000, BACKOFF_FIRST_US = 50000, BACKOFF_MAX_US = 5000000 };

void staff_start(struct pool *pool, struct worker *worker, uint64_t now_us, struct effects *effects)
{
    worker_begin(worker, pool->name, ++pool->next_number, now_us);
    pool->starts++;
    effects->starts[effects->start_count].worker = worker->ref;
    memcpy(effects->starts[effects->start_count++].id, worker->id, sizeof worker->id);
}

static void on_start_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                         struct effects *effects)
{
    staff_start(pool, HEAP_OWNER(timer, struct worker, timer), now_us, effects);
}

static void plan_replacement(struct pool *pool, struct worker *worker, bool early, uint64_t now_us,
                             struct effects *effects)
{
    worker->early_deaths = early ? worker->early_deaths + 1 : 0;
    if (pool->state == POOL_LEAVING)
        return;
    if (worker->early_deaths < 2 && !effects_full(effects)) {
        staff_start(pool, worker, now_us, effects);
        return;
    }
    unsigned doublings = worker->early_deaths < 2 ? 0 : worker->early_deaths - 2;
    uint64_t delay_us = doublings < 8 ? (uint64_t)BACKOFF_FIRST_US << doublings : BACKOFF_MAX_US;
    worker->timer.fire = on_start_due;
    heap_set(&pool->timers, &worker->timer.node,
             now_us + (delay_us < BACKOFF_MAX_US ? delay_us : BACKOFF_MAX_US));
}

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

static void lose(struct pool *pool, struct call *call, enum call_executed executed,
                 const struct worker_exit *exit, uint64_t now_us, struct effects *effects)
{
    call_move(call, CALL_RUNNING);
    call->outcome.crash = *exit;
    call->outcome.run_us = now_us - call->inflight->sent_us;
    schedule_end(pool, call, CALL_END_CRASH, executed, effects);
}

/* What had not started goes back to the front of the queue, in its old order: hence newest first.
 */
static unsigned settle_calls(struct pool *pool, struct worker *worker,
                             const struct worker_exit *exit, const struct started_calls *started,
                             uint64_t now_us, struct effects *effects)
{
    unsigned lost = 0;
    while (!list_empty(&worker->sent)) {
        struct inflight *entry = LIST_OWNER(worker->sent.prev, struct inflight, order);
        struct call *call = entry->call;
        enum call_executed executed = how_far(started, entry->id);
        if (call && executed == EXECUTED_NO && call->outcome.attempts < ATTEMPTS_MAX) {
            call->inflight = NULL;
            schedule_enqueue(pool, call, true, now_us);
            pool->requeued++;
        } else if (call) {
            lose(pool, call, executed, exit, now_us, effects);
            lost++;
        }
        heap_remove(&pool->timers, &entry->grace.node);
        worker_release(worker, entry);
    }
    return lost;
}

unsigned staff_gone(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                    const struct started_calls *started, uint64_t now_us, struct effects *effects)
{
    unsigned lost = settle_calls(pool, worker, exit, started, now_us, effects);
    bool early = worker->next_sequence == 1 && now_us - worker->started_us < EARLY_US;
    pool->crashes += !exit->expected;
    worker_move(worker, WORKER_VACANT);
    schedule_reconsider(pool, worker);
    plan_replacement(pool, worker, early && !exit->expected, now_us, effects);
    return lost;
}
