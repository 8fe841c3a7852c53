#include "pool/staff.h"

#include "pool/removal.h"
#include "pool/slots.h"

/* A process that dies before it did anything, or is to be replaced before, is not simply followed
 * by another: each further one waits longer, up to STAFF_BACKOFF_MAX_US. */
enum { BACKOFF_FIRST_US = 50000 };

/* After so many that are to be replaced before they did anything, in a row, it is said. */
enum { EARLY_MAX = 3 };

/* How often a pool says that its workers are replaced before they did anything. */
enum { COMPLAIN_US = 60000000 };

/* How often the number of workers is reviewed: while calls wait, and otherwise. */
enum { HURRY_US = 25000, REVIEW_US = 1000000 };

/* --- counting --- */

static unsigned at_least(unsigned value, unsigned limit)
{
    return value > limit ? value : limit;
}

static unsigned at_most(unsigned value, unsigned limit)
{
    return value < limit ? value : limit;
}

static bool is_lasting(const struct worker *worker)
{
    return (worker->state == WORKER_STARTING || worker->state == WORKER_READY) && !worker->retiring;
}

/* One that is lost has its place until it is gone, which is soon: how it went says how its
 * replacement is to be started. */
static unsigned count_lasting(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        bool lost = worker->lost && worker->state == WORKER_DRAINING;
        count += is_lasting(worker) || (lost && !worker->retiring);
    }
    return count;
}

unsigned staff_able_count(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state == WORKER_READY;
    return count;
}

unsigned staff_ready_count(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += is_lasting(&pool->workers[i]) && pool->workers[i].state == WORKER_READY;
    return count;
}

static unsigned count_busy(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state == WORKER_READY && pool->workers[i].inflight_count > 0;
    return count;
}

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

/* --- coming --- */

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

/* --- going --- */

void staff_retire(struct worker *worker, const char *why)
{
    if (is_lasting(worker) && !worker->outdated)
        worker->outdated = why;
}

void staff_slow_down(struct pool *pool, uint64_t now_us)
{
    if (++pool->early_deaths < 2)
        return;
    unsigned doublings = pool->early_deaths - 2;
    uint64_t delay_us =
        doublings < 8 ? (uint64_t)BACKOFF_FIRST_US << doublings : STAFF_BACKOFF_MAX_US;
    pool->start_after_us =
        now_us + (delay_us < STAFF_BACKOFF_MAX_US ? delay_us : STAFF_BACKOFF_MAX_US);
}

bool staff_retire_early(struct pool *pool, struct worker *worker, const char *why, uint64_t now_us)
{
    if (!is_lasting(worker) || worker->outdated)
        return false;
    worker->outdated = why;
    if (worker->next_sequence > 1)
        return false;
    worker->premature = true;
    staff_slow_down(pool, now_us);
    bool due = pool->early_deaths >= EARLY_MAX && now_us >= pool->complain_after_us;
    if (due)
        pool->complain_after_us = now_us + COMPLAIN_US;
    return due;
}

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

/* Takes no more calls; leaves once those it has, and those that wait for it alone, are answered. */
static void drain(struct pool *pool, struct worker *worker, struct effects *effects)
{
    bool ready = worker->state == WORKER_READY;
    worker_move(worker, WORKER_DRAINING);
    slots_reconsider(pool, worker);
    if (has_drained(worker) || !ready)
        tell_to_leave(pool, worker, effects);
}

/* Whether it has now run so many calls that it is to go, or to be what others are forked from. */
static bool retire_used(struct pool *pool, struct worker *worker)
{
    uint64_t warm = pool->options.refork_after;
    if (!is_lasting(worker) || worker->outdated)
        return false;
    if (warm && pool->cold && worker->calls_done >= warm) {
        pool->cold = false;
        worker->is_template = true;
        staff_retire(worker, "refork");
    } else if (worker->calls_done >= worker->max_calls) {
        staff_retire(worker, "max_calls");
    }
    return worker->outdated;
}

void staff_answered(struct pool *pool, struct worker *worker, uint64_t now_us,
                    struct effects *effects)
{
    if (!worker->proven && !worker->premature)
        pool->early_deaths = 0;
    worker->proven = true;
    if (worker->inflight_count == 0)
        worker->idle_since_us = now_us;
    if (retire_used(pool, worker))
        staff_balance(pool, now_us, effects);
    if (has_drained(worker) && !effects_full(effects))
        tell_to_leave(pool, worker, effects);
}

/* Those who are to go do so once there are enough others that can work. */
static void relieve(struct pool *pool, struct effects *effects)
{
    unsigned able = staff_able_count(pool);
    for (unsigned i = 0; i < pool->seats && able >= pool->wanted && !effects_full(effects); i++) {
        struct worker *worker = &pool->workers[i];
        bool ready = worker->state == WORKER_READY;
        if (!worker->retiring || (!ready && worker->state != WORKER_STARTING) ||
            (ready && able == pool->wanted))
            continue;
        drain(pool, worker, effects);
        able -= ready;
        pool->recycled++;
    }
}

/* Those that are about to go. One that drains may have a long answer to finish: others do not wait
 * for that. */
static unsigned count_retiring(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        bool is_busy = worker->state == WORKER_DRAINING && !worker->leaving;
        count += worker->retiring && worker->state != WORKER_VACANT && !is_busy;
    }
    return count;
}

/* The processes there will be: those there are and those that are missing. */
static unsigned count_processes(const struct pool *pool)
{
    unsigned count = 0, lasting = count_lasting(pool);
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state != WORKER_VACANT;
    return lasting < pool->wanted ? count + pool->wanted - lasting : count;
}

