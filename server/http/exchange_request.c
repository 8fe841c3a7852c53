/* The way of a request to its handler: what is let in, its route, its body. */
#include "server/http/exchange.h"

#include "server/http/hosts.h"
#include "server/http/problem.h"
#include "server/http/reactor.h"

enum { REQUEST_ID_MAX = 128, HOST_SHOWN = 253, EAGER_BODY = 1024 * 1024 };

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

/* --- what is let in --- */

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
    else if (exchange->query.len > 0 && (route->flags & ROUTE_NO_QUERY))
        refuse(exchange, 400, "invalid_request", "this request must not have a query");
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
    exchange_open(exchange);
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

/* --- the body --- */

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
        exchange_refuse_memory(exchange, "no");
}

void exchange_body(struct exchange *exchange, struct bytes data)
{
    if (!exchange_is_reading(exchange))
        return;
    if (!exchange_hold(exchange, data.len)) {
        exchange_refuse_memory(exchange, "no");
        return;
    }
    append(exchange, data);
}

void exchange_body_end(struct exchange *exchange)
{
    if (!exchange_is_reading(exchange))
        return;
    if (exchange->shared && !shared_seal(exchange->shared)) {
        exchange_refuse_memory(exchange, "no");
        return;
    }
    exchange_handle(exchange);
}
