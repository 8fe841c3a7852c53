#include "server/callout.h"

#include "base/json.h"
#include "server/arguments.h"
#include "server/callbacks.h"
#include "server/gateway.h"
#include "server/media.h"
#include "server/problem.h"

#include <stdio.h>

/* In the exchange's arena; has a reference of the exchange, and others while it runs. */
struct callout {
    struct callback_run run; /* first */
    atomic_uint references;
    struct arena *arena;       /* a reference */
    struct exchange *exchange; /* the reactor's; NULL once it has ended */
    struct buffer payload;     /* may own what the arguments lie in */
    struct session *session;
    enum result_shape shape;

    /* What came of it, from the thread of the callbacks to the reactor. */
    struct mail mail;
    struct mailbox *home;
    struct callback_answer answer;
    struct buffer received;
    struct arena *texts; /* of the answer */
};

static struct callout *callout_of(struct callback_run *run)
{
    return CONTAINER_OF(run, struct callout, run);
}

static void ref(struct callback_run *run)
{
    atomic_fetch_add_explicit(&callout_of(run)->references, 1, memory_order_relaxed);
}

static void unref(struct callback_run *run)
{
    struct callout *callout = callout_of(run);
    if (atomic_fetch_sub_explicit(&callout->references, 1, memory_order_acq_rel) != 1)
        return;
    struct arena *arena = callout->arena; /* in which it lies */
    callback_tool_unref(&callout->run.tool);
    session_unref(&callout->session);
    buffer_deinit(&callout->payload);
    buffer_deinit(&callout->received);
    arena_unref(&callout->texts);
    arena_unref(&arena);
}

/* --- answering --- */

#define MS_FORMAT "%llu.%03llu"
#define MS(us) (unsigned long long)((us) / 1000), (unsigned long long)((us) % 1000)

static struct bytes print_meta(const struct callout *callout)
{
    struct bytes id = callout->run.request_id;
    return bytes_of(arena_printf(callout->arena,
                                 ",\"meta\":{\"request_id\":\"%.*s\",\"callback\":true,"
                                 "\"attempts\":1,\"queue_ms\":0,\"run_ms\":" MS_FORMAT "}}",
                                 (int)id.len, id.data, MS(callout->answer.run_us)));
}

static void respond_result(struct callout *callout)
{
    const struct callback_answer *answer = &callout->answer;
    struct response response = {.status = 200};
    response_header(&response, "content-type", media_safe(answer->content_type));
    response_header(&response, "server-timing",
                    bytes_of(arena_printf(callout->arena, "queue;dur=0, run;dur=" MS_FORMAT,
                                          MS(answer->run_us))));
    if (callout->shape == RESULT_ENVELOPE && answer->content_type.len == 0) {
        response_part(&response, BYTES("{\"result\":"));
        response_part(&response, answer->body);
        response_part(&response, print_meta(callout));
    } else {
        response_part(&response, answer->body);
    }
    exchange_respond(callout->exchange, &response);
}

static void add_members(struct buffer *members, const struct callout *callout)
{
    struct bytes details = callout->answer.details;
    buffer_add_string(members, "\"tool\":");
    buffer_add_json_string(members, callout->run.tool->offer.name);
    if (callout->run.session_id.len) {
        buffer_add_string(members, ",\"session_id\":");
        buffer_add_json_string(members, callout->run.session_id);
    }
    if (details.len && json_check(details, JSON_MAX_DEPTH, NULL, NULL)) {
        buffer_add_string(members, ",\"details\":");
        buffer_add(members, details);
    }
}

/* A callback's own problem document says what the answer is, as a ToolError of Python does; any
 * other status of its says something to the gateway, not to the client. */
static unsigned status_of(const struct callback_answer *answer)
{
    bool chosen = answer->details.len || answer->end != CALLBACK_FAILURE;
    return chosen && answer->status >= 400 && answer->status <= 599 ? answer->status : 502;
}

