/* /calls: the calls that wait or run, and those that are done and kept; cancelling one. */
#include "base/json.h"
#include "base/mem.h"
#include "server/calls/deferral.h"
#include "server/calls/job.h"
#include "server/calls/ledger.h"
#include "server/calls/lookup.h"
#include "server/calls/outcome.h"
#include "server/calls/runner.h"
#include "server/http/document.h"
#include "server/http/media.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/listing.h"
#include "server/requests/members.h"
#include "server/resources/handlers.h"
#include "server/tools/callbacks.h"

#include <stdlib.h>

enum { CURSOR_MAX = 32, JOBS_AT_ONCE = 64 };

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

/* NULL: the tool was registered; so below. */
static void add_pool(struct buffer *text, const char *pool)
{
    if (pool)
        buffer_printf(text, ",\"pool\":\"%s\"", pool);
    else
        buffer_add_string(text, ",\"callback\":true");
}

static void add_call(struct buffer *text, const char *pool, const struct call_view *view)
{
    buffer_add_string(text, "{\"request_id\":");
    buffer_add_json_string(text, bytes_of(view->request_id));
    buffer_add_string(text, ",\"tool\":");
    buffer_add_json_string(text, bytes_of(view->tool));
    add_pool(text, pool);
    buffer_printf(text, ",\"state\":\"%s\"", state_name(view->state));
    if (view->worker[0])
        buffer_printf(text, ",\"worker\":\"%s\"", view->worker);
    buffer_printf(text, ",\"priority\":%u,\"attempts\":%u,\"age_ms\":%llu}", view->priority,
                  view->attempts, (unsigned long long)view->age_us / 1000);
}

/* How it ended, and with what if it is asked for by its id. */
static void add_end(struct buffer *text, const struct job *job, bool whole)
{
    const struct call *call = job->call;
    buffer_printf(text, ",\"state\":\"done\",\"end\":\"%s\"", outcome_end_name(call->outcome.end));
    if (!whole)
        return;
    buffer_add_string(text, ",\"outcome\":");
    (void)outcome_write(call, job->instance, text);
}

/* A call that neither waits nor runs any more. Before it is done its outcome is under way. */
static void add_job(struct buffer *text, struct job *job, bool whole)
{
    const struct call *call = job->call;
    buffer_add_string(text, "{\"request_id\":");
    buffer_add_json_string(text, call->request_id);
    buffer_add_string(text, ",\"tool\":");
    buffer_add_json_string(text, call->tool->spec.name);
    add_pool(text, call->tool->pool ? pool_name(call->tool->pool) : NULL);
    if (job_outcome(job))
        add_end(text, job, whole);
    else
        buffer_add_string(text, ",\"state\":\"running\"");
    buffer_add_string(text, "}");
}

/* --- all of them --- */

/* A page of the list: calls of the pools, then those of callbacks, then those that have just ended,
 * then what is kept. That is the way they go, so that none is missed. Calls are numbered in each of
 * these sections, so that those that end meanwhile shift nothing. */
struct page {
    unsigned section; /* of the last call of the page before, then of the last one that was added */
    uint64_t number;
    unsigned left; /* so many calls still fit */
    bool more;     /* there are some that did not */
};

/* Whether the call is to be added, behind what stands there; notes that it was. */
static bool turn_to(struct page *page, struct buffer *text, unsigned section, uint64_t number)
{
    page->more = page->left == 0;
    if (page->more)
        return false;
    page->left--;
    page->section = section;
    page->number = number;
    buffer_add_string(text, text->data[text->len - 1] == '[' ? "" : ",");
    return true;
}

static void add_live(const struct gateway *gateway, struct page *page, unsigned section,
                     uint64_t after, struct buffer *text)
{
    struct call_view *views = mem_array(page->left + 1, sizeof *views);
    struct pool *pool = section < gateway->pool_count ? gateway->pools[section] : NULL;
    unsigned count = pool ? pool_look_at_calls(pool, after, views, page->left + 1)
                          : callbacks_look(gateway->callbacks, after, views, page->left + 1);
    for (unsigned i = 0; i < count; i++) {
        if (turn_to(page, text, section, views[i].number))
            add_call(text, pool ? pool_name(pool) : NULL, &views[i]);
    }
    free(views);
}

