#include "server/calls/invocation.h"

#include "server/calls/deferral.h"
#include "server/calls/envelope.h"
#include "server/calls/outcome.h"
#include "server/calls/runner.h"
#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/membership.h"
#include "server/requests/patience.h"
#include "server/tools/arguments.h"
#include "server/tools/toolbox.h"

/* In the exchange's arena; holds the caller's reference to the call until the exchange ends. */
struct invocation {
    struct exchange *exchange;
    struct call *call;
    enum result_shape shape;
};

static void on_gone(struct exchange *exchange)
{
    struct invocation *invocation = exchange->handler;
    invocation->call->context = NULL;
    runner_cancel(invocation->call);
}

static void on_end(struct exchange *exchange)
{
    struct invocation *invocation = exchange->handler;
    invocation->call->context = NULL;
    call_unref(&invocation->call);
}

/* The call has ended. The mail came with a reference. */
static void on_mail(struct mail *mail)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    struct invocation *invocation = call->context;
    if (invocation) {
        runner_deliver(call);
        outcome_respond(invocation->exchange, call, invocation->shape);
    }
    call_unref(&call);
}

/* Takes the session's reference. */
static void join_session(struct call *call, struct session *session)
{
    if (!session)
        return;
    call->session = session;
    call->session_id = arena_copy(call->arena, session->id);
    call->session_number = session->number;
    atomic_fetch_add_explicit(&session->calls, 1, memory_order_relaxed);
}

/* Takes the session's reference. */
static struct call *make_call(struct exchange *exchange, const struct invocation_request *request,
                              const struct origin *origin, struct tool *tool,
                              struct session *session)
{
    struct call *call = call_new(exchange->arena);
    call->tool = tool;
    call->args = request->args;
    call->payload = exchange->gathered;
    exchange->gathered = (struct buffer){0};
    call->shared = exchange->shared;
    call->content_type = request->content_type;
    join_session(call, session);
    call->affinity = (enum affinity)request->affinity;
    call->affinity_key = request->affinity_key;
    call->request_id = arena_copy(exchange->arena, exchange->request_id);
    call->correlation_id = origin->correlation_id;
    call->traceparent = origin->traceparent;
    call->tracestate = origin->tracestate;
    call->metadata = origin->metadata;
    call->depth = origin->depth;
    call->timeout_us = request->timeout_us;
    call->queue_timeout_us = request->queue_timeout_us;
    call->run_timeout_us = request->run_timeout_us;
    call->idle_timeout_us = request->idle_timeout_us;
    call->idempotent =
        request->idempotent.given ? request->idempotent.value : tool->spec.idempotent;
    if (request->priority.given)
        call->priority = request->priority.value;
    call->home = reactor_inbox(exchange->reactor);
    call->mail.open = on_mail;
    return call;
}

/* --- the tool --- */

static bool has_tools(const struct gateway *gateway, const struct pool *pool)
{
    const struct tool_table *table = registry_table(gateway->registry);
    for (size_t i = 0; i < table->count; i++) {
        if (table->sorted[i]->pool == pool)
            return true;
    }
    return false;
}

/* A tool may be unknown because its pool has not said yet what it has: the state of such a pool,
 * POOL_RUNNING when there is none. `only`: the pool that the caller named, or NULL. */
static enum pool_state silent_pool(const struct gateway *gateway, const struct pool *only)
{
    enum pool_state found = POOL_RUNNING;
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct pool_view view;
        struct pool *pool = gateway->pools[i];
        if ((only && only != pool) || has_tools(gateway, pool))
            continue;
        pool_look(pool, &view);
        if (view.state == POOL_STARTING || (view.state == POOL_FAILED && found == POOL_RUNNING))
            found = view.state;
    }
    return found;
}

static void refuse_unknown_tool(struct exchange *exchange, struct bytes name,
                                const struct pool *pool)
{
    enum pool_state state = silent_pool(gateway_of(exchange), pool);
    struct problem problem = {.status = 404,
                              .code = "tool_not_found",
                              .detail =
                                  arena_printf(exchange->arena, "there is no tool named \"%.*s\"%s",
                                               name.len > 80 ? 80 : (int)name.len, name.data,
                                               pool ? " in that pool" : "")};
    if (state == POOL_STARTING || state == POOL_FAILED) {
        problem = (struct problem){.status = 503,
                                   .code = "pool_not_ready",
                                   .category = "pool",
                                   .detail = "no worker is ready yet",
                                   .retryable = true,
                                   .retry_after_s = 1};
        if (state == POOL_FAILED) {
            problem.code = "no_workers_available";
            problem.detail = "a pool that might have this tool cannot start workers";
        }
    }
    problem_respond(exchange, &problem);
}

static void refuse_unknown_pool(struct exchange *exchange)
{
    problem_respond(exchange, &(struct problem){.status = 404,
                                                .code = "pool_not_found",
                                                .category = "pool",
                                                .detail = "there is no pool of that name"});
}

/* A tool that was registered, with the callout that is to run it; NULL: there is none. */
static struct tool *find_registered(struct exchange *exchange, struct session *session,
                                    struct bytes name)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct callback_tool *callback = toolbox_find(gateway->toolbox, session, name);
    return callback ? callout_new(exchange->arena, gateway, callback) : NULL;
}

/* Finds what is to be run: the session's own tool, or Python's, or a registered one; the registered
 * ones only when no pool is named. NULL: there is none, and the exchange has been answered. */
