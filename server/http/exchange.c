#include "server/http/exchange.h"

#include "base/clock.h"
#include "server/http/hosts.h"
#include "server/http/problem.h"
#include "server/http/reactor.h"

#include <stdlib.h>

enum {
    GONE_STATUS = 499,
    REQUEST_ID_MAX = 128,
    HOST_SHOWN = 253,
    EAGER_BODY = 1024 * 1024,
    SMALL_ANSWER = 64 * 1024
};

/* --- the state machine --- */

static bool may_move(enum exchange_state from, enum exchange_state to)
{
    switch (from) {
    case EXCHANGE_READING:
        return to != EXCHANGE_READING;
    case EXCHANGE_HANDLING:
        return to == EXCHANGE_ANSWERED || to == EXCHANGE_ENDED;
    case EXCHANGE_ANSWERED:
        return to == EXCHANGE_ENDED;
    case EXCHANGE_ENDED:
        return false;
    }
    return false;
}

/* The one place where the state changes. */
static void move(struct exchange *exchange, enum exchange_state to)
{
    if (!may_move(exchange->state, to))
        abort();
    exchange->state = to;
}

static bool is_gone(const struct exchange *exchange)
{
    return exchange->status == GONE_STATUS && exchange->state != EXCHANGE_ANSWERED;
}

static _Atomic int64_t *gauge_of(struct exchange *exchange)
{
    bool is_2 = exchange->protocol->version[0] == '2';
    return &reactor_stats(exchange->reactor)->exchanges[is_2 ? HTTP_2 : HTTP_1];
}

/* --- the request's id --- */

static bool is_good_id(struct bytes id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    if (bytes_equal(id, BYTES(".")) || bytes_equal(id, BYTES(".."))) /* segments of no path */
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] <= ' ' || id.data[i] > '~' || id.data[i] == '"' || id.data[i] == '\\')
            return false;
    return true;
}

static struct bytes choose_id(struct exchange *exchange)
{
    struct bytes given = exchange_header(exchange, "x-request-id");
    if (is_good_id(given))
        return given;
    char *id = arena_alloc(exchange->arena, REACTOR_ID_LEN);
    reactor_next_id(exchange->reactor, id);
    return bytes_from(id, REACTOR_ID_LEN);
}

/* --- refusals --- */

static void refuse(struct exchange *exchange, unsigned status, const char *code, const char *detail)
{
    problem_respond(exchange, &(struct problem){.status = status, .code = code, .detail = detail});
}

static void refuse_size(struct exchange *exchange, unsigned status, const char *code, size_t limit)
{
    problem_respond(exchange, &(struct problem){.status = status,
                                                .code = code,
                                                .category = "limit",
                                                .detail = arena_printf(exchange->arena,
                                                                       "at most %zu bytes", limit),
                                                .limit = (int64_t)limit});
}

static void refuse_method(struct exchange *exchange, struct bytes allow)
{
    problem_respond(exchange, &(struct problem){.status = 405,
                                                .code = "method_not_allowed",
                                                .detail = arena_printf(exchange->arena,
                                                                       "this path answers to %.*s",
                                                                       (int)allow.len, allow.data),
                                                .allow = allow});
}

static void answer_options(struct exchange *exchange, struct bytes allow)
{
    struct response response = {.status = 204};
    response_header(&response, "allow", allow);
    exchange_respond(exchange, &response);
}

/* Bodies that many slow peers leave in our memory must not add up without end. */
static bool hold(struct exchange *exchange, size_t bytes)
{
    if (!reactor_hold(exchange->reactor, bytes))
        return false;
    exchange->held += bytes;
    return true;
}

static void refuse_memory(struct exchange *exchange, const char *executed)
{
    problem_respond(exchange,
                    &(struct problem){.status = 503,
                                      .code = "memory_limit",
                                      .category = "limit",
                                      .detail = "too many bodies are in memory: peers do not read",
                                      .executed = executed,
                                      .retryable = true,
                                      .retry_after_s = 1});
}

