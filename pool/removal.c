#include "pool/removal.h"

#include "pool/affinity.h"
#include "pool/ending.h"
#include "pool/slots.h"
#include "pool/waiting.h"

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