static void respond_problem(struct callout *callout)
{
    static const char *const executed[] = {
        [EXECUTED_NO] = "no", [EXECUTED_MAYBE] = "maybe", [EXECUTED_YES] = "yes"};
    const struct callback_answer *answer = &callout->answer;
    struct buffer members = {0};
    unsigned status = status_of(answer);
    bool again = status == 503 || answer->executed == EXECUTED_NO;
    add_members(&members, callout);
    problem_respond(
        callout->exchange,
        &(struct problem){.status = status,
                          .code = problem_code(bytes_of(answer->code)) ? answer->code
                                                                       : "callback_failed",
                          .detail = answer->message.data,
                          .category = answer->end == CALLBACK_TIMEOUT ? "timeout" : "worker",
                          .executed = executed[answer->executed],
                          .retryable = again && answer->end != CALLBACK_CANCELLED,
                          .retry_after_s = status == 503 ? 1 : 0,
                          .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}

static void on_mail(struct mail *mail)
{
    struct callout *callout = CONTAINER_OF(mail, struct callout, mail);
    if (callout->exchange && callout->answer.end == CALLBACK_RESULT)
        respond_result(callout);
    else if (callout->exchange)
        respond_problem(callout);
    unref(&callout->run);
}

/* On the thread of the callbacks. */
static void on_done(struct callback_run *run, const struct callback_answer *answer)
{
    struct callout *callout = callout_of(run);
    struct arena *texts = callout->texts = arena_new(0);
    callout->received = *answer->received;
    *answer->received = (struct buffer){0};
    callout->answer = *answer;
    callout->answer.code = answer->code ? arena_string(texts, bytes_of(answer->code)) : NULL;
    callout->answer.message = arena_copy(texts, answer->message);
    callout->answer.content_type = arena_copy(texts, answer->content_type);
    ref(run);
    mailbox_post(callout->home, &callout->mail);
}

/* --- beginning --- */

static const struct callback_run_ops run_ops = {.on_done = on_done, .ref = ref, .unref = unref};

static void on_gone(struct exchange *exchange)
{
    struct callout *callout = exchange->handler;
    callbacks_cancel(&callout->run);
}

static void on_end(struct exchange *exchange)
{
    struct callout *callout = exchange->handler;
    callout->exchange = NULL;
    unref(&callout->run);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a && (a < b || !b) ? a : b;
}

static void describe_run(struct callout *callout, const struct invocation_request *request,
                         const struct origin *origin)
{
    const struct gateway *gateway = gateway_of(callout->exchange);
    const struct callback_tool *tool = callout->run.tool;
    struct callback_run *run = &callout->run;
    run->ops = &run_ops;
    run->callbacks = gateway->callbacks;
    run->asker = CALLBACK_OF_CLIENT;
    run->args = request->args;
    run->request_id = arena_copy(callout->arena, callout->exchange->request_id);
    run->correlation_id = origin->correlation_id.len ? origin->correlation_id : run->request_id;
    run->traceparent = origin->traceparent;
    run->tracestate = origin->tracestate;
    run->depth = origin->depth;
    run->timeout_us = least(request->timeout_us, request->run_timeout_us);
    run->timeout_us =
        least(run->timeout_us,
              tool->timeout_us ? tool->timeout_us : gateway->callback_options.timeout_us);
}

/* Takes the references. */
static struct callout *make_callout(struct exchange *exchange, struct callback_tool *tool,
                                    struct session *session, enum result_shape shape)
{
    struct callout *callout = arena_zalloc(exchange->arena, sizeof *callout);
    atomic_init(&callout->references, 1);
    callout->arena = arena_ref(exchange->arena);
    callout->exchange = exchange;
    callout->run.tool = tool;
    callout->session = session;
    callout->shape = shape;
    callout->mail.open = on_mail;
    callout->home = reactor_inbox(exchange->reactor);
    if (session) {
        callout->run.session_id = session->id;
        atomic_fetch_add_explicit(&session->calls, 1, memory_order_relaxed);
    }
    callout->payload = exchange->gathered;
    exchange->gathered = (struct buffer){0};
    exchange->handler = callout;
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    return callout;
}

/* NULL, or why it cannot be run at all. */
static const struct problem *fault_of(struct exchange *exchange,
                                      const struct invocation_request *request)
{
    static const struct problem shutting_down = {.status = 503,
                                                 .code = "shutting_down",
                                                 .detail = "the gateway is shutting down",
                                                 .retryable = true,
                                                 .retry_after_s = 1};
    static const struct problem not_json = {.status = 415,
                                            .code = "unsupported_media_type",
                                            .detail = "the tool was registered, and takes JSON "
                                                      "arguments only"};
    static const struct problem has_key = {.status = 400,
                                           .code = "invalid_request",
                                           .detail = "the tool was registered, and runs elsewhere: "
                                                     "an idempotency-key cannot be honoured"};
    if (atomic_load(&gateway_of(exchange)->leaving))
        return &shutting_down;
    if (exchange_header(exchange, "idempotency-key").data)
        return &has_key;
    return request->content_type.len ? &not_json : NULL;
}

static void refuse_full(struct exchange *exchange)
{
    unsigned limit = gateway_of(exchange)->callback_options.pending;
    problem_respond(exchange, &(struct problem){.status = 503,
                                                .code = "callbacks_saturated",
                                                .detail = "as many registered tools are run as "
                                                          "callbacks.pending allows",
                                                .retryable = true,
                                                .retry_after_s = 1,
                                                .limit = limit});
}

void callout_start(struct exchange *exchange, const struct invocation_request *request,
                   const struct origin *origin, struct callback_tool *tool, struct session *session,
                   enum result_shape shape)
{
    const struct problem *fault = fault_of(exchange, request);
    struct callout *callout = make_callout(exchange, tool, session, shape);
    describe_run(callout, request, origin);
    if (fault)
        problem_respond(exchange, fault);
    else if (arguments_fit(exchange, tool->offer.schema, tool->offer.name, NULL, request, shape) &&
             !callbacks_run(&callout->run))
        refuse_full(exchange);
}
