#include "server/calls/outcome.h"

#include "base/json.h"
#include "pool/pool.h"
#include "server/http/exchange.h"
#include "server/http/media.h"
#include "server/http/problem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { RESULT_MAX_DEPTH = JSON_MAX_DEPTH };

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
        [CALL_END_SESSION_LOST] = "session_lost",
        [CALL_END_WORKER_BUSY] = "worker_busy",
        [CALL_END_SHUTDOWN] = "shutdown",
    };
    return names[end];
}

/* --- results --- */

#define MS_FORMAT "%llu.%03llu"
#define MS(us) (unsigned long long)((us) / 1000), (unsigned long long)((us) % 1000)

/* A result that is what the worker should have sent. */
static bool is_result(const struct call *call)
{
    const struct call_outcome *outcome = &call->outcome;
    return outcome->end == CALL_END_RESULT &&
           (outcome->content_type.len || json_check(outcome->body, RESULT_MAX_DEPTH, NULL, NULL));
}

/* What follows the result, to the end of the object. */
enum { META_MAX = 512 };
static struct bytes print_meta(const struct call *call, char room[META_MAX])
{
    const struct call_outcome *outcome = &call->outcome;
    const struct pool *pool = call->tool->pool;
    int len = snprintf(room, META_MAX, ",\"meta\":{\"request_id\":\"%.*s\"",
                       (int)call->request_id.len, call->request_id.data);
    len += pool ? snprintf(room + len, META_MAX - (size_t)len, ",\"worker\":\"%s\",\"pool\":\"%s\"",
                           outcome->worker, pool_name(pool))
                : snprintf(room + len, META_MAX - (size_t)len, ",\"callback\":true");
    len += snprintf(room + len, META_MAX - (size_t)len,
                    ",\"attempts\":%u,\"queue_ms\":" MS_FORMAT ",\"run_ms\":" MS_FORMAT "}}",
                    outcome->attempts, MS(outcome->queue_us), MS(outcome->run_us));
    return bytes_from(room, (size_t)len);
}

static void add_timing(struct exchange *exchange, struct response *response,
                       const struct call_outcome *outcome)
{
    char text[96];
    snprintf(text, sizeof text, "queue;dur=" MS_FORMAT ", run;dur=" MS_FORMAT,
             MS(outcome->queue_us), MS(outcome->run_us));
    response_header(response, "server-timing", arena_copy(exchange->arena, bytes_of(text)));
}

static void respond_result(struct exchange *exchange, const struct call *call,
                           enum result_shape shape)
{
    const struct call_outcome *outcome = &call->outcome;
    struct response response = {.status = 200};
    response_header(&response, "content-type", media_safe(outcome->content_type));
    add_timing(exchange, &response, outcome);
    if (outcome->worker[0])
        response_header(&response, "x-snakepit-worker", bytes_of(outcome->worker));
    if (shape == RESULT_ENVELOPE && outcome->content_type.len == 0) {
        char room[META_MAX];
        response_part(&response, BYTES("{\"result\":"));
        response_part(&response, outcome->body);
        response_part(&response, arena_copy(exchange->arena, print_meta(call, room)));
    } else {
        response_part(&response, outcome->body);
    }
    exchange_respond(exchange, &response);
}

/* --- problems --- */

/* What every problem of a call says: the tool, the pool, and how many workers it was given to. */
static void add_place(struct buffer *members, const struct call *call)
{
    buffer_add_string(members, "\"tool\":");
    buffer_add_json_string(members, call->tool->spec.name);
    if (call->tool->pool)
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
}

static void add_details(struct buffer *members, struct bytes details)
{
    if (!details.len || !json_check(details, JSON_MAX_DEPTH, NULL, NULL))
        return;
    buffer_add_string(members, ",\"details\":");
    buffer_add(members, details);
}

/* What was wrong with arguments that only the worker could read. */
static void add_errors(struct buffer *members, struct bytes details)
{
    struct json_value value;
    if (!details.len || !json_check(details, JSON_MAX_DEPTH, &value, NULL) ||
        value.type != JSON_TYPE_ARRAY)
        return;
    buffer_add_string(members, ",\"errors\":");
    buffer_add(members, details);
}

/* A code that the tool chose, if it looks like one. */
static const char *tool_code(struct arena *arena, struct bytes code, const char *otherwise)
{
    return problem_code(code) ? arena_string(arena, code) : otherwise;
}

