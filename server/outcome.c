#include "server/outcome.h"

#include "base/json.h"
#include "pool/pool.h"
#include "server/gateway.h"
#include "server/media.h"
#include "server/problem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { RESULT_MAX_DEPTH = JSON_MAX_DEPTH, CODE_MAX = 64 };

static const char *executed_name(enum call_executed executed)
{
    static const char *const names[] = {
        [EXECUTED_NO] = "no", [EXECUTED_MAYBE] = "maybe", [EXECUTED_YES] = "yes"};
    return names[executed];
}

const char *outcome_end_name(enum call_end end)
{
    static const char *const names[CALL_ENDS] = {
        [CALL_END_RESULT] = "result",
        [CALL_END_FAILURE] = "failure",
        [CALL_END_CRASH] = "worker_crash",
        [CALL_END_SATURATED] = "pool_saturated",
        [CALL_END_QUEUE_TIMEOUT] = "queue_timeout",
        [CALL_END_TIMEOUT] = "timeout",
        [CALL_END_STREAM_IDLE] = "stream_idle_timeout",
        [CALL_END_DEADLINE] = "deadline",
        [CALL_END_CANCELLED] = "cancelled",
        [CALL_END_NO_WORKERS] = "no_workers",
        [CALL_END_UNREACHABLE] = "deadline_unreachable",
        [CALL_END_CIRCUIT_OPEN] = "circuit_open",
        [CALL_END_POISON] = "poison",
        [CALL_END_SHUTDOWN] = "shutdown",
    };
    return names[end];
}

/* --- results --- */

static struct bytes printed(struct exchange *exchange, const char *text)
{
    return arena_copy(exchange->arena, bytes_of(text));
}

#define MS_FORMAT "%llu.%03llu"
#define MS(us) (unsigned long long)((us) / 1000), (unsigned long long)((us) % 1000)

static void add_timing(struct exchange *exchange, struct response *response,
                       const struct call_outcome *outcome)
{
    char text[96];
    snprintf(text, sizeof text, "queue;dur=" MS_FORMAT ", run;dur=" MS_FORMAT,
             MS(outcome->queue_us), MS(outcome->run_us));
    response_header(response, "server-timing", printed(exchange, text));
}

static struct bytes meta(const struct invocation *invocation)
{
    const struct call_outcome *outcome = &invocation->call->outcome;
    char text[512];
    snprintf(text, sizeof text,
             ",\"meta\":{\"request_id\":\"%.*s\",\"worker\":\"%s\",\"pool\":\"%s\",\"attempts\":%u,"
             "\"queue_ms\":" MS_FORMAT ",\"run_ms\":" MS_FORMAT "}}",
             (int)invocation->call->request_id.len, invocation->call->request_id.data,
             outcome->worker, pool_name(invocation->call->tool->pool), outcome->attempts,
             MS(outcome->queue_us), MS(outcome->run_us));
    return printed(invocation->exchange, text);
}

/* A content type comes from Python and goes into a header: only what cannot end the line is let
 * through. */
static struct bytes safe_content_type(struct bytes type)
{
    bool good = media_is_plain(type) && memchr(type.data, '/', type.len);
    return good ? type : BYTES("application/octet-stream");
}

static void respond_binary(const struct invocation *invocation)
{
    const struct call_outcome *outcome = &invocation->call->outcome;
    struct response response = {.status = 200};
    response_header(&response, "content-type", safe_content_type(outcome->content_type));
    add_timing(invocation->exchange, &response, outcome);
    response_header(&response, "x-snakepit-worker", bytes_of(outcome->worker));
    response_part(&response, outcome->body);
    exchange_respond(invocation->exchange, &response);
}

static void respond_json(const struct invocation *invocation)
{
    const struct call_outcome *outcome = &invocation->call->outcome;
    struct response response = {.status = 200};
    if (!json_check(outcome->body, RESULT_MAX_DEPTH, NULL, NULL)) {
        problem_respond(invocation->exchange,
                        &(struct problem){.status = 500,
                                          .code = "invalid_result",
                                          .category = "python_error",
                                          .detail = "the worker's result is not JSON",
                                          .executed = "yes"});
        return;
    }
    response_header(&response, "content-type", BYTES("application/json"));
    add_timing(invocation->exchange, &response, outcome);
    response_header(&response, "x-snakepit-worker", bytes_of(outcome->worker));
    if (invocation->shape == INVOCATION_ENVELOPE) {
        response_part(&response, BYTES("{\"result\":"));
        response_part(&response, outcome->body);
        response_part(&response, meta(invocation));
    } else {
        response_part(&response, outcome->body);
    }
    exchange_respond(invocation->exchange, &response);
}

