#include "server/callbacks.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/mem.h"
#include "server/callback_url.h"
#include "server/libcurl.h"
#include "server/media.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { CONNECT_MS = 5000, IDLE_MS = 1000, CODE_MAX = 64, HEADER_MAX = 1024 };

struct callbacks {
    struct callback_options options;
    struct libcurl curl;
    CURLM *multi; /* NULL: nothing may be called, or libcurl is not there */
    struct mailbox inbox;
    pthread_t thread;
    atomic_bool leaving;
    unsigned running;   /* the thread's own */
    struct heap timers; /* of transfers that have a limit; likewise */
    _Atomic uint64_t ends[CALLBACK_ASKERS][CALLBACK_ENDS];

    pthread_mutex_t lock; /* guards the following */
    struct list asked;    /* runs that clients wait for, the oldest first */
    unsigned asked_count;
    uint64_t asked_total; /* there have been */
};

/* One that is under way; the thread's own. */
struct transfer {
    struct callbacks *callbacks;
    struct callback_run *run; /* a reference */
    CURL *easy;
    struct curl_slist *headers;
    struct buffer sent, received;
    struct heap_node timer;
    bool too_large;
};

const char *callbacks_fault(const struct callbacks *callbacks, const char *url,
                            unsigned *out_status)
{
    return callback_url_fault(callbacks->multi ? &callbacks->curl : NULL, callbacks->options.allow,
                              url, out_status);
}

/* --- a transfer --- */

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t more = size * count;
    transfer->too_large =
        transfer->received.len + more > transfer->callbacks->options.response_limit;
    if (transfer->too_large)
        return 0;
    buffer_add(&transfer->received, bytes_from(data, more));
    return more;
}

/* What a body has said may hold anything, and must not end the line. */
static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~')
            return false;
    }
    return value.len > 0;
}

static void add_header(struct transfer *transfer, const char *name, struct bytes value)
{
    char line[HEADER_MAX];
    if (!is_plain(value))
        return;
    snprintf(line, sizeof line, "%s: %.*s", name, (int)value.len, value.data);
    struct curl_slist *longer = transfer->callbacks->curl.slist_append(transfer->headers, line);
    if (longer)
        transfer->headers = longer;
}

static void add_member(struct buffer *text, const char *name, struct bytes value)
{
    if (value.len == 0)
        return;
    buffer_printf(text, ",\"%s\":", name);
    buffer_add_json_string(text, value);
}

static void write_body(struct transfer *transfer)
{
    const struct callback_run *run = transfer->run;
    struct buffer *text = &transfer->sent;
    buffer_add_string(text, "{\"tool\":");
    buffer_add_json_string(text, run->tool->offer.name);
    buffer_add_string(text, ",\"args\":");
    buffer_add(text, run->args.len ? run->args : BYTES("{}"));
    add_member(text, "session_id", run->session_id);
    add_member(text, "request_id", run->request_id);
    add_member(text, "correlation_id", run->correlation_id);
    buffer_add_string(text, "}");
}

static void write_headers(struct transfer *transfer)
{
    const struct callback_run *run = transfer->run;
    char text[HEADER_MAX];
    add_header(transfer, "Content-Type", BYTES("application/json"));
    add_header(transfer, "X-Request-Id", run->request_id);
    add_header(transfer, "X-Correlation-Id", run->correlation_id);
    add_header(transfer, "Traceparent", run->traceparent);
    add_header(transfer, "Tracestate", run->tracestate);
    snprintf(text, sizeof text, "%u", run->depth + 1);
    add_header(transfer, "X-Snakepit-Depth", bytes_of(text));
    if (run->tool->secret.len) {
        snprintf(text, sizeof text, "Bearer %s", run->tool->secret.data);
        add_header(transfer, "Authorization", bytes_of(text));
    }
}

static void configure(struct transfer *transfer)
{
    const struct libcurl *curl = &transfer->callbacks->curl;
    CURL *easy = transfer->easy;
    curl->easy_setopt(easy, CURLOPT_URL, transfer->run->tool->url.data);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(easy, CURLOPT_PROXY, "");
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A kept connection that breaks makes libcurl send the request again, which would run twice. */
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl->easy_setopt(easy, CURLOPT_USERAGENT, "snakepit");
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->sent.data);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->sent.len);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl->easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

/* Its run has been dealt with. */
static void end(struct transfer *transfer)
{
    struct callbacks *callbacks = transfer->callbacks;
    struct callback_run *run = transfer->run;
    callbacks->curl.multi_remove_handle(callbacks->multi, transfer->easy);
    callbacks->curl.easy_cleanup(transfer->easy);
    callbacks->curl.slist_free_all(transfer->headers);
    buffer_deinit(&transfer->sent);
    buffer_deinit(&transfer->received);
    heap_remove(&callbacks->timers, &transfer->timer);
    free(transfer);
    callbacks->running--;
    run->transfer = NULL;
    run->ops->unref(run);
}