/* What the SDK refused before the tool's code was entered is the caller's fault; the rest is
 * Python's. */
static struct problem of_failure(const struct call *call, struct arena *arena,
                                 struct buffer *members)
{
    const struct call_failure *failure = &call->outcome.failure;
    bool started = call->outcome.executed != EXECUTED_NO;
    bool cancelled = bytes_equal(failure->code, BYTES("cancelled"));
    unsigned status = failure->status >= 400 && failure->status <= 599 ? failure->status
                      : cancelled                                      ? 499
                                                                       : 500;
    if (started) {
        add_python(members, failure);
        add_details(members, failure->details);
    } else {
        add_errors(members, failure->details);
    }
    return (struct problem){
        .status = status,
        .code = tool_code(arena, failure->code, "python_error"),
        .detail = arena_string(arena, failure->message),
        .category = started        ? "python_error"
                    : status < 500 ? "validation"
                                   : "worker",
        .executed = executed_name(call->outcome.executed),
        .retryable = status == 503,
        .retry_after_s = status == 503 ? 1 : 0,
    };
}

static struct problem of_crash(const struct call *call, struct arena *arena, struct buffer *members)
{
    const struct worker_exit *crash = &call->outcome.crash;
    const char *abbreviation = crash->signal ? sigabbrev_np(crash->signal) : NULL;
    buffer_printf(members, ",\"crash\":{\"classification\":\"%s\"", crash->cause);
    if (abbreviation)
        buffer_printf(members, ",\"signal\":\"SIG%s\",\"exit_code\":null", abbreviation);
    else if (crash->signal)
        buffer_printf(members, ",\"signal\":\"SIG%d\",\"exit_code\":null", crash->signal);
    else
        buffer_printf(members, ",\"signal\":null,\"exit_code\":%d", crash->code);
    if (crash->why)
        buffer_printf(members, ",\"reason\":\"%s\"", crash->why);
    buffer_add_string(members, "}");
    return (struct problem){
        .status = 502,
        .code = "worker_crash",
        .category = "worker",
        .detail =
            arena_printf(arena, "worker %s died (%s%s) with this call%s%s", call->outcome.worker,
                         abbreviation ? "SIG" : crash->cause, abbreviation ? abbreviation : "",
                         crash->why ? ": " : "", crash->why ? crash->why : ""),
        .executed = executed_name(call->outcome.executed),
        .retryable = is_repeatable(call),
    };
}

/* Ends that say nothing but their name; `retryable` if another try can succeed and does no harm. */
#define PLAIN_END(status_, code_, category_, retryable_, detail_)                                  \
    {                                                                                              \
        .status = (status_), .code = (code_), .category = (category_), .retryable = (retryable_),  \
        .detail = (detail_)                                                                        \
    }

static const struct problem plain_ends[CALL_ENDS] = {
    [CALL_END_RESULT] =
        PLAIN_END(500, "invalid_result", "python_error", false, "the worker's result is not JSON"),
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
                                       "the deadline cannot be met: too many calls "
                                       "wait, or the tool takes longer"),
    [CALL_END_CIRCUIT_OPEN] = PLAIN_END(503, "circuit_open", "pool", true,
                                        "the pool lost too many workers or calls in a row"),
    [CALL_END_POISON] = PLAIN_END(422, "poison_request", "worker", false,
                                  "the same request has killed workers before; it is listed in "
                                  "/pools/{name}/poison and can be cleared there"),
    [CALL_END_CANCELLED] = PLAIN_END(499, "cancelled", "worker", false, "the call was cancelled"),
    [CALL_END_NO_WORKERS] =
        PLAIN_END(503, "no_workers_available", "pool", true, "the pool cannot start workers"),
    [CALL_END_SESSION_LOST] =
        PLAIN_END(410, "session_lost", "worker", false,
                  "the session's worker is gone, and what it knew; the next call begins anew"),
    [CALL_END_WORKER_BUSY] =
        PLAIN_END(503, "worker_busy", "pool", true, "the session's worker is busy"),
    [CALL_END_SHUTDOWN] =
        PLAIN_END(503, "shutting_down", "pool", true, "the gateway is shutting down"),
};

static struct problem of_plain_end(const struct call *call)
{
    const struct call_outcome *outcome = &call->outcome;
    struct problem problem = plain_ends[outcome->end];
    problem.executed = executed_name(outcome->executed);
    problem.retryable &= is_repeatable(call);
    if (problem.status == 503)
        problem.retry_after_s = outcome->retry_after_s ? outcome->retry_after_s : 1;
    problem.limit = outcome->limit;
    return problem;
}

