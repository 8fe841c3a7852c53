#include "pool/slots.h"

/* --- free ones --- */

/* Whether one worker with a free slot is chosen before the other: not where a worker has crashed,
 * if it can be helped; where fewer calls are; and of equals the one that became so last, whose
 * caches are warm. */
static bool is_chosen_before(const struct worker *latest, const struct worker *other)
{
    bool tainted = worker_is_tainted(latest);
    if (tainted != worker_is_tainted(other))
        return !tainted;
    return latest->inflight_count <= other->inflight_count;
}

void slots_reconsider(struct pool *pool, struct worker *worker)
{
    list_remove(&worker->free_place);
    if (!worker_has_free_slot(worker))
        return;
    struct list *place = pool->free.next;
    while (place != &pool->free &&
           !is_chosen_before(worker, CONTAINER_OF(place, struct worker, free_place)))
        place = place->next;
    list_insert_before(place, &worker->free_place);
}

/* --- busy ones --- */

/* Calls can wait at the busy worker. Not while a nested one waits for its slot, which would never
 * be free. */
static bool takes_ahead(const struct worker *worker)
{
    bool able =
        worker->state == WORKER_READY && !worker->stalled && !worker->late && worker->nesting == 0;
    return able && worker->inflight_count < worker->room &&
           (worker->waiting.depth == 0 || queue_first(&worker->waiting)->depth == 0);
}

/* What it has is short; or it has calls of the same tool, which runs many at once: as many as its
 * slots run, and as many again that wait for the next turn. */
static bool may_send_ahead(const struct pool *pool, const struct worker *worker,
                           const struct tool *tool)
{
    if (pool->options.ahead_budget_us == 0 || !takes_ahead(worker))
        return false;
    uint64_t batches = tool->spec.batch > 1 && worker->latest == tool ? 2 * worker->slots : 0;
    return worker->backlog_us <= pool->options.ahead_budget_us * worker->slots ||
           worker->inflight_count < batches * tool->spec.batch;
}

bool slots_can_give(const struct pool *pool, const struct worker *worker, const struct tool *tool)
{
    return worker_has_free_slot(worker) || may_send_ahead(pool, worker, tool);
}

/* A nested call is not sent ahead: it could wait for whoever waits for it. A worker that is about
 * to leave has those calls that wait for it alone. */
bool slots_can_have(const struct pool *pool, const struct worker *worker, const struct call *call)
{
    if (worker->state == WORKER_DRAINING)
        return !worker->leaving && !worker->lost && !worker->stalled &&
               worker_has_unused_slot(worker);
    return call->depth ? worker_has_free_slot(worker) : slots_can_give(pool, worker, call->tool);
}

static bool is_better_ahead(const struct worker *worker, const struct worker *other)
{
    if (worker_is_tainted(worker) != worker_is_tainted(other))
        return worker_is_tainted(other);
    return worker->backlog_us < other->backlog_us;
}

struct worker *slots_choose(const struct pool *pool, const struct call *call)
{
    if (!list_empty(&pool->free))
        return CONTAINER_OF(pool->free.next, struct worker, free_place);
    struct worker *best = NULL;
    if (call->depth > 0)
        return NULL;
    for (unsigned i = 0; i < pool->seats_used; i++) {
        struct worker *worker = &pool->workers[i];
        if (may_send_ahead(pool, worker, call->tool) && (!best || is_better_ahead(worker, best)))
            best = worker;
    }
    return best;
}
