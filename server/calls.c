/* /calls: the calls that wait or run, and those that are done and kept; cancelling one. */
#include "base/mem.h"
#include "server/deferral.h"
#include "server/document.h"
#include "server/gateway.h"
#include "server/handlers.h"
#include "server/job.h"
#include "server/lookup.h"
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

void calls_get(struct exchange *exchange)
{
    struct lookup lookup;
    struct buffer text = {0};
    if (!lookup_call(exchange, &lookup))
        return;
    if (lookup.pool || lookup.is_callback)
        add_call(&text, lookup.pool ? pool_name(lookup.pool) : NULL, &lookup.view);
    else if (job_outcome(lookup.job))
        add_done(&text, lookup.job, true);
    lookup_deinit(&lookup);
    if (text.len)
        document_respond_json(exchange, 200, &text);
    else
        lookup_refuse_unknown(exchange); /* it is about to be done */
}

/* What the caller would have got that did not wait; 202 while there is nothing yet. */
void calls_result(struct exchange *exchange)
{
    struct lookup lookup;
    if (!lookup_call(exchange, &lookup))
        return;
    if (lookup.job)
        deferral_fetch(exchange, job_ref(lookup.job));
    else
        lookup_refuse_unknown(exchange);
    lookup_deinit(&lookup);
}

/* Ends it, or forgets it if it is done and kept. False: it has ended meanwhile. */
static bool end(const struct gateway *gateway, const struct lookup *lookup)
{
    struct bytes id = bytes_of(lookup->view.request_id);
    if (lookup->pool)
        return pool_cancel_request(lookup->pool, id);
    if (lookup->is_callback)
        return callbacks_cancel_request(gateway->callbacks, id);
    if (!job_outcome(lookup->job))
        return false;
    ledger_forget(gateway->ledger, lookup->job);
    return true;
}

/* The call has ended for its caller when this is answered; its tool has been told to stop. */
void calls_cancel(struct exchange *exchange)
{
    struct lookup lookup;
    if (!lookup_call(exchange, &lookup))
        return;
    if (end(gateway_of(exchange), &lookup))
        exchange_respond(exchange, &(struct response){.status = 204});
    else
        lookup_refuse_unknown(exchange);
    lookup_deinit(&lookup);
}
