/* How long things take, as far as that is known: the pace of answers while calls wait (queue.h),
 * and the time that a tool runs. And what follows from it for calls that come, or have their turn.
 */
#include "pool/forecast.h"

#include "pool/affinity.h"

enum { RETRY_AFTER_MAX_S = 60 };

/* What was measured last is taken for granted so long, or as long as the tool takes. Then a call
 * tries whether it still holds. */
enum { BELIEVED_US = 1000000 };

/* The pace to come may be this part slower than that of now. */
enum { PACE_DOUBT = 16 };

/* --- tools --- */

/* Follows shorter times at once, and longer ones by a twentieth. */
static void note_least(struct tool *tool, uint64_t run_us)
{
    uint64_t least_us = tool->run_least_us;
    uint64_t more_us = least_us + least_us / 20 + 1;
    tool->run_least_us = least_us && more_us < run_us ? more_us : run_us;
}

/* The mean by an exponential moving average; the median by steps towards each sample, of a
 * twentieth of it (frugal streaming: Ma, Muthukrishnan and Sandler, 2013). */
void forecast_measure(struct pool *pool, struct tool *tool, uint64_t run_us, uint64_t now_us)
{
    uint64_t sample = run_us ? run_us : 1;
    histogram_observe(&pool->run_seconds, (double)run_us / 1e6);
    note_least(tool, sample);
    tool->measured_us = now_us;
    if (tool->run_ewma_us == 0) {
        tool->run_ewma_us = tool->run_median_us = sample;
        return;
    }
    int64_t change = ((int64_t)sample - (int64_t)tool->run_ewma_us) / 8;
    tool->run_ewma_us += (uint64_t)change;
    if (tool->run_ewma_us == 0)
        tool->run_ewma_us = 1;
    uint64_t step = tool->run_median_us / 20 + 1;
    if (sample > tool->run_median_us)
        tool->run_median_us += step;
    else if (sample < tool->run_median_us)
        tool->run_median_us -= step < tool->run_median_us ? step : 0;
}

void forecast_missed(const struct call *call, uint64_t now_us)
{
    struct tool *tool = call->tool;
    uint64_t ran_us = now_us - call->inflight->sent_us;
    if (call->window)
        return;
    if (tool->run_least_us && ran_us > tool->run_least_us)
        note_least(tool, ran_us);
    tool->measured_us = now_us;
}

/* --- calls --- */

/* Its tool takes longer than there is time: mostly, and whatever the arguments were of late.
 * Streams last as long as their readers want. */
static bool is_too_slow(const struct call *call, uint64_t now_us)
{
    const struct tool *tool = call->tool;
    uint64_t median_us = tool->run_median_us;
    uint64_t takes_us = median_us < tool->run_least_us ? median_us : tool->run_least_us;
    return !call->window && now_us + takes_us > call->deadline_us;
}

/* True for one call now and then, which tries. */
static bool is_doubtful(struct tool *tool, uint64_t now_us)
{
    uint64_t median_us = tool->run_median_us;
    if (now_us < tool->measured_us + (median_us > BELIEVED_US ? median_us : BELIEVED_US))
        return false;
    tool->measured_us = now_us;
    return true;
}

bool forecast_is_hopeless(const struct pool *pool, const struct call *call,
                          const struct worker *only, uint64_t now_us)
{
    const struct call_queue *queue = only ? &only->waiting : &pool->queue;
    uint64_t wait_us = call->depth ? 0 : queue_ahead_us(queue, call->priority); /* see queue.h */
    wait_us += wait_us / PACE_DOUBT; /* or half of its like would wait in vain */
    if (wait_us)
        return now_us + wait_us + call->tool->run_median_us > call->deadline_us;
    return is_too_slow(call, now_us) && !is_doubtful(call->tool, now_us);
}

bool forecast_comes_too_late(const struct pool *pool, const struct call *call, uint64_t now_us)
{
    return pool->queue.depth > 1 && call->outcome.attempts == 0 && now_us > call->enqueued_us &&
           now_us + call->tool->run_median_us > call->deadline_us;
}

/* --- callers --- */

static uint64_t time_until(const struct pool *pool, uint64_t then_us)
{
    uint64_t now_us = pool->options.now_us();
    return then_us > now_us ? then_us - now_us : 0;
}

/* Until all that waits has had its turn. The pace of all answers is known while calls wait for any
 * worker; else those of the workers that are waited for add up. */
static uint64_t until_empty(const struct pool *pool)
{
    unsigned waiting = pool->queue.depth + pool->pinned + pool->retrying;
    if (pool->queue.depth)
        return waiting * pool->queue.answer_every_us;
    double answers_a_us = 0;
    LIST_FOREACH (&pool->awaited, node, next) {
        const struct worker *worker = CONTAINER_OF(node, struct worker, awaited_place);
        if (worker->waiting.answer_every_us)
            answers_a_us += 1 / (double)worker->waiting.answer_every_us;
    }
    return answers_a_us > 0 ? (uint64_t)(waiting / answers_a_us) : 0;
}

/* Until the call, which is refused or has waited in vain, would have had its turn. */
static uint64_t until_turn(const struct pool *pool, const struct call *call)
{
    uint64_t wait_us = until_empty(pool);
    struct worker *only = call->awaits;
    if (!only)
        (void)affinity_judge(pool, call, &only);
    uint64_t only_us = only ? queue_ahead_us(&only->waiting, call->priority) : 0;
    return only_us > wait_us ? only_us : wait_us;
}

unsigned forecast_retry_after(const struct pool *pool, const struct call *call)
{
    uint64_t wait_us = 0;
    if (pool->state == POOL_FAILED)
        wait_us = time_until(pool, pool->start_after_us);
    else if (pool->breaker.state == BREAKER_OPEN)
        wait_us = time_until(pool, pool->breaker.until_us);
    else
        wait_us = until_turn(pool, call);
    uint64_t seconds = (wait_us + 999999) / 1000000;
    return seconds < 1 ? 1 : seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (unsigned)seconds;
}