/* A quarter of the workers is replaced at a time, so that their memory is not needed twice; and as
 * many as there are workers may still finish what they have. */
static void retire_outdated(struct pool *pool)
{
    unsigned limit = pool->wanted / 4 + 1, retiring = count_retiring(pool);
    unsigned most = at_most(2 * pool->wanted + limit, pool->seats);
    unsigned processes = count_processes(pool);
    for (unsigned i = 0; i < pool->seats && retiring < limit && processes < most; i++) {
        if (pool->workers[i].outdated && is_lasting(&pool->workers[i])) {
            pool->workers[i].retiring = pool->workers[i].outdated;
            retiring++;
            processes++;
        }
    }
}

/* Workers that drain though nothing is left for them: the last answer came with full effects, or
 * what waited for them was given up. */
static void dismiss_drained(struct pool *pool, struct effects *effects)
{
    for (unsigned i = 0; i < pool->seats && !effects_full(effects); i++) {
        struct worker *worker = &pool->workers[i];
        if (has_drained(worker))
            tell_to_leave(pool, worker, effects);
    }
}

/* --- how many --- */

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
        if (is_lasting(worker) && (!least || is_missed_less(worker, least)))
            least = worker;
    }
    return least;
}

static void dismiss_surplus(struct pool *pool, unsigned lasting, struct effects *effects)
{
    struct worker *least;
    while (lasting > pool->wanted && !effects_full(effects) && (least = find_least_missed(pool))) {
        least->retiring = "surplus";
        drain(pool, least, effects);
        lasting--;
    }
}

void staff_balance(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    if (pool->stopped)
        return;
    retire_outdated(pool);
    unsigned lasting = count_lasting(pool);
    if (lasting < pool->wanted && now_us < pool->start_after_us) {
        if (pool->review.node.key > pool->start_after_us)
            heap_set(&pool->timers, &pool->review.node, pool->start_after_us);
    } else {
        struct worker *vacant;
        while (lasting < pool->wanted && !effects_full(effects) && (vacant = find_vacant(pool))) {
            start(pool, vacant, now_us, effects);
            lasting++;
        }
    }
    dismiss_surplus(pool, lasting, effects);
    relieve(pool, effects);
    dismiss_drained(pool, effects);
}

/* The fewest workers there may be. One is awaited that is to say what tools there are; and one that
 * has failed keeps trying, lest it fail for ever. */
static unsigned fewest(const struct pool *pool)
{
    bool needs_one = pool->state == POOL_STARTING || pool->state == POOL_FAILED;
    return pool->options.min_workers || !needs_one ? pool->options.min_workers : 1;
}

/* Doubles the workers as long as calls wait longer than they should. */
static void grow(struct pool *pool, uint64_t now_us)
{
    uint64_t oldest_us = queue_oldest_us(&pool->queue);
    uint64_t waiting_us = oldest_us < now_us ? now_us - oldest_us : 0;
    uint64_t predicted_us = queue_ahead_us(&pool->queue, CALL_PRIORITIES - 1);
    unsigned most = pool->options.max_workers;
    if (pool->queue.depth && pool->wanted == 0)
        pool->wanted = 1;
    else if (pool->queue.depth && (waiting_us > pool->options.target_queue_us ||
                                   predicted_us > pool->options.target_queue_us ||
                                   pool->wait_us > pool->options.target_queue_us))
        pool->wanted = at_most(2 * pool->wanted, most);
    unsigned with_spare = at_most(count_busy(pool) + pool->options.spare, most);
    pool->wanted = at_least(at_least(pool->wanted, with_spare), fewest(pool));
}

/* READY workers that have had nothing to do for long, and have no session that would be lost with
 * them; and those that are not ready after all this time in which nobody waited for them. */
static unsigned count_needless(const struct pool *pool, uint64_t now_us)
{
    unsigned count = 0, able = staff_able_count(pool);
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        count += is_lasting(worker) && worker->state == WORKER_READY &&
                 worker->inflight_count == 0 && worker->bound == 0 &&
                 now_us - worker->idle_since_us >= pool->options.idle_us;
    }
    if (now_us - pool->wanting_us >= pool->options.idle_us && able < pool->wanted)
        count += pool->wanted - able;
    return count;
}

static void shrink(struct pool *pool, uint64_t now_us)
{
    if (pool->queue.depth)
        return;
    unsigned least = at_least(count_busy(pool) + pool->options.spare, fewest(pool));
    unsigned removable = pool->wanted - at_most(pool->wanted, least);
    pool->wanted -= at_most(count_needless(pool, now_us), removable);
}

static void recycle_old(struct pool *pool, uint64_t now_us)
{
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_READY && now_us - worker->ready_us >= worker->max_age_us)
            staff_retire(worker, "max_age");
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

static void on_review(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                      struct effects *effects)
{
    heap_set(&pool->timers, &timer->node, now_us + (pool->queue.depth ? HURRY_US : REVIEW_US));
    if (pool->stopped)
        return;
    grow(pool, now_us);
    shrink(pool, now_us);
    recycle_old(pool, now_us);
    replace_stuck(pool, now_us, effects);
    poison_expire(&pool->poison, now_us);
    staff_balance(pool, now_us, effects);
}

void staff_open(struct pool *pool, uint64_t now_us)
{
    pool->wanting_us = now_us;
    /* One at least, if only until it idles: workers are who say what tools there are. */
    pool->wanted = pool->options.min_workers ? pool->options.min_workers : 1;
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
