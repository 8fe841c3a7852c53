#include "server/callbacks.h"

#include "base/json.h"
#include "base/mem.h"
#include "server/media.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { CONNECT_MS = 5000, CONNECTIONS = 100, IDLE_MS = 1000, CODE_MAX = 64, HEADER_MAX = 1024 };

struct callbacks {
    struct callback_options options;
    CURLM *multi;
    struct mailbox inbox;
    pthread_t thread;
    atomic_bool leaving;
    unsigned running;
};

/* One that is under way; the thread's own. */
struct transfer {
    struct callbacks *callbacks;
    struct tool_request *request; /* a reference */
    CURL *easy;
    struct curl_slist *headers;
    struct buffer sent, received;
    bool too_large;
};

/* --- what may be called --- */

/* `pattern`: "host", "host:port", "*.domain" or "*.domain:port". */
static bool allows(struct bytes pattern, struct bytes host, struct bytes port)
{
    struct bytes name = pattern;
    const char *colon = memrchr(pattern.data, ':', pattern.len);
    if (colon && !memchr(colon, ']', (size_t)(pattern.data + pattern.len - colon))) {
        name.len = (size_t)(colon - pattern.data);
        if (!bytes_equal(bytes_skip(pattern, name.len + 1), port))
            return false;
    }
    if (!bytes_starts_with(name, BYTES("*.")))
        return bytes_equal_nocase(name, host);
    name = bytes_skip(name, 1);
    return host.len > name.len && bytes_equal_nocase(bytes_skip(host, host.len - name.len), name);
}

static bool is_allowed(const char *allow, const char *host, const char *port)
{
    struct bytes left = bytes_of(allow);
    while (left.len) {
        struct bytes pattern = media_cut(&left, ',');
        if (pattern.len && allows(pattern, bytes_of(host), bytes_of(port)))
            return true;
    }
    return false;
}

static const char *fault_of(const struct callback_options *options, CURLU *url, unsigned *status)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
    const char *fault = NULL;
    *status = 400;
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0))
        fault = "the URL must begin with http:// or https://";
    else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
        fault = "the URL must not have a user in it: give a secret";
    else if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
             curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        fault = "the URL has no host";
    if (!fault && !is_allowed(options->allow, host, port)) {
        *status = 403;
        fault = "callbacks.allow does not have that host and port";
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    return fault;
}

const char *callbacks_fault(const struct callback_options *options, const char *url,
                            unsigned *out_status)
{
    CURLU *parsed = curl_url();
    const char *fault = "the URL is none";
    *out_status = 400;
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        fault = fault_of(options, parsed, out_status);
    curl_url_cleanup(parsed);
    return fault;
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

static void add_header(struct transfer *transfer, const char *name, struct bytes value)
{
    char line[HEADER_MAX];
    if (value.len == 0)
        return;
    snprintf(line, sizeof line, "%s: %.*s", name, (int)value.len, value.data);
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
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
    const struct tool_request *request = transfer->request;
    const struct call *parent = request->parent;
    struct buffer *text = &transfer->sent;
    struct bytes args = request->asked.args;
    buffer_add_string(text, "{\"tool\":");
    buffer_add_json_string(text, request->asked.tool);
    buffer_add_string(text, ",\"args\":");
    buffer_add(text, args.len ? args : BYTES("{}"));
    add_member(text, "session_id", parent->session_id);
    add_member(text, "request_id", parent->request_id);
    add_member(text, "correlation_id", parent->correlation_id);
    buffer_add_string(text, "}");
}

static void write_headers(struct transfer *transfer)
{
    const struct callback_tool *tool = transfer->request->tool;
    const struct call *parent = transfer->request->parent;
    char bearer[HEADER_MAX];
    add_header(transfer, "Content-Type", BYTES("application/json"));
    add_header(transfer, "X-Request-Id", parent->request_id);
    add_header(transfer, "Traceparent", parent->traceparent);
    add_header(transfer, "Tracestate", parent->tracestate);
    if (tool->secret.len) {
        snprintf(bearer, sizeof bearer, "Bearer %s", tool->secret.data);
        add_header(transfer, "Authorization", bytes_of(bearer));
    }
}

static void configure(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_URL, transfer->request->tool->url.data);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "snakepit");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->sent.data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->sent.len);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