static struct tool *resolve(struct exchange *exchange, const struct invocation_request *request,
                            struct session *session)
{
    const struct gateway *gateway = gateway_of(exchange);
    bool named = request->pool.len > 0;
    struct bytes wanted = named || !session ? request->pool : bytes_of(session->pool);
    const struct pool *pool = wanted.len ? gateway_find_pool(gateway, wanted) : NULL;
    struct tool *tool =
        named || !session ? NULL : find_registered(exchange, session, request->tool);
    if (tool)
        return tool;
    if (wanted.len && !pool) {
        refuse_unknown_pool(exchange);
        return NULL;
    }
    tool = registry_find(gateway->registry, request->tool, pool);
    if (!tool && !named)
        tool = find_registered(exchange, NULL, request->tool);
    if (!tool)
        refuse_unknown_tool(exchange, request->tool, pool);
    return tool;
}

/* --- time limits and urgency --- */

typedef bool limit_reader(struct bytes text, uint64_t *out_us);

/* Lowers `timeout_us` to what the header says. False: that is malformed, and the exchange has been
 * answered. */
static bool apply_limit(struct exchange *exchange, const char *name, const char *expected,
                        limit_reader *read, uint64_t *timeout_us)
{
    struct bytes text = exchange_header(exchange, name);
    uint64_t limit_us = 0;
    if (!text.data)
        return true;
    if (!read(text, &limit_us)) {
        problem_respond(exchange, &(struct problem){.status = 400,
                                                    .code = "invalid_request",
                                                    .detail = arena_printf(
                                                        exchange->arena, "the header %s must be %s",
                                                        name, expected)});
        return false;
    }
    if (*timeout_us == 0 || limit_us < *timeout_us)
        *timeout_us = limit_us;
    return true;
}

static bool apply_headers(struct exchange *exchange, struct invocation_request *request)
{
    struct member_number *priority = &request->priority;
    if (!apply_limit(exchange, "request-timeout",
                     "seconds, more than 0 and at most 86400, such as 2.5", patience_read_seconds,
                     &request->timeout_us))
        return false;
    if (!apply_limit(exchange, "grpc-timeout",
                     "one to eight digits, not 0, and a unit of H, M, S, m, u, n, such as 100m",
                     patience_read_grpc, &request->timeout_us))
        return false;
    if (!priority->given)
        priority->given =
            patience_read_urgency(exchange_header(exchange, "priority"), &priority->value);
    return true;
}

bool invocation_read(struct exchange *exchange, struct invocation_request *out_request)
{
    struct bytes body = exchange_payload(exchange);
    struct member_fault fault;
    if (!document_is_json(exchange))
        return false;
    if (envelope_read(body, exchange->arena, out_request, &fault))
        return true;
    members_refuse(exchange, 400, &fault);
    return false;
}

/* Whether the tool takes the arguments. False: it does not, and the exchange has been answered. */
static bool takes(struct exchange *exchange, const struct tool *tool,
                  const struct invocation_request *request, enum result_shape shape)
{
    const char *pool = tool->pool ? pool_name(tool->pool) : NULL;
    if (!request->content_type.len)
        return arguments_fit(exchange, tool->schema, tool->spec.name, pool, request->args,
                             shape == RESULT_ENVELOPE ? "/args" : "");
    if (pool)
        return true;
    problem_respond(exchange, &(struct problem){.status = 415,
                                                .code = "unsupported_media_type",
                                                .detail = "the tool was registered, and takes JSON "
                                                          "arguments only"});
    return false;
}

bool invocation_complete(struct exchange *exchange, struct invocation_request *request,
                         struct origin *out_origin)
{
    const struct origin_members members = {request->correlation_id, request->metadata};
    return apply_headers(exchange, request) && origin_read(exchange, &members, out_origin);
}

struct call *invocation_make(struct exchange *exchange, const struct invocation_request *request,
                             const struct origin *origin, enum result_shape shape)
{
    struct session *session = NULL;
    if (!membership_join(exchange, request->session_id, &session))
        return NULL;
    struct tool *tool = resolve(exchange, request, session);
    if (tool && takes(exchange, tool, request, shape))
        return make_call(exchange, request, origin, tool, session);
    session_unref(&session);
    return NULL;
}

static void run(struct exchange *exchange, struct call *call, enum result_shape shape)
{
    struct invocation *invocation = arena_zalloc(exchange->arena, sizeof *invocation);
    invocation->exchange = exchange;
    invocation->shape = shape;
    invocation->call = call;
    call->context = invocation;
    exchange->handler = invocation;
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    runner_submit(call);
}

/* What a key has begun is found by the key alone, before anything of the request is looked for. */
void invocation_start(struct exchange *exchange, struct invocation_request *request,
                      enum result_shape shape)
{
    struct deferral_wish wish;
    struct origin origin;
    struct job *older;
    if (!deferral_read(exchange, &wish) || !invocation_complete(exchange, request, &origin))
        return;
    wish.limit_us = request->timeout_us;
    idempotency_print(exchange, request, origin.metadata, false, &wish.once);
    if (!idempotency_recall(exchange, &wish.once, &older))
        return;
    if (older) {
        deferral_join(exchange, older, &wish, shape);
        return;
    }
    struct call *call = invocation_make(exchange, request, &origin, shape);
    if (call && (wish.is_async || wish.once.key.len))
        deferral_start(exchange, call, &wish, shape);
    else if (call)
        run(exchange, call, shape);
}
