#include "server/requests/origin.h"

#include "server/http/media.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/telemetry/trace.h"

enum { TRACE_HEADER_MAX = 512, CORRELATION_MAX = 256, DEPTH_DIGITS = 4, LOOP_DETECTED = 508 };

/* A header's value if it is short and plain, else empty: it is handed on to Python. */
static struct bytes plain_header(struct exchange *exchange, const char *name, size_t max)
{
    struct bytes value = exchange_header(exchange, name);
    if (value.len > max)
        return (struct bytes){0};
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~')
            return (struct bytes){0};
    }
    return value.len ? arena_copy(exchange->arena, value) : value;
}

/* Under the usual name, or that of Snakepit's own clients. */
static struct bytes read_correlation(struct exchange *exchange)
{
    struct bytes usual = plain_header(exchange, "x-correlation-id", CORRELATION_MAX);
    return usual.len ? usual : plain_header(exchange, "x-snakepit-correlation-id", CORRELATION_MAX);
}

static bool read_depth(struct bytes text, unsigned *out_depth)
{
    *out_depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *out_depth = *out_depth * 10 + (unsigned)(text.data[i] - '0');
    }
    return text.len > 0 && text.len <= DEPTH_DIGITS;
}

/* What a callback is told, and sends along when it calls back (callbacks.c): without it tools could
 * call each other in a circle through the world outside. */
static bool apply_depth(struct exchange *exchange, unsigned *out_depth)
{
    struct bytes text = exchange_header(exchange, "x-snakepit-depth");
    unsigned limit = gateway_of(exchange)->depth_limit;
    *out_depth = 0;
    if (!text.data)
        return true;
    struct problem problem = {.status = 400,
                              .code = "invalid_request",
                              .detail = "the header x-snakepit-depth must be a number"};
    if (read_depth(text, out_depth)) {
        if (*out_depth <= limit)
            return true;
        problem = (struct problem){.status = LOOP_DETECTED,
                                   .code = "tool_call_depth",
                                   .category = "limit",
                                   .detail = "tools call tools that call tools, deeper than "
                                             "tool_calls.depth allows",
                                   .limit = limit};
    }
    problem_respond(exchange, &problem);
    return false;
}

/* --- metadata --- */

static void add_header(struct exchange *exchange, struct bytes name, size_t limit,
                       struct buffer *text)
{
    struct bytes value = plain_header(exchange, arena_string(exchange->arena, name), limit);
    if (!value.data)
        return;
    buffer_add_string(text, text->len > 1 ? "," : "");
    buffer_add_json_string(text, name);
    buffer_add_string(text, ":");
    buffer_add_json_string(text, value);
}

/* The members of a JSON object, without its braces and the space inside of them. */
static struct bytes inside(struct bytes object)
{
    struct bytes text = {object.data + 1, object.len - 2};
    while (text.len && strchr(" \t\r\n", text.data[0]))
        text = bytes_skip(text, 1);
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Of members with one name the last counts, so what the body says comes last. */
static void write_metadata(struct exchange *exchange, const struct metadata_options *options,
                           struct bytes given, struct buffer *text)
{
    struct bytes left = bytes_of(options->headers);
    struct bytes members = given.len ? inside(given) : given;
    buffer_add_string(text, "{");
    while (left.len) {
        struct bytes name = media_cut(&left, ',');
        if (name.len)
            add_header(exchange, name, options->limit, text);
    }
    if (members.len) {
        buffer_add_string(text, text->len > 1 ? "," : "");
        buffer_add(text, members);
    }
    buffer_add_string(text, "}");
}

static void refuse_large(struct exchange *exchange, size_t limit)
{
    problem_respond(exchange,
                    &(struct problem){.status = 413,
                                      .code = "payload_too_large",
                                      .detail = "\"metadata\" and the headers that go along "
                                                "with it are larger than metadata.limit",
                                      .limit = (int64_t)limit});
}

static bool read_metadata(struct exchange *exchange, struct bytes given, struct bytes *out_metadata)
{
    const struct metadata_options *options = gateway_of(exchange)->metadata;
    struct buffer text = {0};
    *out_metadata = given;
    if (options->headers && options->headers[0]) {
        write_metadata(exchange, options, given, &text);
        *out_metadata =
            text.len > 2 ? arena_copy(exchange->arena, buffer_bytes(&text)) : (struct bytes){0};
        buffer_deinit(&text);
    }
    if (out_metadata->len <= options->limit)
        return true;
    refuse_large(exchange, options->limit);
    return false;
}

/* --- for all --- */

/* Without a trace a state says nothing. */
static void read_trace(struct exchange *exchange, struct origin *origin)
{
    origin->traceparent = plain_header(exchange, "traceparent", TRACE_HEADER_MAX);
    if (trace_is_good(origin->traceparent))
        origin->tracestate = plain_header(exchange, "tracestate", TRACE_HEADER_MAX);
    else
        origin->traceparent = origin->tracestate = (struct bytes){0};
}

bool origin_read(struct exchange *exchange, const struct origin_members *members,
                 struct origin *out_origin)
{
    if (!apply_depth(exchange, &out_origin->depth) ||
        !read_metadata(exchange, members->metadata, &out_origin->metadata))
        return false;
    out_origin->correlation_id =
        members->correlation_id.len ? members->correlation_id : read_correlation(exchange);
    read_trace(exchange, out_origin);
    return true;
}
