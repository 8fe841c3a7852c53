#include "pool/nested.h"

#include "pool/inside.h"

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
        *out_left_us = call_time_left(parent, now_us);
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
