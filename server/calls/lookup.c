#include "server/calls/lookup.h"

#include "server/calls/job.h"
#include "server/calls/ledger.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/tools/callbacks.h"

void lookup_refuse_unknown(struct exchange *exchange)
{
    problem_respond(exchange,
                    &(struct problem){.status = 404,
                                      .code = "call_not_found",
                                      .category = "pool",
                                      .detail = "no call with that request id waits, runs or is "
                                                "kept"});
}

static void refuse_ambiguous(struct exchange *exchange)
{
    problem_respond(exchange, &(struct problem){.status = 409,
                                                .code = "ambiguous_call",
                                                .detail = "several calls have that request id, "
                                                          "which their callers chose"});
}

/* How many calls that wait or run have the id. */
static unsigned find_live(const struct gateway *gateway, struct bytes id, struct lookup *lookup)
{
    unsigned found = 0;
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        unsigned here = pool_look_at_call(gateway->pools[i], id, &lookup->view);
        found += here;
        if (here)
            lookup->pool = gateway->pools[i];
    }
    unsigned elsewhere = callbacks_look_at(gateway->callbacks, id, &lookup->view);
    lookup->is_callback = elsewhere > 0;
    return found + elsewhere;
}

bool lookup_call(struct exchange *exchange, struct lookup *out_lookup)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes id = route_param(exchange->route, exchange->path, 0, exchange->arena);
    *out_lookup = (struct lookup){.job = ledger_find(gateway->ledger, id)};
    unsigned found = find_live(gateway, id, out_lookup);
    if (out_lookup->job && job_outcome(out_lookup->job))
        found++; /* it is not one of those */
    else if (out_lookup->job && !found)
        found = job_was_started(out_lookup->job); /* it has ended, and is about to hear of that */
    if (found == 1)
        return true;
    lookup_deinit(out_lookup);
    if (found)
        refuse_ambiguous(exchange);
    else
        lookup_refuse_unknown(exchange);
    return false;
}

struct job *lookup_job(struct exchange *exchange)
{
    return ledger_find(gateway_of(exchange)->ledger,
                       route_param(exchange->route, exchange->path, 0, exchange->arena));
}

void lookup_deinit(struct lookup *lookup)
{
    job_unref(&lookup->job);
}
