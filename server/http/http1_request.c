/* libmicrohttpd's callbacks for requests. For each request it calls http1_on_target with the
 * request line, then http1_on_request once with the head, once for each piece of the body, once
 * more at its end, and http1_on_completed. */
#include "server/http/http1_inside.h"

#include "server/http/problem.h"

#include <stdlib.h>
#include <string.h>

enum {
    DRAIN_AND_KEEP = 64 * 1024, /* a rest of a body that is read to keep the connection */
    DRAINED_BODIES = 2, /* a refused body may be as large as so many of the largest, and is read and
                           thrown away, since many clients read no answer before they have sent all;
                           how long that may take is patience_us()'s */
};

/* --- for the exchange --- */

static struct bytes header(struct exchange *exchange, struct bytes name)
{
    struct http1_exchange *request = (struct http1_exchange *)exchange;
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(request->connection->mhd, MHD_HEADER_KIND, name.data,
                                      name.len, &value, &len) != MHD_YES)
        return (struct bytes){0};
    return bytes_from(value ? value : "", len);
}

struct tally {
    struct bytes name;
    unsigned count;
};

static enum MHD_Result add_to_tally(void *cls, enum MHD_ValueKind kind, const char *key,
                                    size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    (void)value;
    (void)value_size;
    struct tally *tally = cls;
    tally->count += bytes_equal_nocase(bytes_from(key, key_size), tally->name);
    return MHD_YES;
}

static unsigned count(struct exchange *exchange, struct bytes name)
{
    struct http1_exchange *request = (struct http1_exchange *)exchange;
    struct tally tally = {.name = name};
    MHD_get_connection_values_n(request->connection->mhd, MHD_HEADER_KIND, add_to_tally, &tally);
    return tally.count;
}

/* The answer goes to libmicrohttpd in the first call (which closes the connection afterwards) or in
 * the last one. */
static bool is_answered_early(const struct http1_exchange *request)
{
    return request->must_close || request->expects_continue;
}

/* Whether the rest of the body is short enough to read it before the answer. */
static bool can_await_body_end(const struct http1_exchange *request)
{
    int64_t len = request->exchange.content_length;
    return !request->has_body || (len >= 0 && len - (int64_t)request->received <= DRAIN_AND_KEEP);
}

static enum MHD_Result give_answer(struct http1_exchange *request)
{
    struct MHD_Response *answer = request->answer;
    request->answer = NULL;
    request->phase = HTTP1_SENDING;
    enum MHD_Result result =
        MHD_queue_response(request->connection->mhd, request->exchange.status, answer);
    MHD_destroy_response(answer);
    return result;
}

static void respond(struct exchange *exchange, const struct response *response)
{
    struct http1_exchange *request = (struct http1_exchange *)exchange;
    if (request->phase == HTTP1_BODY && !can_await_body_end(request) &&
        !(is_answered_early(request) && request->received == 0)) {
        http1_answer_directly(request, response);
        request->phase = HTTP1_DRAINING;
        return;
    }
    request->answer =
        http1_answer_new(request, response, request->must_close || exchange->reactor->draining);
    if (request->phase == HTTP1_WAITING) {
        /* 0.9.75 takes it while suspended and sends it after the resume. */
        if (give_answer(request) != MHD_YES)
            request->phase = HTTP1_CLOSING;
        http1_resume(request);
    }
}

static const struct exchange_protocol protocol = {
    .version = "1.1",
    .header = header,
    .count = count,
    .respond = respond,
    .more = http1_source_wake,
    .break_off = http1_source_wake,
};

void http1_request_gone(struct http1_exchange *request)
{
    bool is_suspended = request->phase == HTTP1_WAITING || request->phase == HTTP1_PAUSED ||
                        request->phase == HTTP1_BLOCKED;
    bool is_cut_short = request->phase == HTTP1_SENDING && request->exchange.source;
    if (!is_suspended && !is_cut_short)
        return; /* libmicrohttpd looks at the socket itself */
    request->phase = HTTP1_CLOSING;
    exchange_gone(&request->exchange);
    if (is_suspended)
        http1_resume(request);
    else
        shutdown(request->connection->fd, SHUT_RDWR);
}

