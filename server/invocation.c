#include "server/invocation.h"

#include "server/gateway.h"
#include "server/outcome.h"
#include "server/problem.h"

enum { TRACE_HEADER_MAX = 512, CORRELATION_MAX = 256 };

static void on_gone(struct exchange *exchange)
{
    struct invocation *invocation = exchange->handler;
    invocation->call->context = NULL;
    pool_cancel(invocation->call->tool->pool, invocation->call);
}

static void on_end(struct exchange *exchange)
{
    struct invocation *invocation = exchange->handler;
    invocation->call->context = NULL;
    call_unref(&invocation->call);
}

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

static struct call *make_call(struct exchange *exchange, const struct invocation_request *request,
                              struct tool *tool)
{
    struct call *call = call_new(exchange->arena);
    call->tool = tool;
    call->args = request->args;
    call->payload = exchange->body;
    exchange->body = (struct buffer){0};
    call->content_type = request->content_type;
    call->session_id = request->session_id;
    call->correlation_id = request->correlation_id.len
                               ? request->correlation_id
                               : plain_header(exchange, "x-correlation-id", CORRELATION_MAX);
    call->request_id = arena_copy(exchange->arena, exchange->request_id);
    call->traceparent = plain_header(exchange, "traceparent", TRACE_HEADER_MAX);
    call->tracestate = plain_header(exchange, "tracestate", TRACE_HEADER_MAX);
    call->timeout_us = request->timeout_us;
    call->idempotent = tool->spec.idempotent;
    call->queue_timeout_us = request->queue_timeout_us;
    call->home = reactor_inbox(exchange->reactor);
    return call;
}

static struct pool *find_pool(const struct gateway *gateway, struct bytes name)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        if (bytes_equal(bytes_of(pool_name(gateway->pools[i])), name))
            return gateway->pools[i];
    }
    return NULL;
}

/* A tool may be unknown because no worker has said yet what it has. */
static bool still_starting(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct pool_view view;
        pool_look(gateway->pools[i], &view);
        if (view.state == POOL_STARTING)
            return true;
    }
    return false;
}

static void refuse_unknown_tool(struct exchange *exchange, struct bytes name)
{
    if (registry_table(gateway_of(exchange)->registry)->count == 0 &&
        still_starting(gateway_of(exchange))) {
        problem_respond(exchange, &(struct problem){.status = 503,
                                                    .code = "pool_not_ready",
                                                    .category = "pool",
                                                    .detail = "no worker is ready yet",
                                                    .retryable = true,
                                                    .retry_after_s = 1});
        return;
    }
    problem_respond(
        exchange,
        &(struct problem){.status = 404,
                          .code = "tool_not_found",
                          .detail = arena_printf(exchange->arena, "there is no tool named \"%.*s\"",
                                                 name.len > 80 ? 80 : (int)name.len, name.data)});
}

/* The tool to run, or NULL when the exchange has been answered. */
static struct tool *resolve(struct exchange *exchange, const struct invocation_request *request)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct tool *tool = registry_find(gateway->registry, request->tool);
    const struct pool *pool = request->pool.len ? find_pool(gateway, request->pool) : NULL;
    if (request->pool.len && !pool) {
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "pool_not_found",
                                                    .category = "pool",
                                                    .detail = "there is no pool of that name"});
        return NULL;
    }
    if (tool && (!pool || tool->pool == pool))
        return tool;
    refuse_unknown_tool(exchange, request->tool);
    return NULL;
}

void invocation_start(struct exchange *exchange, const struct invocation_request *request,
                      enum invocation_shape shape)
{
    struct tool *tool = resolve(exchange, request);
    if (!tool)
        return;
    struct invocation *invocation = arena_zalloc(exchange->arena, sizeof *invocation);
    invocation->exchange = exchange;
    invocation->shape = shape;
    invocation->call = make_call(exchange, request, tool);
    invocation->call->context = invocation;
    exchange->handler = invocation;
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    pool_submit(tool->pool, invocation->call);
}

void invocation_finish(struct call *call)
{
    struct invocation *invocation = call->context;
    if (invocation)
        outcome_respond(invocation);
    call_unref(&call);
}
