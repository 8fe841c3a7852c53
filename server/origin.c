#include "server/origin.h"

#include "server/gateway.h"
#include "server/problem.h"

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
    unsigned limit = switchboard_options(gateway_of(exchange)->switchboard)->depth;
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

bool origin_read(struct exchange *exchange, struct bytes correlation_id, struct origin *out_origin)
{
    if (!apply_depth(exchange, &out_origin->depth))
        return false;
    out_origin->correlation_id = correlation_id.len ? correlation_id : read_correlation(exchange);
    out_origin->traceparent = plain_header(exchange, "traceparent", TRACE_HEADER_MAX);
    out_origin->tracestate = plain_header(exchange, "tracestate", TRACE_HEADER_MAX);
    return true;
}
