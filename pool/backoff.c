#include "pool/backoff.h"

#include "pool/census.h"

#include <stdio.h>

/* Each further process in a row waits longer, from the first of these to the second; and one that
 * has lived as long as that was of use. */
enum { FIRST_US = 50000, MAX_US = 5000000 };

/* After so many that are to be replaced before they did anything, in a row, it is said. */
enum { EARLY_MAX = 3 };

/* How often a pool says that its workers are replaced before they did anything. */
enum { COMPLAIN_US = 60000000 };

/* After so many processes in a row that died before they answered anything, and with no worker
 * left, calls are refused until one is ready. Of processes that were given a call it takes more,
 * since one request can be the end of as many as make it poisonous; but not more than make restarts
 * as slow as they get. */
enum { EARLY_DEATHS_MAX = 3, EARLY_DEATHS_WITH_CALLS_MAX = 9 };

static void slow_down(struct pool *pool, uint64_t now_us)
{
    if (++pool->early_deaths < 2)
        return;
    unsigned doublings = pool->early_deaths - 2;
    uint64_t delay_us = doublings < 8 ? (uint64_t)FIRST_US << doublings : MAX_US;
    pool->start_after_us = now_us + (delay_us < MAX_US ? delay_us : MAX_US);
}

bool backoff_note_early(struct pool *pool, uint64_t now_us)
{
    slow_down(pool, now_us);
    bool due = pool->early_deaths >= EARLY_MAX && now_us >= pool->complain_after_us;
    if (due)
        pool->complain_after_us = now_us + COMPLAIN_US;
    return due;
}

void backoff_note_first_answer(struct pool *pool, struct worker *worker)
{
    if (!worker->premature)
        pool->early_deaths = 0;
    worker->proven = true;
}

/* Has answered a call, or at least lived for some time. */
static bool was_useful(const struct worker *worker, uint64_t now_us)
{
    return worker->calls_done > 0 || (worker->ready_us && now_us - worker->ready_us >= MAX_US);
}

/* Whether it is to be feared that the next process dies as soon: not when a worker that could take
 * calls was killed from outside. */
static bool died_early(const struct worker *worker, const struct worker_exit *exit)
{
    return !exit->expected && !(exit->outside && worker->ready_us);
}

static unsigned early_deaths_limit(const struct pool *pool, const struct worker *worker)
{
    bool had_calls = worker->next_sequence > 1;
    unsigned limit = EARLY_DEATHS_MAX + (had_calls ? pool->options.poison_after : 0);
    return limit < EARLY_DEATHS_WITH_CALLS_MAX ? limit : EARLY_DEATHS_WITH_CALLS_MAX;
}

static void despair(struct pool *pool, const struct worker *worker, const struct worker_exit *exit)
{
    if (pool->early_deaths < early_deaths_limit(pool, worker) || census_able(pool) > 0 ||
        pool->state == POOL_LEAVING)
        return;
    pool->state = POOL_FAILED;
    if (!pool->reason[0])
        snprintf(pool->reason, sizeof pool->reason,
                 "workers end before they have answered anything (%s %d)", exit->cause,
                 exit->signal ? exit->signal : exit->code);
}

void backoff_note_death(struct pool *pool, const struct worker *worker,
                        const struct worker_exit *exit, uint64_t now_us)
{
    if (was_useful(worker, now_us)) {
        if (!worker->premature)
            pool->early_deaths = 0;
    } else if (died_early(worker, exit)) {
        slow_down(pool, now_us);
        despair(pool, worker, exit);
    }
}
