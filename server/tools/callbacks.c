#include "server/tools/callbacks.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "server/http/media.h"
#include "server/outbound/callback_url.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* RETRY_AFTER: what a callback may ask of whoever called it. */
enum { CODE_MAX = 64, SECRET_MAX = 1024, RETRY_AFTER_MAX_S = 3600 };

struct callbacks {
    struct callback_options options;
    struct courier *courier; /* NULL: nothing may be called, or libcurl is not there */
    _Atomic uint64_t ends[CALLBACK_ASKERS][CALLBACK_ENDS];

    pthread_mutex_t lock; /* guards the following */
    struct list asked;    /* runs that clients wait for, the oldest first */
    unsigned asked_count;
    uint64_t asked_total; /* there have been */
};

struct callbacks *callbacks_start(const struct callback_options *options)
{
    struct callbacks *callbacks = MEM_NEW(struct callbacks);
    callbacks->options = *options;
    pthread_mutex_init(&callbacks->lock, NULL);
    list_init(&callbacks->asked);
    if (options->allow && options->allow[0])
        callbacks->courier = courier_start(options->connections);
    return callbacks;
}

void callbacks_stop(struct callbacks **callbacks)
{
    struct callbacks *gone = *callbacks;
    *callbacks = NULL;
    if (!gone)
        return;
    courier_stop(&gone->courier);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

const char *callbacks_fault(const struct callbacks *callbacks, const char *url,
                            unsigned *out_status)
{
    const struct courier *courier = callbacks->courier;
    return callback_url_fault(courier ? courier_libcurl(courier) : NULL, callbacks->options.allow,
                              url, out_status);
}

/* --- what is sent --- */

static void add_member(struct buffer *text, const char *name, struct bytes value)
{
    if (value.len == 0)
        return;
    buffer_printf(text, ",\"%s\":", name);
    buffer_add_json_string(text, value);
}

static void write_body(struct callback_run *run)
{
    struct buffer *text = &run->outgoing.body;
    buffer_add_string(text, "{\"tool\":");
    buffer_add_json_string(text, run->tool->offer.name);
    buffer_add_string(text, ",\"args\":");
    buffer_add(text, run->args.len ? run->args : BYTES("{}"));
    add_member(text, "session_id", run->session_id);
    add_member(text, "request_id", run->request_id);
    add_member(text, "correlation_id", run->correlation_id);
    buffer_add_string(text, "}");
}

static void add_header(struct callback_run *run, const char *name, struct bytes value)
{
    courier_add_header(run->callbacks->courier, &run->outgoing, name, value);
}

static void write_headers(struct callback_run *run)
{
    char text[SECRET_MAX];
    add_header(run, "Content-Type", BYTES("application/json"));
    add_header(run, "X-Request-Id", run->request_id);
    add_header(run, "X-Correlation-Id", run->correlation_id);
    add_header(run, "Traceparent", run->traceparent);
    add_header(run, "Tracestate", run->tracestate);
    snprintf(text, sizeof text, "%u", run->depth + 1);
    add_header(run, "X-Snakepit-Depth", bytes_of(text));
    if (run->tool->secret.len) {
        snprintf(text, sizeof text, "Bearer %s", run->tool->secret.data);
        add_header(run, "Authorization", bytes_of(text));
    }
}

/* --- what came of it --- */

static void tell(struct callback_run *run, struct callback_answer *answer)
{
    struct callbacks *callbacks = run->callbacks;
    answer->run_us = clock_now_us() - run->started_us;
    atomic_fetch_add_explicit(&callbacks->ends[run->asker][answer->end], 1, memory_order_relaxed);
    if (run->asker == CALLBACK_OF_CLIENT) {
        pthread_mutex_lock(&callbacks->lock);
        list_remove(&run->place);
        callbacks->asked_count--;
        pthread_mutex_unlock(&callbacks->lock);
    }
    run->ops->on_done(run, answer);
}

static struct callback_answer failed(const char *code, unsigned status, const char *message)
{
    return (struct callback_answer){.end = CALLBACK_FAILURE,
                                    .code = code,
                                    .status = status,
                                    .message = bytes_of(message),
                                    .executed = EXECUTED_YES};
}

static const char *text_in(json_t *document, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(document, name));
    return text && text[0] ? text : otherwise;
}