/* --- problems --- */

/* What every problem of a call says: the tool, the pool, and how many workers it was given to. */
static void add_place(struct buffer *members, const struct call *call)
{
    buffer_add_string(members, "\"tool\":");
    buffer_add_json_string(members, call->tool->spec.name);
    buffer_printf(members, ",\"pool\":\"%s\"", pool_name(call->tool->pool));
    if (call->session_id.len) {
        buffer_add_string(members, ",\"session_id\":");
        buffer_add_json_string(members, call->session_id);
    }
    if (call->outcome.attempts)
        buffer_printf(members, ",\"attempts\":%u", call->outcome.attempts);
}

/* Another try does no harm. */
static bool is_repeatable(const struct call *call)
{
    return call->outcome.executed == EXECUTED_NO || call->idempotent;
}

static void respond_problem(const struct invocation *invocation, struct problem *problem,
                            struct buffer *members)
{
    problem->members = buffer_bytes(members);
    problem_respond(invocation->exchange, problem);
    buffer_deinit(members);
}

static bool is_object(struct bytes text)
{
    struct json_value value;
    return text.len && json_check(text, JSON_MAX_DEPTH, &value, NULL) &&
           value.type == JSON_TYPE_OBJECT;
}

static void add_python(struct buffer *members, const struct call_failure *failure)
{
    buffer_add_string(members, ",\"python\":{\"type\":");
    buffer_add_json_string(members, failure->type);
    buffer_add_string(members, ",\"message\":");
    buffer_add_json_string(members, failure->message);
    buffer_add_string(members, ",\"traceback\":");
    buffer_add_json_string(members, failure->traceback);
    if (is_object(failure->context)) {
        buffer_add_string(members, ",\"context\":");
        buffer_add(members, failure->context);
    }
    buffer_add_string(members, "}");
    if (failure->details.len && json_check(failure->details, JSON_MAX_DEPTH, NULL, NULL)) {
        buffer_add_string(members, ",\"details\":");
        buffer_add(members, failure->details);
    }
}