/* --- the request line --- */

/* "http://host/path" is as good as "/path" (RFC 9112, 3.2.2). */
static struct bytes without_authority(struct bytes target)
{
    size_t scheme = bytes_starts_with(target, BYTES("http://"))    ? 7
                    : bytes_starts_with(target, BYTES("https://")) ? 8
                                                                   : 0;
    if (scheme == 0)
        return target;
    struct bytes rest = bytes_skip(target, scheme);
    const char *slash = memchr(rest.data, '/', rest.len);
    return slash ? bytes_skip(rest, (size_t)(slash - rest.data)) : BYTES("/");
}

static void set_target(struct exchange *exchange, struct bytes target)
{
    target = without_authority(target);
    const char *mark = memchr(target.data, '?', target.len);
    size_t path_len = mark ? (size_t)(mark - target.data) : target.len;
    exchange->path = bytes_from(target.data, path_len);
    if (mark)
        exchange->query = bytes_skip(target, path_len + 1);
}

/* libmicrohttpd 0.9.75 is about to make a record of its pool for each query argument, which nobody
 * reads, and closes the connection without a word when the pool is used up. It has found the '?'
 * already; the text behind it is still its own read buffer, and an empty query has no arguments. */
static void hide_query(const char *target)
{
    char *mark = strchr((char *)(uintptr_t)target, '?');
    if (mark)
        mark[1] = 0;
}

void *http1_on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http1 *http1 = cls;
    struct http1_connection *connection = http1_connection_of(mhd);
    struct arena *arena = arena_new(0);
    struct http1_exchange *request = arena_zalloc(arena, sizeof(*request));
    request->connection = connection;
    request->exchange.protocol = &protocol;
    request->exchange.reactor = http1->reactor;
    request->exchange.arena = arena;
    set_target(&request->exchange, arena_copy(arena, bytes_of(target)));
    hide_query(target);
    connection->exchange = request;
    connection->since_us = reactor_now_us(http1->reactor);
    return request;
}

/* --- the head --- */

struct head {
    struct bytes content_length, transfer_encoding;
    unsigned content_lengths, transfer_encodings, hosts;
    bool expects_continue;
    bool is_malformed;
};

static bool is_token(struct bytes name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i], lower = (char)(c | 0x20);
        bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!plain && (c == 0 || !strchr(others, c)))
            return false;
    }
    return name.len > 0;
}

static enum MHD_Result look_at_field(void *cls, enum MHD_ValueKind kind, const char *key,
                                     size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    struct head *head = cls;
    struct bytes name = bytes_from(key, key_size), text = bytes_from(value, value_size);
    if (!is_token(name) || (text.len > 0 && memchr(text.data, '\r', text.len)))
        head->is_malformed = true;
    if (bytes_equal_nocase(name, BYTES("content-length"))) {
        head->content_length = text;
        head->content_lengths++;
    } else if (bytes_equal_nocase(name, BYTES("transfer-encoding"))) {
        head->transfer_encoding = text;
        head->transfer_encodings++;
    } else if (bytes_equal_nocase(name, BYTES("host"))) {
        head->hosts++;
    } else if (bytes_equal_nocase(name, BYTES("expect"))) {
        head->expects_continue = true;
    }
    return MHD_YES;
}

/* What libmicrohttpd 0.9.75 lets through and must not reach a handler: it takes the first of
 * several Content-Length fields, prefers Transfer-Encoding to Content-Length, reads a body of
 * unknown encoding up to the end of the connection, and knows "Content-Length :" as another field.
 * All of these smuggle requests past a proxy that sees it differently (RFC 9112, 6.3 and 11.2). */
static const char *fault_of(const struct head *head, const char *version)
{
    bool is_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (head->is_malformed)
        return "A header field is malformed.";
    if (head->content_lengths + head->transfer_encodings > 1)
        return "The length of the body is given more than once.";
    if (head->transfer_encodings > 0 &&
        (!is_1_1 || !bytes_equal_nocase(head->transfer_encoding, BYTES("chunked"))))
        return "The transfer encoding is not supported.";
    if (head->hosts > 1 || (is_1_1 && head->hosts == 0))
        return "A request needs one host field.";
    return NULL;
}

