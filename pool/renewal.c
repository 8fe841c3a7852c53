#include "pool/renewal.h"

#include "pool/backoff.h"
#include "pool/census.h"
#include "pool/removal.h"

/* --- who --- */

void renewal_wish(struct worker *worker, const char *why)
{
    if (census_lasts(worker) && !worker->outdated)
        worker->outdated = why;
}

bool renewal_wish_early(struct pool *pool, struct worker *worker, const char *why, uint64_t now_us)
{
    if (!census_lasts(worker) || worker->outdated)
        return false;
    worker->outdated = why;
    if (worker->next_sequence > 1)
        return false;
    worker->premature = true;
    return backoff_note_early(pool, now_us);
}

bool renewal_is_used_up(struct pool *pool, struct worker *worker)
{
    uint64_t warm = pool->options.refork_after;
    if (!census_lasts(worker) || worker->outdated)
        return false;
    if (warm && pool->cold && worker->calls_done >= warm) {
        pool->cold = false;
        worker->is_template = true;
        renewal_wish(worker, "refork");
    } else if (worker->calls_done >= worker->max_calls) {
        renewal_wish(worker, "max_calls");
    }
    return worker->outdated;
}

static void recycle_old(struct pool *pool, uint64_t now_us)
{
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_READY && now_us - worker->ready_us >= worker->max_age_us)
            renewal_wish(worker, "max_age");
    }
}

/* It has no call with whose end it would answer again. */
static bool is_stuck(const struct pool *pool, const struct worker *worker, uint64_t now_us)
{
    uint64_t since_us =
        worker->stalled_us > worker->idle_since_us ? worker->stalled_us : worker->idle_since_us;
    return worker->state == WORKER_READY && worker->stalled && worker->inflight_count == 0 &&
           now_us - since_us > pool->options.cancel_grace_us;
}

/* Something that a tool has left behind keeps it from answering, or somebody has stopped it:
 * nothing would end that, and there is no call to lose. */
static void replace_stuck(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    for (unsigned i = 0; i < pool->seats && !effects_full(effects); i++) {
        struct worker *worker = &pool->workers[i];
        if (!is_stuck(pool, worker, now_us))
            continue;
        worker->retiring = "stalled";
        pool->recycled++;
        removal_kill(pool, worker, "it did not answer pings, and had no calls", effects);
    }
}

void renewal_review(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    recycle_old(pool, now_us);
    replace_stuck(pool, now_us, effects);
}

/* --- when --- */

/* A quarter of the workers is replaced at a time, so that their memory is not needed twice; and as
 * many as there are workers may still finish what they have. */
void renewal_retire(struct pool *pool)
{
    unsigned limit = pool->wanted / 4 + 1, retiring = census_retiring(pool);
    unsigned most = 2 * pool->wanted + limit, processes = census_processes(pool);
    if (most > pool->seats)
        most = pool->seats;
    for (unsigned i = 0; i < pool->seats && retiring < limit && processes < most; i++) {
        if (pool->workers[i].outdated && census_lasts(&pool->workers[i])) {
            pool->workers[i].retiring = pool->workers[i].outdated;
            retiring++;
            processes++;
        }
    }
}

void renewal_relieve(struct pool *pool, struct effects *effects)
{
    unsigned able = census_able(pool);
    for (unsigned i = 0; i < pool->seats && able >= pool->wanted && !effects_full(effects); i++) {
        struct worker *worker = &pool->workers[i];
        bool ready = worker->state == WORKER_READY;
        if (!worker->retiring || (!ready && worker->state != WORKER_STARTING) ||
            (ready && able == pool->wanted))
            continue;
        removal_drain(pool, worker, effects);
        able -= ready;
        pool->recycled++;
    }
}