/* Of one that has too much to do. */
static unsigned retry_after_of(const struct outgoing *outgoing)
{
    uint64_t wait_s = outgoing->retry_after_s;
    if (outgoing->status != 429 && outgoing->status != 503)
        return 0;
    return wait_s < RETRY_AFTER_MAX_S ? (unsigned)wait_s : RETRY_AFTER_MAX_S;
}

/* A problem document says more than its status. */
static void tell_problem(struct callback_run *run)
{
    char plain[64];
    struct bytes body = buffer_bytes(&run->outgoing.answer);
    json_t *document = json_loadb(body.data ? body.data : "", body.len, 0, NULL);
    snprintf(plain, sizeof plain, "the callback answered %u", run->outgoing.status);
    struct callback_answer answer = failed("callback_failed", run->outgoing.status, plain);
    answer.retry_after_s = retry_after_of(&run->outgoing);
    if (json_is_object(document)) {
        const char *code = text_in(document, "code", answer.code);
        answer.code = strlen(code) <= CODE_MAX ? code : answer.code;
        answer.message = bytes_of(text_in(document, "detail", text_in(document, "title", plain)));
        answer.details = body;
    }
    tell(run, &answer);
    json_decref(document);
}

static struct callback_answer result_of(const struct callback_run *run)
{
    struct bytes body = buffer_bytes(&run->outgoing.answer), type = run->outgoing.content_type;
    struct callback_answer answer = {.end = CALLBACK_RESULT};
    if (run->outgoing.status >= 300)
        return failed("callback_redirected", 502,
                      "the callback answered with a redirect, which is not followed");
    answer.body = body.len ? body : BYTES("null");
    if (body.len && type.data && media_is_plain(type) && !media_is_json(type))
        answer.content_type = type;
    else if (body.len && !json_check(body, JSON_MAX_DEPTH, NULL, NULL))
        return failed("invalid_result", 502, "the callback's answer is not JSON");
    return answer;
}

/* Without an answer: `executed` is maybe as soon as something of the request has been sent. */
static struct callback_answer unanswered(const struct outgoing *outgoing)
{
    struct callback_answer answer;
    if (outgoing->end == OUTGOING_TOO_LARGE)
        return failed("callback_too_large", 502,
                      "the callback's answer is larger than callbacks.response_limit");
    if (outgoing->end == OUTGOING_TIMED_OUT) {
        answer = failed("callback_timeout", 504, "the callback did not answer in time");
        answer.end = CALLBACK_TIMEOUT;
    } else if (outgoing->end == OUTGOING_CANCELLED) {
        answer = failed("cancelled", 499, "the call was cancelled");
        answer.end = CALLBACK_CANCELLED;
    } else {
        answer = failed("callback_unreachable", 502, outgoing->fault);
        answer.end = CALLBACK_UNREACHABLE;
    }
    answer.executed = outgoing->sent ? EXECUTED_MAYBE : EXECUTED_NO;
    return answer;
}

static struct callback_run *run_of(struct outgoing *outgoing)
{
    return CONTAINER_OF(outgoing, struct callback_run, outgoing);
}

static void on_done(struct outgoing *outgoing)
{
    struct callback_run *run = run_of(outgoing);
    bool answered = outgoing->end == OUTGOING_ANSWERED;
    if (answered && outgoing->status >= 400) {
        tell_problem(run);
    } else {
        struct callback_answer answer = answered ? result_of(run) : unanswered(outgoing);
        tell(run, &answer);
    }
}

static void ref(struct outgoing *outgoing)
{
    run_of(outgoing)->ops->ref(run_of(outgoing));
}

static void unref(struct outgoing *outgoing)
{
    run_of(outgoing)->ops->unref(run_of(outgoing));
}

static const struct outgoing_ops outgoing_ops = {.on_done = on_done, .ref = ref, .unref = unref};

/* --- from other threads --- */

/* False: there is no room. */
static bool enlist(struct callbacks *callbacks, struct callback_run *run)
{
    pthread_mutex_lock(&callbacks->lock);
    bool room = callbacks->asked_count < callbacks->options.pending;
    if (room) {
        run->number = ++callbacks->asked_total;
        list_push_back(&callbacks->asked, &run->place);
        callbacks->asked_count++;
    }
    pthread_mutex_unlock(&callbacks->lock);
    return room;
}