/* libmicrohttpd has made sure that these are digits and fit. */
static int64_t number_of(struct bytes digits)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.len; i++)
        number = number * 10 + (uint64_t)(digits.data[i] - '0');
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static const char *read_head(struct http1_exchange *request, const char *method,
                             const char *version)
{
    struct MHD_Connection *mhd = request->connection->mhd;
    struct exchange *exchange = &request->exchange;
    struct head head = {0};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, look_at_field, &head);
    exchange->method = bytes_of(method);
    exchange->head_bytes =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    exchange->content_length = head.transfer_encodings > 0 ? -1 : number_of(head.content_length);
    request->has_body = exchange->content_length != 0;
    request->is_1_0 = strcmp(version, "HTTP/1.0") == 0;
    request->expects_continue = head.expects_continue && request->has_body;
    const char *fault = fault_of(&head, version);
    request->must_close = fault != NULL;
    return fault;
}

/* The pool begins where the first request does, because a connection that starts with anything but
 * a letter does not get here (sniff.h); see release_memory() in http1.c. */
static void note_memory(struct http1_connection *connection, const char *method)
{
    if (!connection->memory && connection->http1->may_release_memory && !connection->is_used)
        connection->memory = (char *)(uintptr_t)method;
    connection->is_used = true;
    connection->is_resident = connection->memory != NULL;
}

static enum MHD_Result begin(struct http1_exchange *request, const char *method,
                             const char *version)
{
    struct exchange *exchange = &request->exchange;
    note_memory(request->connection, method);
    request->phase = HTTP1_BODY;
    request->begun = true;
    const char *fault = read_head(request, method, version);
    if (request->has_body)
        list_push_back(&request->connection->http1->expecting, &request->connection->expected);
    exchange_begin(exchange);
    if (fault && exchange->state == EXCHANGE_READING)
        problem_respond(
            exchange, &(struct problem){.status = 400, .code = "invalid_request", .detail = fault});
    if (request->answer && is_answered_early(request))
        return give_answer(request);
    return MHD_YES;
}

/* --- the body and the end --- */

static enum MHD_Result throw_away(const struct http1_exchange *request)
{
    size_t limit = request->exchange.reactor->options.body_limit;
    return request->received / DRAINED_BODIES > limit ? MHD_NO : MHD_YES;
}

static enum MHD_Result take(struct http1_exchange *request, struct bytes piece)
{
    request->received += piece.len;
    list_remove(&request->connection->expected);
    if (request->phase == HTTP1_DRAINING)
        return throw_away(request);
    request->connection->since_us = reactor_now_us(request->exchange.reactor);
    exchange_body(&request->exchange, piece);
    return MHD_YES;
}

static enum MHD_Result end_of_body(struct http1_exchange *request)
{
    request->phase = HTTP1_HANDLING;
    exchange_body_end(&request->exchange);
    if (request->answer)
        return give_answer(request);
    if (request->connection->peer_left)
        return MHD_NO;
    request->phase = HTTP1_WAITING;
    MHD_suspend_connection(request->connection->mhd);
    return MHD_YES;
}

enum MHD_Result http1_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context)
{
    (void)cls;
    (void)mhd;
    (void)url;
    struct http1_exchange *request = *context;
    if (!request->begun)
        return begin(request, method, version);
    if (*upload_size > 0) {
        struct bytes piece = bytes_from(upload, *upload_size);
        *upload_size = 0;
        return take(request, piece);
    }
    return request->phase == HTTP1_BODY ? end_of_body(request) : MHD_NO;
}

void http1_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode reason)
{
    (void)cls;
    (void)mhd;
    struct http1_exchange *request = *context;
    if (!request)
        return;
    struct http1_connection *connection = request->connection;
    if (reason != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        http1_let_go(connection);
    connection->exchange = NULL;
    connection->since_us = reactor_now_us(request->exchange.reactor);
    http1_read_on(connection);
    *context = NULL;
    if (request->answer)
        MHD_destroy_response(request->answer);
    buffer_deinit(&request->unsent);
    if (request->begun)
        exchange_end(&request->exchange);
    else
        arena_unref(&request->exchange.arena);
}
