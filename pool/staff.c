#include "pool/staff.h"

#include "pool/backoff.h"
#include "pool/census.h"
#include "pool/demand.h"
#include "pool/removal.h"
#include "pool/renewal.h"
#include "pool/slots.h"

/* How often the number of workers is reviewed: while calls wait, and otherwise. */
enum { HURRY_US = 25000, REVIEW_US = 1000000 };

/* --- who comes --- */

/* xorshift64: good enough to keep workers from being recycled all at once. */
static uint64_t next_random(struct pool *pool)
{
    pool->random ^= pool->random << 13;
    pool->random ^= pool->random >> 7;
    pool->random ^= pool->random << 17;
    return pool->random;
}

/* `limit` less up to the jitter's percent of it; UINT64_MAX for no limit. */
static uint64_t jittered(struct pool *pool, uint64_t limit)
{
    if (limit == 0)
        return UINT64_MAX;
    uint64_t range = limit * pool->options.recycle_jitter / 100;
    return limit - (range ? next_random(pool) % (range + 1) : 0);
}

static void start(struct pool *pool, struct worker *worker, uint64_t now_us,
                  struct effects *effects)
{
    worker_begin(worker, pool->name, ++pool->next_number, now_us);
    if (worker->ref.seat >= pool->seats_used)
        pool->seats_used = worker->ref.seat + 1;
    worker->max_calls = jittered(pool, pool->options.worker_max_calls);
    worker->max_age_us = jittered(pool, pool->options.worker_max_age_us);
    pool->starts++;
    effects->starts[effects->start_count].worker = worker->ref;
    memcpy(effects->starts[effects->start_count++].id, worker->id, sizeof worker->id);
}

/* One where a worker has crashed comes first, so that its replacement sits there. */
static struct worker *find_vacant(struct pool *pool)
{
    struct worker *vacant = NULL;
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->state != WORKER_VACANT)
            continue;
        if (worker_is_tainted(worker))
            return worker;
        if (!vacant)
            vacant = worker;
    }
    return vacant;
}

/* No process is started before its time, see backoff.h. */
static unsigned start_missing(struct pool *pool, unsigned lasting, uint64_t now_us,
                              struct effects *effects)
{
    struct worker *vacant;
    if (lasting < pool->wanted && now_us < pool->start_after_us) {
        if (pool->review.node.key > pool->start_after_us)
            heap_set(&pool->timers, &pool->review.node, pool->start_after_us);
        return lasting;
    }
    while (lasting < pool->wanted && !effects_full(effects) && (vacant = find_vacant(pool))) {
        start(pool, vacant, now_us, effects);
        lasting++;
    }
    return lasting;
}

/* --- who goes --- */

/* Who is missed least: one that is not ready yet, the youngest first; then those with the fewest
 * sessions of their own, of them the least busy, and of the idle the one that is so longest. */
static bool is_missed_less(const struct worker *one, const struct worker *other)
{
    if (one->state != other->state)
        return one->state == WORKER_STARTING;
    if (one->state == WORKER_STARTING)
        return one->ref.number > other->ref.number;
    if (one->bound != other->bound)
        return one->bound < other->bound;
    if (one->inflight_count != other->inflight_count)
        return one->inflight_count < other->inflight_count;
    return one->idle_since_us < other->idle_since_us;
}

static struct worker *find_least_missed(struct pool *pool)
{
    struct worker *least = NULL;
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (census_lasts(worker) && (!least || is_missed_less(worker, least)))
            least = worker;
    }
    return least;
}

static void dismiss_surplus(struct pool *pool, unsigned lasting, struct effects *effects)
{
    struct worker *least;
    while (lasting > pool->wanted && !effects_full(effects) && (least = find_least_missed(pool))) {
        least->retiring = "surplus";
        removal_drain(pool, least, effects);
        lasting--;
    }
}

/* Workers that drain though nothing is left for them: the last answer came with full effects, or
 * what waited for them was given up. */
static void dismiss_drained(struct pool *pool, struct effects *effects)
{
    for (unsigned i = 0; i < pool->seats && !effects_full(effects); i++)
        removal_dismiss(pool, &pool->workers[i], effects);
}

/* --- when --- */

void staff_balance(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    if (pool->stopped)
        return;
    renewal_retire(pool);
    unsigned lasting = start_missing(pool, census_lasting(pool), now_us, effects);
    dismiss_surplus(pool, lasting, effects);
    renewal_relieve(pool, effects);
    dismiss_drained(pool, effects);
}

void staff_answered(struct pool *pool, struct worker *worker, uint64_t now_us,
                    struct effects *effects)
{
    if (!worker->proven)
        backoff_note_first_answer(pool, worker);
    if (worker->inflight_count == 0)
        worker->idle_since_us = now_us;
    if (renewal_is_used_up(pool, worker))
        staff_balance(pool, now_us, effects);
    if (worker->state == WORKER_DRAINING && !effects_full(effects))
        removal_dismiss(pool, worker, effects);
}

static void on_review(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                      struct effects *effects)
{
    heap_set(&pool->timers, &timer->node, now_us + (pool->queue.depth ? HURRY_US : REVIEW_US));
    if (pool->stopped)
        return;
    demand_review(pool, now_us);
    renewal_review(pool, now_us, effects);
    poison_expire(&pool->poison, now_us);
    staff_balance(pool, now_us, effects);
}

void staff_open(struct pool *pool, uint64_t now_us)
{
    pool->wanting_us = now_us;
    demand_init(pool);
    pool->review.fire = on_review;
    heap_set(&pool->timers, &pool->review.node, now_us + REVIEW_US);
}

void staff_hurry(struct pool *pool, uint64_t now_us)
{
    uint64_t soon_us = now_us + (pool->wanted ? HURRY_US : 0);
    pool->wanting_us = now_us;
    if (pool->wanted < pool->options.max_workers && pool->review.node.key > soon_us)
        heap_set(&pool->timers, &pool->review.node, soon_us);
}

void staff_ready(struct pool *pool, struct worker *worker, uint64_t now_us, struct effects *effects)
{
    worker->idle_since_us = now_us;
    slots_reconsider(pool, worker);
    staff_balance(pool, now_us, effects);
}