/* --- what came of it --- */

/* Of a run that may have no transfer yet. */
static void tell(struct callback_run *run, struct callback_answer *answer)
{
    struct callbacks *callbacks = run->callbacks;
    struct buffer nothing = {0};
    if (!answer->received)
        answer->received = &nothing;
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

/* Whether the callback can have begun: something of the request has been sent. */
static enum call_executed executed_of(const struct transfer *transfer)
{
    const struct libcurl *curl = &transfer->callbacks->curl;
    curl_off_t sent = 0;
    curl->easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return sent ? EXECUTED_MAYBE : EXECUTED_NO;
}

static struct callback_answer unreachable(const struct transfer *transfer, CURLcode code)
{
    if (transfer->too_large)
        return failed("callback_too_large", 502,
                      "the callback's answer is larger than callbacks.response_limit");
    const struct libcurl *curl = &transfer->callbacks->curl;
    struct callback_answer answer = failed("callback_unreachable", 502, curl->easy_strerror(code));
    answer.end = CALLBACK_UNREACHABLE;
    answer.executed = executed_of(transfer);
    return answer;
}

static const char *text_in(json_t *document, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(document, name));
    return text && text[0] ? text : otherwise;
}

/* A problem document says more than its status. */
static void tell_problem(struct transfer *transfer, long status)
{
    char plain[64];
    struct bytes body = buffer_bytes(&transfer->received);
    json_t *document = json_loadb(body.data ? body.data : "", body.len, 0, NULL);
    snprintf(plain, sizeof plain, "the callback answered %ld", status);
    struct callback_answer answer = failed("callback_failed", (unsigned)status, plain);
    if (json_is_object(document)) {
        const char *code = text_in(document, "code", answer.code);
        answer.code = strlen(code) <= CODE_MAX ? code : answer.code;
        answer.message = bytes_of(text_in(document, "detail", text_in(document, "title", plain)));
        answer.details = body;
    }
    answer.received = &transfer->received;
    tell(transfer->run, &answer);
    json_decref(document);
}

static struct callback_answer result_of(struct transfer *transfer)
{
    struct bytes body = buffer_bytes(&transfer->received);
    struct callback_answer answer = {.end = CALLBACK_RESULT, .received = &transfer->received};
    const char *type = NULL;
    transfer->callbacks->curl.easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    struct bytes content_type = bytes_of(type);
    answer.body = body.len ? body : BYTES("null");
    if (body.len && type && media_is_plain(content_type) && !media_is_json(content_type))
        answer.content_type = content_type;
    else if (body.len && !json_check(body, JSON_MAX_DEPTH, NULL, NULL))
        return failed("invalid_result", 502, "the callback's answer is not JSON");
    return answer;
}

static void finish(struct transfer *transfer, CURLcode code)
{
    long status = 0;
    transfer->callbacks->curl.easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && status >= 400) {
        tell_problem(transfer, status);
    } else {
        struct callback_answer answer =
            code != CURLE_OK ? unreachable(transfer, code)
            : status >= 300  ? failed("callback_redirected", 502,
                                      "the callback answered with a redirect, which is not followed")
                             : result_of(transfer);
        tell(transfer->run, &answer);
    }
    end(transfer);
}

/* --- the thread --- */

/* It has not ended, and ends now for another reason than what the callback says. */
static void stop(struct callback_run *run, struct callback_answer answer)
{
    struct transfer *transfer = run->transfer;
    tell(run, &answer);
    if (transfer)
        end(transfer);
    else
        run->ops->unref(run);
}

static struct callback_answer cancelled(const struct callback_run *run)
{
    struct callback_answer answer = failed("cancelled", 499, "the call was cancelled");
    answer.end = CALLBACK_CANCELLED;
    answer.executed = run->transfer ? executed_of(run->transfer) : EXECUTED_NO;
    return answer;
}

/* The mail came with a reference. */
static void on_start(struct mail *mail)
{
    struct callback_run *run = CONTAINER_OF(mail, struct callback_run, start);
    struct callbacks *callbacks = run->callbacks;
    if (atomic_load(&run->unwanted)) {
        stop(run, cancelled(run));
        return;
    }
    struct transfer *transfer = MEM_NEW(struct transfer);
    *transfer =
        (struct transfer){.callbacks = callbacks, .run = run, .easy = callbacks->curl.easy_init()};
    run->transfer = transfer;
    callbacks->running++;
    write_body(transfer);
    write_headers(transfer);
    configure(transfer);
    if (run->timeout_us)
        heap_set(&callbacks->timers, &transfer->timer, run->started_us + run->timeout_us);
    callbacks->curl.multi_add_handle(callbacks->multi, transfer->easy);
}

