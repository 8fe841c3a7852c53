#include "pool/removal.h"

#include "pool/affinity.h"
#include "pool/ending.h"
#include "pool/slots.h"
#include "pool/waiting.h"

/* --- once they have nothing left to do --- */

static void tell_to_leave(struct pool *pool, struct worker *worker, struct effects *effects)
{
    worker->leaving = true;
    effects_stop(effects, worker->ref, pool->options.stop_grace_us, worker->is_template);
}

static bool has_drained(const struct worker *worker)
{
    return worker->state == WORKER_DRAINING && worker->inflight_count == 0 &&
           worker->waiting.depth == 0 && !worker->leaving && !worker->lost;
}

void removal_dismiss(struct pool *pool, struct worker *worker, struct effects *effects)
{
    if (has_drained(worker))
        tell_to_leave(pool, worker, effects);
}

void removal_drain(struct pool *pool, struct worker *worker, struct effects *effects)
{
    bool ready = worker->state == WORKER_READY;
    worker_move(worker, WORKER_DRAINING);
    slots_reconsider(pool, worker);
    if (has_drained(worker) || !ready)
        tell_to_leave(pool, worker, effects);
}

/* --- at once --- */

void removal_desert(struct pool *pool, struct worker *worker, struct effects *effects)
{
    struct call *call;
    while ((call = queue_first(&worker->waiting))) {
        if (affinity_binds(pool, call, worker))
            ending_give_lost(pool, call, worker->ref.number, effects);
        else /* its session has moved on meanwhile */
            waiting_unbind(pool, call, pool->options.now_us());
    }
}

static void take_out(struct pool *pool, struct worker *worker, const char *why,
                     struct effects *effects)
{
    worker->killed_for = why;
    if (worker->state != WORKER_DRAINING)
        worker_move(worker, WORKER_DRAINING);
    slots_reconsider(pool, worker);
    removal_desert(pool, worker, effects);
}

void removal_lose(struct pool *pool, struct worker *worker, const char *why,
                  struct effects *effects)
{
    worker->lost = true;
    take_out(pool, worker, why, effects);
}

void removal_kill(struct pool *pool, struct worker *worker, const char *why,
                  struct effects *effects)
{
    worker->leaving = true;
    take_out(pool, worker, why, effects);
    effects_stop(effects, worker->ref, 0, false);
}