/* A code that the tool chose, if it looks like one. */
static const char *tool_code(struct exchange *exchange, struct bytes code)
{
    bool good = code.len > 0 && code.len <= CODE_MAX && code.data[0] >= 'a' && code.data[0] <= 'z';
    for (size_t i = 0; good && i < code.len; i++) {
        char c = code.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return good ? arena_string(exchange->arena, code) : "python_error";
}

/* What the SDK refused before the tool's code was entered is the caller's fault; the rest is
 * Python's. */
static void respond_failure(const struct invocation *invocation)
{
    const struct call *call = invocation->call;
    const struct call_failure *failure = &call->outcome.failure;
    bool started = call->outcome.executed != EXECUTED_NO;
    bool cancelled = bytes_equal(failure->code, BYTES("cancelled"));
    unsigned status = failure->status >= 400 && failure->status <= 599 ? failure->status
                      : cancelled                                      ? 499
                                                                       : 500;
    struct buffer members = {0};
    add_place(&members, call);
    if (started)
        add_python(&members, failure);
    struct problem problem = {
        .status = status,
        .code = tool_code(invocation->exchange, failure->code),
        .detail = arena_string(invocation->exchange->arena, failure->message),
        .category = started        ? "python_error"
                    : status < 500 ? "validation"
                                   : "worker",
        .executed = executed_name(call->outcome.executed),
        .retryable = status == 503,
        .retry_after_s = status == 503 ? 1 : 0,
    };
    respond_problem(invocation, &problem, &members);
}

static void respond_crash(const struct invocation *invocation)
{
    const struct call *call = invocation->call;
    const struct worker_exit *crash = &call->outcome.crash;
    const char *abbreviation = crash->signal ? sigabbrev_np(crash->signal) : NULL;
    struct buffer members = {0};
    add_place(&members, call);
    buffer_printf(&members, ",\"crash\":{\"classification\":\"%s\"", crash->cause);
    if (abbreviation)
        buffer_printf(&members, ",\"signal\":\"SIG%s\",\"exit_code\":null}", abbreviation);
    else if (crash->signal)
        buffer_printf(&members, ",\"signal\":\"SIG%d\",\"exit_code\":null}", crash->signal);
    else
        buffer_printf(&members, ",\"signal\":null,\"exit_code\":%d}", crash->code);
    struct problem problem = {
        .status = 502,
        .code = "worker_crash",
        .category = "worker",
        .detail = arena_printf(invocation->exchange->arena, "worker %s died (%s%s) with this call",
                               call->outcome.worker, abbreviation ? "SIG" : crash->cause,
                               abbreviation ? abbreviation : ""),
        .executed = executed_name(call->outcome.executed),
        .retryable = is_repeatable(call),
    };
    respond_problem(invocation, &problem, &members);
}

/* Ends that say nothing but their name; `retryable` if another try can succeed and does no harm. */
#define PLAIN_END(status_, code_, category_, retryable_, detail_)                                  \
    {                                                                                              \
        .status = (status_), .code = (code_), .category = (category_), .retryable = (retryable_),  \
        .detail = (detail_)                                                                        \
    }

static const struct problem plain_ends[CALL_ENDS] = {
    [CALL_END_SATURATED] = PLAIN_END(503, "pool_saturated", "pool", true, "the queue is full"),
    [CALL_END_QUEUE_TIMEOUT] =
        PLAIN_END(503, "queue_timeout", "timeout", true, "no worker became free in time"),
    [CALL_END_TIMEOUT] =
        PLAIN_END(504, "worker_timeout", "timeout", true, "the tool did not answer in time"),
    [CALL_END_STREAM_IDLE] = PLAIN_END(504, "stream_idle_timeout", "timeout", true,
                                       "the tool emitted nothing for too long"),
    [CALL_END_DEADLINE] =
        PLAIN_END(504, "deadline_exceeded", "timeout", true, "the call's time in all is up"),
    [CALL_END_UNREACHABLE] = PLAIN_END(503, "deadline_unreachable", "pool", true,
                                       "the deadline cannot be met: too many calls wait"),
    [CALL_END_CIRCUIT_OPEN] =
        PLAIN_END(503, "circuit_open", "pool", true, "the pool lost too many calls in a row"),
    [CALL_END_POISON] = PLAIN_END(422, "poison_request", "worker", false,
                                  "the same request has killed workers before; it is listed in "
                                  "/pools/{name}/poison and can be cleared there"),
    [CALL_END_CANCELLED] = PLAIN_END(499, "cancelled", "worker", false, "the call was cancelled"),
    [CALL_END_NO_WORKERS] =
        PLAIN_END(503, "no_workers_available", "pool", true, "the pool cannot start workers"),
    [CALL_END_SHUTDOWN] =
        PLAIN_END(503, "shutting_down", "pool", true, "the gateway is shutting down"),
};

static void respond_plain(const struct invocation *invocation)
{
    const struct call_outcome *outcome = &invocation->call->outcome;
    struct buffer members = {0};
    struct problem problem = plain_ends[outcome->end];
    add_place(&members, invocation->call);
    problem.executed = executed_name(outcome->executed);
    problem.retryable &= is_repeatable(invocation->call);
    if (problem.status == 503)
        problem.retry_after_s = outcome->retry_after_s ? outcome->retry_after_s : 1;
    if (outcome->end == CALL_END_SATURATED) {
        struct pool_view view;
        pool_look(invocation->call->tool->pool, &view);
        problem.limit = view.queue_limit;
    }
    respond_problem(invocation, &problem, &members);
}

void outcome_respond(struct invocation *invocation)
{
    const struct call_outcome *outcome = &invocation->call->outcome;
    switch (outcome->end) {
    case CALL_END_RESULT:
        if (outcome->content_type.len)
            respond_binary(invocation);
        else
            respond_json(invocation);
        return;
    case CALL_END_FAILURE:
        respond_failure(invocation);
        return;
    case CALL_END_CRASH:
        respond_crash(invocation);
        return;
    case CALL_END_SATURATED:
    case CALL_END_QUEUE_TIMEOUT:
    case CALL_END_TIMEOUT:
    case CALL_END_STREAM_IDLE:
    case CALL_END_DEADLINE:
    case CALL_END_UNREACHABLE:
    case CALL_END_CIRCUIT_OPEN:
    case CALL_END_POISON:
    case CALL_END_CANCELLED:
    case CALL_END_NO_WORKERS:
    case CALL_END_SHUTDOWN:
        respond_plain(invocation);
        return;
    }
}