/* Likewise, with one of its own. What was not started yet will not be. */
static void on_cancel(struct mail *mail)
{
    struct callback_run *run = CONTAINER_OF(mail, struct callback_run, cancel);
    if (run->transfer)
        stop(run, cancelled(run));
    run->ops->unref(run);
}

static void expire(struct callbacks *callbacks)
{
    uint64_t now_us = clock_now_us();
    struct heap_node *first;
    while ((first = heap_first(&callbacks->timers)) && first->key <= now_us) {
        struct transfer *transfer = CONTAINER_OF(first, struct transfer, timer);
        struct callback_answer answer =
            failed("callback_timeout", 504, "the callback did not answer in time");
        answer.end = CALLBACK_TIMEOUT;
        answer.executed = executed_of(transfer);
        stop(transfer->run, answer);
    }
}

/* Until something is due, milliseconds. */
static int patience(const struct callbacks *callbacks)
{
    const struct heap_node *first = heap_first(&callbacks->timers);
    uint64_t now_us = clock_now_us();
    if (!first || first->key > now_us + IDLE_MS * UINT64_C(1000))
        return IDLE_MS;
    return first->key > now_us ? (int)((first->key - now_us) / 1000) + 1 : 0;
}

static void open_mail(struct callbacks *callbacks)
{
    struct mail *mail = mailbox_drain(&callbacks->inbox);
    while (mail) {
        struct mail *next = mail->next;
        mail->open(mail);
        mail = next;
    }
}

static void *run(void *context)
{
    struct callbacks *callbacks = context;
    const struct libcurl *curl = &callbacks->curl;
    pthread_setname_np(pthread_self(), "callbacks");
    while (!atomic_load(&callbacks->leaving) || callbacks->running) {
        int running, left;
        open_mail(callbacks);
        curl->multi_perform(callbacks->multi, &running);
        for (CURLMsg *message; (message = curl->multi_info_read(callbacks->multi, &left));) {
            char *transfer = NULL;
            if (message->msg != CURLMSG_DONE)
                continue;
            CURLcode code = message->data.result;
            curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            finish((struct transfer *)(void *)transfer, code);
        }
        expire(callbacks);
        curl->multi_poll(callbacks->multi, NULL, 0, patience(callbacks), NULL);
    }
    open_mail(callbacks);
    return NULL;
}

static void wake(void *context)
{
    struct callbacks *callbacks = context;
    callbacks->curl.multi_wakeup(callbacks->multi);
}

static void begin(struct callbacks *callbacks)
{
    callbacks->multi = callbacks->curl.multi_init();
    if (!callbacks->multi)
        abort();
    callbacks->curl.multi_setopt(callbacks->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                                 (long)callbacks->options.connections);
    callbacks->curl.multi_setopt(callbacks->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                                 (long)callbacks->options.connections / 2);
    if (pthread_create(&callbacks->thread, NULL, run, callbacks) != 0)
        abort();
}

struct callbacks *callbacks_start(const struct callback_options *options)
{
    struct callbacks *callbacks = MEM_NEW(struct callbacks);
    callbacks->options = *options;
    pthread_mutex_init(&callbacks->lock, NULL);
    list_init(&callbacks->asked);
    mailbox_init(&callbacks->inbox, wake, callbacks);
    if (options->allow && options->allow[0] && libcurl_load(&callbacks->curl))
        begin(callbacks);
    return callbacks;
}

static void finish_all(struct callbacks *callbacks)
{
    atomic_store(&callbacks->leaving, true);
    wake(callbacks);
    pthread_join(callbacks->thread, NULL);
    callbacks->curl.multi_cleanup(callbacks->multi);
    callbacks->curl.global_cleanup();
}

void callbacks_stop(struct callbacks **callbacks)
{
    struct callbacks *gone = *callbacks;
    *callbacks = NULL;
    if (!gone)
        return;
    if (gone->multi)
        finish_all(gone);
    heap_deinit(&gone->timers);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

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
    run->start.open = on_start;
    run->started_us = clock_now_us();
    list_init(&run->place);
    if (run->asker == CALLBACK_OF_CLIENT && !enlist(callbacks, run))
        return false;
    run->ops->ref(run);
    mailbox_post(&callbacks->inbox, &run->start);
    return true;
}

void callbacks_cancel(struct callback_run *run)
{
    if (atomic_exchange(&run->unwanted, true))
        return;
    run->cancel.open = on_cancel;
    run->ops->ref(run);
    mailbox_post(&run->callbacks->inbox, &run->cancel);
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