/* Its request has been dealt with. */
static void end(struct transfer *transfer)
{
    struct callbacks *callbacks = transfer->callbacks;
    struct tool_request *request = transfer->request;
    curl_multi_remove_handle(callbacks->multi, transfer->easy);
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    buffer_deinit(&transfer->sent);
    buffer_deinit(&transfer->received);
    free(transfer);
    callbacks->running--;
    request->transfer = NULL;
    tool_request_unref(request);
}

/* --- what came of it --- */

static struct refusal failed(const char *code, unsigned status, const char *message)
{
    return (struct refusal){
        .type = "ToolError", .code = code, .status = status, .message = bytes_of(message)};
}

static void answer_error(struct transfer *transfer, CURLcode code)
{
    struct refusal why = failed("callback_unreachable", 502, curl_easy_strerror(code));
    if (transfer->too_large)
        why = failed("callback_too_large", 502,
                     "the callback's answer is larger than callbacks.response_limit");
    tool_request_refuse(transfer->request, &why);
}

static const char *text_in(json_t *document, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(document, name));
    return text && text[0] ? text : otherwise;
}

/* A problem document says more than its status. */
static void answer_problem(struct transfer *transfer, long status)
{
    char plain[64];
    struct bytes body = buffer_bytes(&transfer->received);
    json_t *document = json_loadb(body.data ? body.data : "", body.len, 0, NULL);
    snprintf(plain, sizeof plain, "the callback answered %ld", status);
    struct refusal why = failed("callback_failed", (unsigned)status, plain);
    if (json_is_object(document)) {
        const char *code = text_in(document, "code", why.code);
        why.code = strlen(code) <= CODE_MAX ? code : why.code;
        why.message = bytes_of(text_in(document, "detail", text_in(document, "title", plain)));
        why.details = body;
    }
    tool_request_refuse(transfer->request, &why);
    json_decref(document);
}

static void answer_result(struct transfer *transfer)
{
    struct bytes body = buffer_bytes(&transfer->received);
    const char *type = NULL;
    curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    struct bytes content_type = bytes_of(type);
    if (body.len == 0)
        tool_request_succeed(transfer->request, BYTES("null"), (struct bytes){0});
    else if (type && media_is_plain(content_type) && !media_is_json(content_type))
        tool_request_succeed(transfer->request, body, content_type);
    else if (json_check(body, JSON_MAX_DEPTH, NULL, NULL))
        tool_request_succeed(transfer->request, body, (struct bytes){0});
    else
        tool_request_refuse(transfer->request,
                            &(struct refusal){"ToolError",
                                              "invalid_result",
                                              502,
                                              BYTES("the callback's answer is not JSON"),
                                              {0}});
}

static void finish(struct transfer *transfer, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (tool_request_end(transfer->request)) {
        struct refusal redirected = failed("callback_redirected", 502,
                                           "the callback answered with a redirect, which is not "
                                           "followed");
        if (code != CURLE_OK)
            answer_error(transfer, code);
        else if (status >= 400)
            answer_problem(transfer, status);
        else if (status >= 300)
            tool_request_refuse(transfer->request, &redirected);
        else
            answer_result(transfer);
    }
    end(transfer);
}

/* --- the thread --- */