/* --- the way through --- */

static size_t body_limit(const struct exchange *exchange)
{
    size_t limit = exchange->route->body_limit;
    if (limit == ROUTE_NO_BODY)
        return 0;
    return limit ? limit : reactor_options(exchange->reactor)->body_limit;
}

/* Whether the page that an Origin header names was served by the host that is asked. */
static bool is_ours(struct bytes origin, struct bytes host)
{
    struct bytes scheme =
        bytes_starts_with(origin, BYTES("https://")) ? BYTES("https://") : BYTES("http://");
    return bytes_starts_with(origin, scheme) && /* not "null": a sandboxed page, or a file */
           bytes_equal_nocase(bytes_skip(origin, scheme.len), host);
}

/* Browsers let any page send requests to any address, if only simple ones, and say where the page
 * is from: to addresses that they trust by Sec-Fetch-Site (Fetch Metadata, W3C), to others by
 * Origin. What is not ours may look, and do nothing. */
static bool is_welcome(struct exchange *exchange)
{
    bool looks =
        bytes_equal(exchange->method, BYTES("GET")) || bytes_equal(exchange->method, BYTES("HEAD"));
    if (looks && !(exchange->route->flags & ROUTE_ACTS))
        return true;
    struct bytes site = exchange_header(exchange, "sec-fetch-site");
    if (site.data)
        return !bytes_equal(site, BYTES("cross-site")) && !bytes_equal(site, BYTES("same-site"));
    struct bytes origin = exchange_header(exchange, "origin");
    return !origin.data || is_ours(origin, exchange_header(exchange, "host"));
}

static void refuse_page(struct exchange *exchange)
{
    problem_respond(exchange,
                    &(struct problem){.status = 403,
                                      .code = "forbidden",
                                      .category = "auth",
                                      .detail = "a page of another site may do nothing here"});
}

static bool is_for_us(struct exchange *exchange)
{
    const char *hosts = reactor_options(exchange->reactor)->hosts;
    return !hosts || hosts_serve(hosts, exchange_header(exchange, "host"));
}

/* RFC 9110, 15.5.20: whoever asked meant another server. */
static void refuse_host(struct exchange *exchange)
{
    struct bytes host = exchange_header(exchange, "host");
    size_t len = host.len < HOST_SHOWN ? host.len : HOST_SHOWN;
    const char *detail = arena_printf(exchange->arena,
                                      "this gateway does not answer for the host %.*s: http.hosts "
                                      "does not have it",
                                      (int)len, host.data);
    problem_respond(exchange, &(struct problem){.status = 421,
                                                .code = "misdirected_request",
                                                .category = "auth",
                                                .detail = detail});
}

/* Bodies are read as they are; the list of codings may hold "identity", which is none. */
static bool is_coded(struct exchange *exchange)
{
    struct bytes coding = exchange_header(exchange, "content-encoding");
    return coding.len && !bytes_equal_nocase(coding, BYTES("identity"));
}

/* RFC 9110, 15.5.16: Accept-Encoding says that it is the coding. */
static void refuse_coding(struct exchange *exchange)
{
    exchange->remark = (struct header){BYTES("accept-encoding"), BYTES("identity")};
    refuse(exchange, 415, "unsupported_media_type",
           "content-encoding is not supported: send the body as it is");
}

static void refuse_body(struct exchange *exchange)
{
    size_t limit = body_limit(exchange);
    if (limit)
        refuse_size(exchange, 413, "payload_too_large", limit);
    else
        refuse(exchange, 413, "payload_too_large", "this request must not have a body");
}

static void accept_route(struct exchange *exchange, const struct route *route)
{
    exchange->route = route;
    size_t limit = body_limit(exchange);
    buffer_init(&exchange->gathered, limit);
    if (!is_welcome(exchange))
        refuse_page(exchange);
    else if (exchange->content_length > 0 && (uint64_t)exchange->content_length > limit)
        refuse_body(exchange);
    else if (exchange->content_length != 0 && is_coded(exchange))
        refuse_coding(exchange);
}