/* Of a tool that was registered: the callback, or what was wrong with it, has said it all. */
static struct problem of_callout(const struct call *call, struct arena *arena,
                                 struct buffer *members)
{
    const struct call_outcome *outcome = &call->outcome;
    unsigned status = outcome->failure.status;
    unsigned wait_s = outcome->retry_after_s ? outcome->retry_after_s : status == 503;
    bool again = wait_s || outcome->executed == EXECUTED_NO;
    add_details(members, outcome->failure.details);
    return (struct problem){
        .status = status,
        .code = tool_code(arena, outcome->failure.code, "callback_failed"),
        .detail = arena_string(arena, outcome->failure.message),
        .category = outcome->end == CALL_END_TIMEOUT     ? "timeout"
                    : outcome->end == CALL_END_SATURATED ? "pool"
                                                         : "worker",
        .executed = executed_name(outcome->executed),
        .retryable = again,
        .retry_after_s = wait_s,
        .limit = outcome->limit,
    };
}

/* Its run was refused, or came to an end by itself; other ends are the gateway's. */
static bool is_of_callout(const struct call *call)
{
    enum call_end end = call->outcome.end;
    return !call->tool->pool &&
           (end == CALL_END_FAILURE || end == CALL_END_TIMEOUT || end == CALL_END_SATURATED);
}

/* `members` are the problem's, texts of it in `arena`. */
static struct problem problem_of(const struct call *call, struct arena *arena,
                                 struct buffer *members)
{
    struct problem problem;
    add_place(members, call);
    if (is_of_callout(call))
        problem = of_callout(call, arena, members);
    else if (call->outcome.end == CALL_END_FAILURE)
        problem = of_failure(call, arena, members);
    else if (call->outcome.end == CALL_END_CRASH)
        problem = of_crash(call, arena, members);
    else
        problem = of_plain_end(call);
    problem.members = buffer_bytes(members);
    return problem;
}

/* --- for all --- */

void outcome_respond(struct exchange *exchange, const struct call *call, enum result_shape shape)
{
    if (is_result(call)) {
        respond_result(exchange, call, shape);
        return;
    }
    struct buffer members = {0};
    struct problem problem = problem_of(call, exchange->arena, &members);
    problem_respond(exchange, &problem);
    buffer_deinit(&members);
}

static void write_problem(const struct call *call, struct bytes instance, struct buffer *out_text)
{
    struct arena *arena = arena_new(0);
    struct buffer members = {0};
    struct problem problem = problem_of(call, arena, &members);
    problem_write(&problem, instance, call->request_id, out_text);
    buffer_deinit(&members);
    arena_unref(&arena);
}

struct call_failure outcome_failure(const struct call *call, struct arena *arena)
{
    struct buffer members = {0};
    struct problem problem = problem_of(call, arena, &members);
    struct call_failure failure = call->outcome.failure;
    failure.code = bytes_of(problem.code);
    failure.status = problem.status;
    if (call->outcome.end != CALL_END_FAILURE) {
        failure.message = bytes_of(problem.detail);
        failure.details = bytes_of(arena_printf(arena, "{%.*s}", (int)members.len, members.data));
    }
    buffer_deinit(&members);
    return failure;
}

/* Bytes, as the SDK tags those that stand within other values. */
static void add_tagged_bytes(struct buffer *text, const struct call_outcome *outcome)
{
    buffer_add_string(text, "{\"__type__\":\"bytes\",\"__schema__\":1,\"data\":\"");
    buffer_add_base64(text, outcome->body);
    buffer_add_string(text, "\"");
    if (!bytes_equal(outcome->content_type, BYTES("application/octet-stream"))) {
        buffer_add_string(text, ",\"content_type\":");
        buffer_add_json_string(text, outcome->content_type);
    }
    buffer_add_string(text, "}");
}

bool outcome_write(const struct call *call, struct bytes instance, struct buffer *out_text)
{
    char room[META_MAX];
    if (!is_result(call)) {
        write_problem(call, instance, out_text);
        return false;
    }
    buffer_add_string(out_text, "{\"result\":");
    if (call->outcome.content_type.len)
        add_tagged_bytes(out_text, &call->outcome);
    else
        buffer_add(out_text, call->outcome.body);
    buffer_add(out_text, print_meta(call, room));
    return true;
}
