/* Who runs a call: the pool of its tool or, if that was registered, callout.h. */
#ifndef SNAKEPIT_SERVER_CALLS_RUNNER_H
#define SNAKEPIT_SERVER_CALLS_RUNNER_H

#include "pool/pool.h"
#include "server/tools/callout.h"

/* As pool_submit(), pool_cancel() and pool_deliver(). */
static inline void runner_submit(struct call *call)
{
    if (call->tool->pool)
        pool_submit(call->tool->pool, call);
    else
        callout_submit(call);
}

static inline void runner_cancel(struct call *call)
{
    if (call->tool->pool)
        pool_cancel(call->tool->pool, call);
    else
        callout_cancel(call);
}

static inline void runner_deliver(struct call *call)
{
    if (call->tool->pool)
        pool_deliver(call->tool->pool, call);
}

/* Whether a call that was submitted waits and runs no more, though its mail may be under way. */
static inline bool runner_has_ended(struct call *call)
{
    struct call_view view;
    if (!call->tool->pool)
        return callout_has_ended(call);
    pool_look_at(call->tool->pool, call, &view);
    return view.state == CALL_DONE;
}

#endif
