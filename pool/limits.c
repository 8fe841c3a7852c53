/* How long calls may take: of what the caller, the tool and the pool say the least counts. */
#include "pool/limits.h"

/* The least of those that say something, else what holds otherwise. */
static uint64_t least(uint64_t a, uint64_t b, uint64_t c, uint64_t otherwise)
{
    uint64_t limit = a;
    if (b && (limit == 0 || b < limit))
        limit = b;
    if (c && (limit == 0 || c < limit))
        limit = c;
    return limit ? limit : otherwise;
}

/* What holds for a call whose caller wishes that. */
static struct time_limits limits_for(const struct pool *pool, const struct call *call,
                                     struct time_limits wish)
{
    const struct pool_options *options = &pool->options;
    const struct time_limits *tool = &call->tool->spec.limits, *caps = &options->caps;
    bool streams = call->window;
    return (struct time_limits){
        .total_us =
            least(wish.total_us, tool->total_us, streams ? options->stream_cap_us : caps->total_us,
                  streams ? options->stream_timeout_us : options->timeout_us),
        .queue_us = least(wish.queue_us, tool->queue_us, caps->queue_us, options->queue_timeout_us),
        .run_us = least(wish.run_us, tool->run_us, streams ? options->stream_cap_us : caps->run_us,
                        streams ? options->stream_timeout_us : options->run_timeout_us),
        .idle_us = least(wish.idle_us, tool->idle_us, caps->idle_us, 0),
    };
}

void limits_settle(const struct pool *pool, struct call *call)
{
    struct time_limits limits = limits_for(pool, call,
                                           (struct time_limits){.total_us = call->timeout_us,
                                                                .queue_us = call->queue_timeout_us,
                                                                .run_us = call->run_timeout_us,
                                                                .idle_us = call->idle_timeout_us});
    call->timeout_us = limits.total_us;
    call->queue_timeout_us = limits.queue_us;
    call->run_timeout_us = limits.run_us;
    call->idle_timeout_us = limits.idle_us;
}

bool limits_used_up(const struct pool *pool, const struct call *call, enum call_end end)
{
    struct time_limits usual = limits_for(pool, call, (struct time_limits){0});
    uint64_t queue_us = call->outcome.queue_us, run_us = call->outcome.run_us;
    if (end == CALL_END_STREAM_IDLE)
        return usual.idle_us && call->idle_timeout_us >= usual.idle_us;
    if ((end != CALL_END_TIMEOUT && end != CALL_END_DEADLINE) || call->state == CALL_STREAMING)
        return false;
    return run_us >= usual.run_us || (run_us > queue_us && queue_us + run_us >= usual.total_us);
}
