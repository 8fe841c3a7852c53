/* Calls that wait for each other in a circle.
 *
 * A worker is stuck when its slots are taken and none of the calls in them can go on. A call can go
 * on when each call that it waits for either runs and can go on, or waits for a worker that is not
 * stuck. (Each, because most callers need all answers.) So all busy workers are taken to be stuck,
 * and acquitted one by one until nothing changes. A call that any worker of a pool may run waits
 * for all of them, and for those that are still to come.
 *
 * Calls that were sent ahead to a busy worker hold no slot; no nested call is ever among them.
 * Only nested_begin() can close a circle, and it is followed by a look under the locks of all
 * pools, so the last one that closes it sees it. */
#include "pool/deadlock.h"

#include "pool/affinity.h"
#include "pool/inside.h"

/* A worker may come that is not there yet. */
static bool may_get_worker(const struct pool *pool)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        enum worker_state state = pool->workers[i].state;
        if (state == WORKER_STARTING || state == WORKER_DRAINING)
            return true;
        ready += state == WORKER_READY;
    }
    return ready < pool->wanted || pool->wanted < pool->options.max_workers;
}

static bool is_pool_stuck(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->seats; i++) {
        if (pool->workers[i].state == WORKER_READY && !pool->workers[i].stuck)
            return false;
    }
    return !may_get_worker(pool);
}

/* Whether a call that has not been given to a worker, or is just to be submitted, waits for one
 * that is stuck. Its pool's lock is held. */
static bool waits_in_vain(const struct call *call)
{
    const struct pool *pool = call->tool->pool;
    struct worker *only = call->awaits;
    if (call->state == CALL_NEW && affinity_judge(pool, call, &only) != AFFINITY_ONE)
        only = NULL;
    return only ? only->stuck : is_pool_stuck(pool);
}

/* Depth: that of nested calls, which is limited. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool can_go_on(const struct call *call)
{
    LIST_FOREACH (&call->nested, node, next) {
        const struct call *child = CONTAINER_OF(node, struct nested, place)->call;
        if (!child || child->state == CALL_DONE)
            continue;
        if (child->inflight ? !can_go_on(child) : waits_in_vain(child))
            return false;
    }
    return true;
}

/* Whether a slot is free, or will be. A call that waits for others holds one; of those that are run
 * together one waits for them all. A call that was given up leaves its slot soon. */
static bool will_yield(const struct worker *worker)
{
    unsigned held = 0;
    LIST_FOREACH (&worker->sent, node, next) {
        const struct call *call = CONTAINER_OF(node, struct inflight, order)->call;
        held += call && !can_go_on(call);
    }
    return held < worker->slots;
}

/* Of one pool. Returns whether there were any. */
static bool acquit(struct pool *pool)
{
    bool changed = false;
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (!worker->stuck || !will_yield(worker))
            continue;
        worker->stuck = false;
        changed = true;
    }
    return changed;
}

static bool all_its_calls_wait(const struct worker *worker)
{
    bool serves = worker->state == WORKER_READY || worker->state == WORKER_DRAINING;
    return serves && worker->nesting >= worker->slots;
}

static void accuse(struct pool *pool)
{
    for (unsigned i = 0; i < pool->seats; i++)
        pool->workers[i].stuck = all_its_calls_wait(&pool->workers[i]);
}

/* A quick look that needs one lock only. */
static bool is_suspected(struct pool *pool, const struct call *call)
{
    pthread_mutex_lock(&pool->lock);
    accuse(pool);
    bool suspected = waits_in_vain(call);
    pthread_mutex_unlock(&pool->lock);
    return suspected;
}

bool deadlock_closes(const struct call *call)
{
    struct pool *pool = call->tool->pool, *pools[REGISTRY_MAX_POOLS];
    if (!is_suspected(pool, call))
        return false;
    unsigned count = registry_pools(pool->registry, pools);
    for (unsigned i = 0; i < count; i++) { /* in one order, or two could meet */
        pthread_mutex_lock(&pools[i]->lock);
        accuse(pools[i]);
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < count; i++)
            changed |= acquit(pools[i]);
    }
    bool hopeless = waits_in_vain(call);
    for (unsigned i = 0; i < count; i++)
        pthread_mutex_unlock(&pools[i]->lock);
    return hopeless;
}
