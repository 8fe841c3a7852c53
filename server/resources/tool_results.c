/* POST /calls/{id}/tool_results/{n}: the caller of a stream has run its own tool. */
#include "base/json.h"
#include "server/calls/envelope.h"
#include "server/calls/job.h"
#include "server/calls/lookup.h"
#include "server/http/media.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"
#include "server/tool_calls/question.h"

#include <stdlib.h>

/* What the caller says. */
struct tool_result {
    struct bytes body;
    struct bytes content_type;
    struct bytes error; /* an object, or empty: it went well */
    struct call_failure failure;
};

static const struct member rows[] = {
    {{"result", 6}, MEMBER_VALUE, offsetof(struct tool_result, body), 0},
    {{"error", 5}, MEMBER_OBJECT, offsetof(struct tool_result, error), 0},
};

struct error_members {
    struct bytes type;
    struct bytes message;
    struct bytes code;
    struct bytes details;
    struct member_number status;
};

enum { STATUS_MAX = 599 };

static const struct member error_rows[] = {
    {{"type", 4}, MEMBER_TEXT, offsetof(struct error_members, type), 0},
    {{"message", 7}, MEMBER_VALUE, offsetof(struct error_members, message), 0},
    {{"code", 4}, MEMBER_TEXT, offsetof(struct error_members, code), 0},
    {{"details", 7}, MEMBER_VALUE, offsetof(struct error_members, details), 0},
    {{"status", 6}, MEMBER_NUMBER, offsetof(struct error_members, status), STATUS_MAX},
};

static bool read_error(struct tool_result *result, struct arena *arena, struct member_fault *fault)
{
    struct error_members members = {.type = BYTES("ToolError")};
    uint32_t seen;
    if (!members_read(result->error, error_rows, sizeof error_rows / sizeof error_rows[0], arena,
                      &members, &seen, fault)) {
        fault->pointer = bytes_of(
            arena_printf(arena, "/error%.*s", (int)fault->pointer.len, fault->pointer.data));
        return false;
    }
    if (!members.message.len || json_type_of(members.message.data[0]) != JSON_TYPE_STRING)
        return members_fault(fault, arena, BYTES("error"), "\"error\" needs a text \"message\"");
    result->failure = (struct call_failure){.type = members.type,
                                            .message = json_text(members.message, arena),
                                            .code = members.code,
                                            .details = members.details,
                                            .status = members.status.value};
    return true;
}

static bool read_json(struct exchange *exchange, struct tool_result *result,
                      struct member_fault *fault)
{
    uint32_t seen;
    if (!members_read(exchange_payload(exchange), rows, sizeof rows / sizeof rows[0],
                      exchange->arena, result, &seen, fault))
        return false;
    if (!result->body.len == !result->error.len)
        return members_fault(fault, exchange->arena, BYTES(""),
                             "give either \"result\" or \"error\"");
    return !result->error.len || read_error(result, exchange->arena, fault);
}

/* JSON says how it went; anything else is the result. */
static bool read_result(struct exchange *exchange, struct tool_result *result)
{
    struct bytes type = exchange_header(exchange, "content-type");
    struct member_fault fault;
    *result = (struct tool_result){.body = exchange_payload(exchange), .content_type = type};
    if (type.len && !media_is_json(type) && media_is_plain(type))
        return true;
    *result = (struct tool_result){0};
    if (read_json(exchange, result, &fault))
        return true;
    members_refuse(exchange, 400, &fault);
    return false;
}

static uint64_t number_of(struct bytes text)
{
    uint64_t number = 0;
    if (text.len && text.data[0] == '0')
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || text.len > 18)
            return 0;
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return number;
}

/* False: nobody waits for it any more. */
static bool pass_on(struct tool_request *request, const struct tool_result *result)
{
    bool waits = request && tool_request_end(request);
    if (waits && result->error.len)
        tool_request_fail(request, &result->failure);
    else if (waits)
        tool_request_succeed(request, result->body, result->content_type);
    if (request)
        tool_request_unref(request);
    return waits;
}

void tool_results_post(struct exchange *exchange)
{
    struct tool_result result;
    struct bytes number = route_param(exchange->route, exchange->path, 1, exchange->arena);
    if (!read_result(exchange, &result))
        return;
    struct job *job = lookup_job(exchange);
    struct tool_request *request = job ? question_take(job, number_of(number)) : NULL;
    if (pass_on(request, &result))
        exchange_respond(exchange, &(struct response){.status = 204});
    else
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "tool_call_not_found",
                                                    .detail = "no tool call of that number waits "
                                                              "in a stream of that request id"});
    job_unref(&job);
}