static void find_route(struct exchange *exchange)
{
    const struct route *route = NULL;
    struct bytes allow = {0};
    switch (router_find(reactor_router(exchange->reactor), exchange->method, exchange->path, &route,
                        &allow)) {
    case ROUTE_FOUND:
        accept_route(exchange, route);
        return;
    case ROUTE_UNKNOWN_PATH:
        refuse(exchange, 404, "not_found", "There is nothing at this path.");
        return;
    case ROUTE_UNKNOWN_METHOD:
        refuse_method(exchange, allow);
        return;
    case ROUTE_OPTIONS:
        answer_options(exchange, allow);
        return;
    case ROUTE_BAD_ENCODING:
        refuse(exchange, 400, "invalid_request", "The path is not percent-encoded correctly.");
        return;
    }
}

void exchange_begin(struct exchange *exchange)
{
    const struct http_options *options = reactor_options(exchange->reactor);
    exchange->started_us = clock_now_us();
    http_stats_shift(gauge_of(exchange), 1);
    exchange->request_id = choose_id(exchange);
    if (exchange->path.len + exchange->query.len > options->url_limit)
        refuse_size(exchange, 414, "uri_too_long", options->url_limit);
    else if (exchange->head_bytes > options->head_limit)
        refuse_size(exchange, 431, "headers_too_large", options->head_limit);
    else if (!is_for_us(exchange))
        refuse_host(exchange);
    else
        find_route(exchange);
}

/* One allocation for a body of announced and modest size. */
static bool make_room(struct exchange *exchange, size_t len)
{
    size_t room = len;
    if (exchange->gathered.len == 0 && exchange->content_length > (int64_t)len)
        room =
            exchange->content_length < EAGER_BODY ? (size_t)exchange->content_length : EAGER_BODY;
    return buffer_reserve(&exchange->gathered, room);
}

/* A body that is large, or becomes it, goes on in shared memory, if there is any. */
static void choose_memory(struct exchange *exchange, size_t size)
{
    if (size < (size_t)exchange->content_length && exchange->content_length > 0)
        size = (size_t)exchange->content_length;
    if (exchange->shared || size <= SHARED_MIN || exchange->gathered.len > SHARED_MIN ||
        !reactor_hold_descriptor(exchange->reactor))
        return;
    exchange->shared = shared_new(exchange->arena);
    if (!exchange->shared)
        reactor_release_descriptor(exchange->reactor);
}

/* What has come before is in the buffer. */
static bool append_shared(struct exchange *exchange, struct bytes data)
{
    bool good = shared_append(exchange->shared, buffer_bytes(&exchange->gathered));
    buffer_deinit(&exchange->gathered);
    return good && shared_append(exchange->shared, data);
}

static void append(struct exchange *exchange, struct bytes data)
{
    size_t size =
        exchange->gathered.len + (exchange->shared ? exchange->shared->len : 0) + data.len;
    if (size > body_limit(exchange)) {
        refuse_body(exchange);
        return;
    }
    choose_memory(exchange, size);
    if (exchange->shared
            ? !append_shared(exchange, data)
            : !make_room(exchange, data.len) || !buffer_append(&exchange->gathered, data))
        refuse_memory(exchange, "no");
}

void exchange_body(struct exchange *exchange, struct bytes data)
{
    if (exchange->state != EXCHANGE_READING || is_gone(exchange))
        return;
    if (!hold(exchange, data.len)) {
        refuse_memory(exchange, "no");
        return;
    }
    append(exchange, data);
}

void exchange_body_end(struct exchange *exchange)
{
    if (exchange->state != EXCHANGE_READING || is_gone(exchange))
        return;
    if (exchange->shared && !shared_seal(exchange->shared)) {
        refuse_memory(exchange, "no");
        return;
    }
    move(exchange, EXCHANGE_HANDLING);
    exchange->route->handle(exchange);
}

