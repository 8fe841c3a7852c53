#include "pool/nested.h"

#include "pool/inside.h"

/* --- beginning and ending --- */

/* The call that the worker runs under that id, or NULL. Under the lock. */
static struct call *find(struct pool *pool, struct worker_ref ref, uint64_t call_id)
{
    struct worker *worker = pool_resolve(pool, ref);
    const struct inflight *entry = worker ? worker_find(worker, call_id) : NULL;
    return entry ? entry->call : NULL;
}

struct call *pool_find_call(struct pool *pool, struct worker_ref worker, uint64_t call_id,
                            struct session **out_session)
{
    pthread_mutex_lock(&pool->lock);
    struct call *call = find(pool, worker, call_id);
    *out_session = call && call->session ? session_ref(call->session) : NULL;
    if (call)
        call_ref(call);
    pthread_mutex_unlock(&pool->lock);
    return call;
}

static uint64_t time_left(const struct call *call, uint64_t now_us)
{
    uint64_t due_us = call->deadline_us < call->run_due_us ? call->deadline_us : call->run_due_us;
    return due_us > now_us ? due_us - now_us : 1;
}

/* The parent has its session as long as it runs. */
static void join_session(struct call *call, const struct call *parent)
{
    if (!call || !parent->session)
        return;
    call->session = session_ref(parent->session);
    call->affinity = parent->affinity;
    atomic_fetch_add_explicit(&call->session->calls, 1, memory_order_relaxed);
}

/* Takes it out of the parent's list, if it is there still. Under the lock. */
static bool leave(struct nested *nested)
{
    struct call *parent = nested->parent;
    if (list_empty(&nested->place))
        return false;
    list_remove(&nested->place);
    heap_remove(&parent->tool->pool->timers, &nested->timer.node);
    if (--parent->nested_count == 0)
        parent->inflight->worker->nesting--;
    return true;
}

static void abandon(struct nested *nested, struct effects *effects)
{
    (void)leave(nested);
    nested->next = effects->abandoned;
    effects->abandoned = nested;
}

static void on_due(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                   struct effects *effects)
{
    struct nested *nested = CONTAINER_OF(timer, struct nested, timer);
    (void)pool;
    (void)now_us;
    nested->timed_out = true;
    abandon(nested, effects);
}

static void enlist(struct pool *pool, struct call *parent, struct nested *nested, uint64_t now_us)
{
    nested->parent = parent;
    list_push_back(&parent->nested, &nested->place);
    if (parent->nested_count++ == 0)
        parent->inflight->worker->nesting++;
    nested->timer.fire = on_due;
    if (nested->timeout_us)
        heap_set(&pool->timers, &nested->timer.node, now_us + nested->timeout_us);
}

enum nested_verdict nested_begin(struct pool *pool, struct call *parent, struct nested *nested,
                                 unsigned limit, uint64_t *out_left_us, uint64_t *out_number)
{
    struct effects effects;
    enum nested_verdict verdict = NESTED_BEGUN;
    uint64_t now_us = pool_enter(pool, &effects);
    if (!parent->inflight)
        verdict = NESTED_ENDED;
    else if (parent->nested_count >= limit)
        verdict = NESTED_TOO_MANY;
    if (verdict == NESTED_BEGUN) {
        join_session(nested->call, parent);
        enlist(pool, parent, nested, now_us);
        *out_left_us = time_left(parent, now_us);
        *out_number = ++parent->nested_total;
    }
    pool_leave(pool, &effects);
    return verdict;
}

bool nested_end(struct pool *pool, struct nested *nested)
{
    pthread_mutex_lock(&pool->lock);
    bool left = leave(nested);
    pthread_mutex_unlock(&pool->lock);
    return left;
}

void nested_abandon(struct call *parent, struct effects *effects)
{
    while (!list_empty(&parent->nested))
        abandon(CONTAINER_OF(parent->nested.next, struct nested, place), effects);
}

void pool_give_up_nested(struct pool *pool, struct worker_ref worker, uint64_t call_id, uint64_t id)
{
    struct nested *found = NULL;
    pthread_mutex_lock(&pool->lock);
    const struct call *parent = find(pool, worker, call_id);
    if (parent) {
        LIST_FOREACH (&parent->nested, node, next) {
            struct nested *nested = CONTAINER_OF(node, struct nested, place);
            if (nested->id == id)
                found = nested;
        }
    }
    if (found)
        (void)leave(found);
    pthread_mutex_unlock(&pool->lock);
    if (found)
        found->give_up(found);
}

/* --- circles ---
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

/* Whether a slot is free, or will be. A call that was given up leaves its slot soon. */
static bool will_yield(const struct worker *worker)
{
    unsigned slots = worker->slots;
    LIST_FOREACH (&worker->sent, node, next) {
        const struct call *call = CONTAINER_OF(node, struct inflight, order)->call;
        if (slots == 0)
            break;
        if (!call || can_go_on(call))
            return true;
        slots--;
    }
    return slots > 0;
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

bool nested_is_hopeless(const struct call *call)
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