bool callbacks_run(struct callback_run *run)
{
    struct callbacks *callbacks = run->callbacks;
    struct outgoing *outgoing = &run->outgoing;
    run->started_us = clock_now_us();
    list_init(&run->place);
    if (run->asker == CALLBACK_OF_CLIENT && !enlist(callbacks, run))
        return false;
    outgoing->ops = &outgoing_ops;
    outgoing->url = run->tool->url.data;
    outgoing->timeout_us = run->timeout_us;
    outgoing->answer.ceiling = callbacks->options.response_limit;
    write_body(run);
    write_headers(run);
    courier_send(callbacks->courier, outgoing);
    return true;
}

void callbacks_cancel(struct callback_run *run)
{
    courier_cancel(&run->outgoing);
}

/* With the lock. */
static struct callback_run *find(struct callbacks *callbacks, struct bytes request_id)
{
    LIST_FOREACH (&callbacks->asked, node, next) {
        struct callback_run *run = CONTAINER_OF(node, struct callback_run, place);
        if (bytes_equal(run->request_id, request_id))
            return run;
    }
    return NULL;
}

bool callbacks_cancel_request(struct callbacks *callbacks, struct bytes request_id)
{
    pthread_mutex_lock(&callbacks->lock);
    struct callback_run *run = find(callbacks, request_id);
    if (run)
        callbacks_cancel(run);
    pthread_mutex_unlock(&callbacks->lock);
    return run;
}

void callbacks_cancel_all(struct callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    LIST_FOREACH (&callbacks->asked, node, next) {
        callbacks_cancel(CONTAINER_OF(node, struct callback_run, place));
    }
    pthread_mutex_unlock(&callbacks->lock);
}

bool callbacks_has_ended(const struct callback_run *run)
{
    struct callbacks *callbacks = run->callbacks;
    pthread_mutex_lock(&callbacks->lock);
    bool ended = list_empty(&run->place);
    pthread_mutex_unlock(&callbacks->lock);
    return ended;
}

static void view(const struct callback_run *run, struct call_view *out_view)
{
    struct bytes tool = run->tool->offer.name;
    *out_view = (struct call_view){.number = run->number,
                                   .state = CALL_RUNNING,
                                   .priority = CALL_DEFAULT_PRIORITY,
                                   .attempts = 1,
                                   .age_us = clock_now_us() - run->started_us};
    snprintf(out_view->request_id, sizeof out_view->request_id, "%.*s", (int)run->request_id.len,
             run->request_id.data);
    snprintf(out_view->tool, sizeof out_view->tool, "%.*s", (int)tool.len, tool.data);
}

unsigned callbacks_look(struct callbacks *callbacks, uint64_t after, struct call_view *out_views,
                        unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&callbacks->lock);
    LIST_FOREACH (&callbacks->asked, node, next) {
        const struct callback_run *run = CONTAINER_OF(node, struct callback_run, place);
        if (count == max)
            break;
        if (run->number > after)
            view(run, &out_views[count++]);
    }
    pthread_mutex_unlock(&callbacks->lock);
    return count;
}

unsigned callbacks_look_at(struct callbacks *callbacks, struct bytes request_id,
                           struct call_view *out_view)
{
    unsigned found = 0;
    pthread_mutex_lock(&callbacks->lock);
    LIST_FOREACH (&callbacks->asked, node, next) {
        const struct callback_run *run = CONTAINER_OF(node, struct callback_run, place);
        if (bytes_equal(run->request_id, request_id) && found++ == 0)
            view(run, out_view);
    }
    pthread_mutex_unlock(&callbacks->lock);
    return found;
}

unsigned callbacks_running(struct callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->lock);
    unsigned count = callbacks->asked_count;
    pthread_mutex_unlock(&callbacks->lock);
    return count;
}

uint64_t callbacks_count(const struct callbacks *callbacks, enum callback_asker asker,
                         enum callback_end end)
{
    return atomic_load_explicit(&callbacks->ends[asker][end], memory_order_relaxed);
}