/* Calls of jobs that run no more, of which the jobs are about to hear. */
static void add_ended(const struct gateway *gateway, struct page *page, unsigned section,
                      uint64_t after, struct buffer *text)
{
    struct job *jobs[JOBS_AT_ONCE];
    unsigned count = JOBS_AT_ONCE;
    while (count == JOBS_AT_ONCE && !page->more) {
        count = ledger_look(gateway->ledger, JOBS_UNDER_WAY, after, jobs, JOBS_AT_ONCE);
        for (unsigned i = 0; i < count; i++) {
            after = jobs[i]->numbers[JOBS_UNDER_WAY];
            if (job_was_started(jobs[i]) && runner_has_ended(jobs[i]->call) && !page->more &&
                turn_to(page, text, section, after))
                add_job(text, jobs[i], false);
            job_unref(&jobs[i]);
        }
    }
}

static void add_kept(const struct gateway *gateway, struct page *page, unsigned section,
                     uint64_t after, struct buffer *text)
{
    struct job **jobs = mem_array(page->left + 1, sizeof *jobs);
    unsigned count = ledger_look(gateway->ledger, JOBS_DONE, after, jobs, page->left + 1);
    for (unsigned i = 0; i < count; i++) {
        if (turn_to(page, text, section, jobs[i]->numbers[JOBS_DONE]))
            add_job(text, jobs[i], false);
        job_unref(&jobs[i]);
    }
    free(jobs);
}

/* "2.17"; nothing is where the list begins. */
static bool read_cursor(struct bytes text, struct page *page)
{
    int64_t section, number;
    if (text.len == 0)
        return true;
    struct bytes first = media_cut(&text, '.');
    if (!json_to_int(first, &section) || !json_to_int(text, &number) || section < 0 ||
        section > GATEWAY_MAX_POOLS + 2 || number < 0)
        return false;
    page->section = (unsigned)section;
    page->number = (uint64_t)number;
    return true;
}

/* False: the query is wrong, and the exchange has been answered. */
static bool read_page(struct exchange *exchange, struct page *out_page)
{
    struct listing listing;
    if (!listing_read(exchange, LISTING_MAX, CURSOR_MAX, &listing))
        return false;
    *out_page = (struct page){.left = listing.limit};
    return read_cursor(listing.after, out_page) || listing_refuse_after(exchange);
}

void calls_list(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct page page;
    struct buffer text = {0};
    if (!read_page(exchange, &page))
        return;
    unsigned section = page.section, callbacks = gateway->pool_count;
    unsigned ended = callbacks + 1, kept = ended + 1;
    uint64_t after = page.number;
    buffer_add_string(&text, "{\"calls\":[");
    for (; section <= callbacks && !page.more; section++, after = 0)
        add_live(gateway, &page, section, after, &text);
    if (!page.more && section == ended) {
        add_ended(gateway, &page, section++, after, &text);
        after = 0;
    }
    if (!page.more && section == kept)
        add_kept(gateway, &page, kept, after, &text);
    buffer_printf(&text, "],\"more\":%s", page.more ? "true" : "false");
    if (page.more)
        buffer_printf(&text, ",\"next\":\"%u.%llu\"", page.section,
                      (unsigned long long)page.number);
    buffer_add_string(&text, "}");
    document_respond_json(exchange, 200, &text);
}

/* --- one of them --- */

void calls_get(struct exchange *exchange)
{
    struct lookup lookup;
    struct buffer text = {0};
    if (!lookup_call(exchange, &lookup))
        return;
    if (lookup.pool || lookup.is_callback)
        add_call(&text, lookup.pool ? pool_name(lookup.pool) : NULL, &lookup.view);
    else
        add_job(&text, lookup.job, true);
    lookup_deinit(&lookup);
    document_respond_json(exchange, 200, &text);
}

/* What the caller would have got that did not wait; 202 while there is nothing yet. */
void calls_result(struct exchange *exchange)
{
    struct job *job = lookup_job(exchange);
    if (job)
        deferral_fetch(exchange, job);
    else
        lookup_refuse_unknown(exchange);
}

/* Ends it, or forgets it if that comes too late and it is kept. False: it has ended meanwhile. */
static bool end(const struct gateway *gateway, const struct lookup *lookup)
{
    struct bytes id = bytes_of(lookup->view.request_id);
    if (lookup->pool && pool_cancel_request(lookup->pool, id))
        return true;
    if (lookup->is_callback)
        return callbacks_cancel_request(gateway->callbacks, id);
    if (lookup->job)
        ledger_forget(gateway->ledger, lookup->job);
    return lookup->job;
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