/* The mail came with the reference of who runs it. */
static void on_start(struct mail *mail)
{
    struct tool_request *request = CONTAINER_OF(mail, struct tool_request, start);
    struct callbacks *callbacks = request->callbacks;
    if (atomic_load(&request->given_up)) {
        tool_request_unref(request);
        return;
    }
    struct transfer *transfer = MEM_NEW(struct transfer);
    *transfer =
        (struct transfer){.callbacks = callbacks, .request = request, .easy = curl_easy_init()};
    request->transfer = transfer;
    callbacks->running++;
    write_body(transfer);
    write_headers(transfer);
    configure(transfer);
    curl_multi_add_handle(callbacks->multi, transfer->easy);
}

/* The mail came with the reference of nested_begin(). */
static void on_cancel(struct mail *mail)
{
    struct tool_request *request = CONTAINER_OF(mail, struct tool_request, cancel);
    atomic_store(&request->given_up, true); /* it may not have been started yet */
    if (request->transfer)
        end(request->transfer);
    tool_request_unref(request);
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
    pthread_setname_np(pthread_self(), "callbacks");
    while (!atomic_load(&callbacks->leaving) || callbacks->running) {
        int running, left;
        open_mail(callbacks);
        curl_multi_perform(callbacks->multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(callbacks->multi, &left));) {
            char *transfer = NULL;
            if (message->msg != CURLMSG_DONE)
                continue;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
            finish((struct transfer *)(void *)transfer, code);
        }
        curl_multi_poll(callbacks->multi, NULL, 0, IDLE_MS, NULL);
    }
    open_mail(callbacks);
    return NULL;
}

static void wake(void *context)
{
    struct callbacks *callbacks = context;
    curl_multi_wakeup(callbacks->multi);
}

struct callbacks *callbacks_start(const struct callback_options *options)
{
    struct callbacks *callbacks = MEM_NEW(struct callbacks);
    callbacks->options = *options;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(callbacks->multi = curl_multi_init()))
        abort();
    curl_multi_setopt(callbacks->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS);
    mailbox_init(&callbacks->inbox, wake, callbacks);
    if (pthread_create(&callbacks->thread, NULL, run, callbacks) != 0)
        abort();
    return callbacks;
}

void callbacks_stop(struct callbacks **callbacks)
{
    struct callbacks *gone = *callbacks;
    *callbacks = NULL;
    if (!gone)
        return;
    atomic_store(&gone->leaving, true);
    wake(gone);
    pthread_join(gone->thread, NULL);
    curl_multi_cleanup(gone->multi);
    curl_global_cleanup();
    free(gone);
}

/* --- from other threads --- */

static const struct refusal too_late = {.type = "TimeoutError",
                                        .code = "deadline_exceeded",
                                        .status = 504,
                                        .message = BYTES("the callback did not answer in time")};

static void on_give_up(struct nested *nested)
{
    struct tool_request *request = CONTAINER_OF(nested, struct tool_request, nested);
    if (nested->timed_out)
        tool_request_refuse(request, &too_late);
    mailbox_post(&request->callbacks->inbox, &request->cancel);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a && a < b ? a : b;
}

static const struct refusal *begin(struct tool_request *request)
{
    uint64_t left_us, number, limit_us = request->callbacks->options.timeout_us;
    if (request->tool->timeout_us)
        limit_us = request->tool->timeout_us;
    request->start.open = on_start;
    request->cancel.open = on_cancel;
    request->nested.give_up = on_give_up;
    request->nested.timeout_us = least(request->asked.timeout_us, limit_us);
    return tool_request_begin(request, &left_us, &number);
}

void callbacks_run(struct callbacks *callbacks, struct tool_request *request,
                   struct callback_tool *tool)
{
    struct refusal unfit;
    const struct refusal *why = &unfit;
    request->callbacks = callbacks;
    request->tool = tool;
    if (tool_request_suits(request, tool->offer.schema, true, &unfit))
        why = begin(request);
    if (!why) {
        mailbox_post(&callbacks->inbox, &request->start);
        return;
    }
    tool_request_refuse(request, why);
    tool_request_unref(request);
}
