/* /calls: the calls that wait or run, and those that are done and kept; cancelling one. */
#include "base/mem.h"
#include "server/deferral.h"
#include "server/document.h"
#include "server/gateway.h"
#include "server/handlers.h"
#include "server/job.h"
#include "server/outcome.h"
#include "server/problem.h"

#include <stdlib.h>

/* Calls of a pool that are listed, the oldest. */
enum { LISTED_MAX = 1000 };

static const char *state_name(enum call_state state)
{
    static const char *const names[] = {
        [CALL_NEW] = "queued",
        [CALL_QUEUED] = "queued",
        [CALL_DISPATCHED] = "dispatched",
        [CALL_RUNNING] = "running",
        [CALL_STREAMING] = "streaming",
        [CALL_DONE] = "done",
    };
    return names[state];
}

/* `pool`: NULL if the tool was registered. */
static void add_call(struct buffer *text, const char *pool, const struct call_view *view)
{
    buffer_add_string(text, "{\"request_id\":");
    buffer_add_json_string(text, bytes_of(view->request_id));
    buffer_add_string(text, ",\"tool\":");
    buffer_add_json_string(text, bytes_of(view->tool));
    if (pool)
        buffer_printf(text, ",\"pool\":\"%s\"", pool);
    else
        buffer_add_string(text, ",\"callback\":true");
    buffer_printf(text, ",\"state\":\"%s\"", state_name(view->state));
    if (view->worker[0])
        buffer_printf(text, ",\"worker\":\"%s\"", view->worker);
    buffer_printf(text, ",\"priority\":%u,\"attempts\":%u,\"age_ms\":%llu}", view->priority,
                  view->attempts, (unsigned long long)view->age_us / 1000);
}

/* A call that is done: how it ended, if it is asked for by its id. */
static void add_done(struct buffer *text, const struct job *job, bool whole)
{
    const struct call *call = job->call;
    buffer_add_string(text, "{\"request_id\":");
    buffer_add_json_string(text, call->request_id);
    buffer_add_string(text, ",\"tool\":");
    buffer_add_json_string(text, call->tool->spec.name);
    buffer_printf(text, ",\"pool\":\"%s\",\"state\":\"done\",\"end\":\"%s\"",
                  pool_name(call->tool->pool), outcome_end_name(call->outcome.end));
    if (whole) {
        buffer_add_string(text, ",\"outcome\":");
        (void)outcome_write(call, job->instance, text);
    }
    buffer_add_string(text, "}");
}

/* Calls that are done and kept. Returns whether there are more. */
static bool add_kept(struct buffer *text, struct ledger *ledger, bool first)
{
    struct job **jobs = mem_array(LISTED_MAX + 1, sizeof *jobs);
    unsigned count = ledger_look(ledger, jobs, LISTED_MAX + 1);
    for (unsigned i = 0; i < count; i++) {
        if (i < LISTED_MAX) {
            buffer_add_string(text, first && i == 0 ? "" : ",");
            add_done(text, jobs[i], false);
        }
        job_unref(&jobs[i]);
    }
    free(jobs);
    return count > LISTED_MAX;
}

/* As many of `views` as are listed; returns whether there are more. */
static bool add_calls(struct buffer *text, const char *pool, const struct call_view *views,
                      unsigned count, bool *first)
{
    for (unsigned i = 0; i < count && i < LISTED_MAX; i++) {
        buffer_add_string(text, *first ? "" : ",");
        add_call(text, pool, &views[i]);
        *first = false;
    }
    return count > LISTED_MAX;
}

void calls_list(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct call_view *views = mem_array(LISTED_MAX + 1, sizeof *views);
    struct buffer text = {0};
    bool first = true, more = false;
    buffer_add_string(&text, "{\"calls\":[");
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        unsigned count = pool_look_at_calls(gateway->pools[i], views, LISTED_MAX + 1);
        more |= add_calls(&text, pool_name(gateway->pools[i]), views, count, &first);
    }
    unsigned count = callbacks_look(gateway->callbacks, views, LISTED_MAX + 1);
    more |= add_calls(&text, NULL, views, count, &first);
    free(views);
    more |= add_kept(&text, gateway->ledger, first);
    buffer_printf(&text, "],\"more\":%s}", more ? "true" : "false");
    document_respond_json(exchange, 200, &text);
}

static struct bytes id_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 0, exchange->arena);
}

static void refuse_unknown(struct exchange *exchange)
{
    problem_respond(exchange,
                    &(struct problem){.status = 404,
                                      .code = "call_not_found",
                                      .category = "pool",
                                      .detail = "no call with that request id waits, runs or is "
                                                "kept"});
}

/* Adds the oldest call of that id in the pool; false, and nothing added, when there is none. */
static bool add_call_named(struct buffer *text, struct pool *pool, struct bytes id)
{
    struct call_view view;
    if (!pool_look_at_call(pool, id, &view))
        return false;
    add_call(text, pool_name(pool), &view);
    return true;
}

/* The same of a tool that was registered. */
static bool add_callback_named(struct buffer *text, struct callbacks *callbacks, struct bytes id)
{
    struct call_view view;
    if (!callbacks_look_at(callbacks, id, &view))
        return false;
    add_call(text, NULL, &view);
    return true;
}

/* The same of one that is done and kept. */
static bool add_job_named(struct buffer *text, struct ledger *ledger, struct bytes id)
{
    struct job *job = ledger_find(ledger, id);
    const struct call *call = job ? job_outcome(job) : NULL;
    if (call)
        add_done(text, job, true);
    job_unref(&job);
    return call;
}

void calls_get(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes id = id_of(exchange);
    struct buffer text = {0};
    bool found = false;
    for (unsigned i = 0; i < gateway->pool_count && !found; i++)
        found = add_call_named(&text, gateway->pools[i], id);
    if (found || add_callback_named(&text, gateway->callbacks, id) ||
        add_job_named(&text, gateway->ledger, id))
        document_respond_json(exchange, 200, &text);
    else
        refuse_unknown(exchange);
}

/* What the caller would have got that did not wait; 202 while there is nothing yet. */
void calls_result(struct exchange *exchange)
{
    struct job *job = ledger_find(gateway_of(exchange)->ledger, id_of(exchange));
    if (job)
        deferral_fetch(exchange, job);
    else
        refuse_unknown(exchange);
}

/* Forgets a call that is done and kept. */
static bool forget(struct ledger *ledger, struct bytes id)
{
    struct job *job = ledger_find(ledger, id);
    bool done = job && job_outcome(job);
    if (done)
        ledger_forget(ledger, job);
    job_unref(&job);
    return done;
}

/* The call has ended for its caller when this is answered; its tool has been told to stop. */
void calls_cancel(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes id = id_of(exchange);
    bool found = false;
    for (unsigned i = 0; i < gateway->pool_count && !found; i++)
        found = pool_cancel_request(gateway->pools[i], id);
    if (found || callbacks_cancel_request(gateway->callbacks, id) || forget(gateway->ledger, id))
        exchange_respond(exchange, &(struct response){.status = 204});
    else
        refuse_unknown(exchange);
}