/* Whether a client that leaves now leaves too early. */
static bool is_owed(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_ANSWERED ? exchange->source != NULL
                                                : exchange->state < EXCHANGE_ANSWERED;
}

void exchange_gone(struct exchange *exchange)
{
    if (!is_owed(exchange) || is_gone(exchange))
        return;
    exchange->source = NULL;
    if (exchange->state < EXCHANGE_ANSWERED)
        exchange->status = GONE_STATUS;
    if (exchange->on_gone)
        exchange->on_gone(exchange);
}

void exchange_end(struct exchange *exchange)
{
    exchange_gone(exchange);
    move(exchange, EXCHANGE_ENDED);
    struct http_stats *stats = reactor_stats(exchange->reactor);
    http_stats_record(stats, router_index(reactor_router(exchange->reactor), exchange->route),
                      exchange->status, clock_now_us() - exchange->started_us);
    http_stats_shift(gauge_of(exchange), -1);
    if (exchange->on_end)
        exchange->on_end(exchange);
    buffer_deinit(&exchange->gathered);
    reactor_release(exchange->reactor, exchange->held);
    if (exchange->shared)
        reactor_release_descriptor(exchange->reactor);
    struct arena *arena = exchange->arena; /* the exchange itself may be in it */
    arena_unref(&arena);
}

/* --- for handlers --- */

static size_t response_size(const struct response *response)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < response->part_count; i++)
        bytes += response->parts[i].len;
    return bytes;
}

void exchange_respond(struct exchange *exchange, struct response *response)
{
    if (is_gone(exchange))
        return;
    size_t bytes = response_size(response);
    if (bytes > SMALL_ANSWER && !hold(exchange, bytes)) {
        refuse_memory(exchange, "maybe");
        return;
    }
    if (response->source && exchange->state != EXCHANGE_HANDLING)
        abort();
    move(exchange, EXCHANGE_ANSWERED);
    exchange->status = response->status;
    if (!bytes_equal(exchange->method, BYTES("HEAD")))
        exchange->source = response->source;
    response_header(response, "x-request-id", exchange->request_id);
    if (exchange->remark.name.len)
        response_header(response, exchange->remark.name.data, exchange->remark.value);
    exchange->protocol->respond(exchange, response);
}

enum body_step exchange_read(struct exchange *exchange, char *room, size_t size, size_t *out_len)
{
    bool end = false;
    *out_len = exchange->source ? exchange->source->read(exchange, room, size, &end) : 0;
    if (*out_len > size)
        abort();
    if (end && exchange->source) {
        exchange->source = NULL;
        exchange->is_whole = true;
    }
    if (!exchange->source)
        return exchange->is_whole ? BODY_ENDS : BODY_BREAKS;
    return *out_len > 0 ? BODY_MOVES : BODY_PAUSES;
}

void exchange_more(struct exchange *exchange)
{
    if (exchange->source)
        exchange->protocol->more(exchange);
}

void exchange_break(struct exchange *exchange)
{
    if (!exchange->source)
        return;
    exchange->source = NULL;
    exchange->protocol->break_off(exchange);
}

struct bytes exchange_payload(const struct exchange *exchange)
{
    return exchange->shared ? shared_bytes(exchange->shared) : buffer_bytes(&exchange->gathered);
}

struct bytes exchange_header(struct exchange *exchange, const char *name)
{
    return exchange->protocol->header(exchange, bytes_of(name));
}

unsigned exchange_header_count(struct exchange *exchange, const char *name)
{
    return exchange->protocol->count(exchange, bytes_of(name));
}

void response_header(struct response *response, const char *name, struct bytes value)
{
    if (response->header_count == RESPONSE_MAX_HEADERS)
        abort();
    response->headers[response->header_count++] = (struct header){bytes_of(name), value};
}

void response_part(struct response *response, struct bytes part)
{
    if (response->part_count == RESPONSE_MAX_PARTS)
        abort();
    response->parts[response->part_count++] = part;
}
