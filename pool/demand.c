#include "pool/demand.h"

#include "pool/census.h"

static unsigned at_least(unsigned value, unsigned limit)
{
    return value > limit ? value : limit;
}

static unsigned at_most(unsigned value, unsigned limit)
{
    return value < limit ? value : limit;
}

void demand_init(struct pool *pool)
{
    /* One at least, if only until it idles: workers are who say what tools there are. */
    pool->wanted = pool->options.min_workers ? pool->options.min_workers : 1;
}

static unsigned unless_kept(unsigned given, unsigned present)
{
    return given == POOL_KEEP ? present : given;
}

const char *demand_limit(struct pool *pool, unsigned min_workers, unsigned max_workers,
                         unsigned spare)
{
    struct pool_options *options = &pool->options;
    min_workers = unless_kept(min_workers, options->min_workers);
    max_workers = unless_kept(max_workers, options->max_workers);
    spare = unless_kept(spare, options->spare);
    if (max_workers < 1 || max_workers > POOL_MAX_WORKERS)
        return "max must be from 1 to 150";
    if (min_workers > max_workers)
        return "min must not be above max";
    if (spare > max_workers)
        return "spare must not be above max";
    options->min_workers = min_workers;
    options->max_workers = max_workers;
    options->spare = spare;
    pool->wanted = at_most(at_least(pool->wanted, min_workers), max_workers);
    return NULL;
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
    unsigned with_spare = at_most(census_busy(pool) + pool->options.spare, most);
    pool->wanted = at_least(at_least(pool->wanted, with_spare), fewest(pool));
}

/* READY workers that have had nothing to do for long, and have no session that would be lost with
 * them; and those that are not ready after all this time in which nobody waited for them. */
static unsigned count_needless(const struct pool *pool, uint64_t now_us)
{
    unsigned count = 0, able = census_able(pool);
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        count += census_lasts(worker) && worker->state == WORKER_READY &&
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
    unsigned least = at_least(census_busy(pool) + pool->options.spare, fewest(pool));
    unsigned removable = pool->wanted - at_most(pool->wanted, least);
    pool->wanted -= at_most(count_needless(pool, now_us), removable);
}

void demand_review(struct pool *pool, uint64_t now_us)
{
    grow(pool, now_us);
    shrink(pool, now_us);
}
