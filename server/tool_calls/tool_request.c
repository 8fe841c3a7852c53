#include "server/tool_calls/tool_request.h"

#include "base/json.h"
#include "base/utf8.h"
#include "server/calls/job.h"
#include "server/tools/arguments.h"
#include "server/tools/toolbox.h"

struct tool_request *tool_request_new(struct switchboard *switchboard, struct call *parent,
                                      struct worker_ref worker, const struct tool_call *asked,
                                      struct arena *memory)
{
    struct tool_request *request = arena_zalloc(memory, sizeof *request);
    atomic_init(&request->references, 1);
    request->switchboard = switchboard;
    request->memory = arena_ref(memory);
    request->pool = parent->tool->pool;
    request->worker = worker;
    request->parent = call_ref(parent);
    request->asked = *asked;
    request->nested.id = asked->id;
    list_init(&request->waiting);
    return request;
}

void tool_request_ref(struct tool_request *request)
{
    atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed);
}

void tool_request_unref(struct tool_request *request)
{
    if (atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) != 1)
        return;
    struct arena *memory = request->memory; /* in which it lies */
    call_unref(&request->parent);
    call_unref(&request->call);
    job_unref(&request->job);
    callback_tool_unref(&request->run.tool);
    arena_unref(&memory);
}

/* --- arguments --- */

/* What is no UTF-8, cut short for one, would break the worker's frame. */
static struct bytes clean(struct arena *arena, const char *text)
{
    struct bytes copy = arena_copy(arena, bytes_of(text));
    char *data = (char *)(size_t)copy.data;
    for (size_t at = 0; at < copy.len;) {
        size_t length = utf8_length(data + at, copy.len - at);
        if (length == 0)
            data[at] = '?';
        at += length ? length : 1;
    }
    return copy;
}

static const struct refusal too_large = {.type = "InvalidArguments",
                                         .code = "payload_too_large",
                                         .status = 413,
                                         .message = BYTES("the arguments have more than 64 MiB")};

static bool refuse_type(struct refusal *out_why)
{
    *out_why = (struct refusal){.type = "InvalidArguments",
                                .code = "unsupported_media_type",
                                .status = 415,
                                .message = BYTES("the tool takes JSON arguments only")};
    return false;
}

static bool is_object(struct bytes text, struct json_value *out_value)
{
    return json_check(text, JSON_MAX_DEPTH, out_value, NULL) && out_value->type == JSON_TYPE_OBJECT;
}

bool tool_request_suits(struct tool_request *request, const struct schema *schema, bool json_only,
                        struct refusal *out_why)
{
    struct json_value value;
    struct schema_faults faults;
    struct bytes args = request->asked.args.len ? request->asked.args : BYTES("{}");
    if (args.len > VALUE_MAX_BYTES) {
        *out_why = too_large;
        return false;
    }
    if (request->asked.content_type.len)
        return !json_only || refuse_type(out_why);
    *out_why = (struct refusal){.type = "InvalidArguments",
                                .code = "invalid_arguments",
                                .status = 422,
                                .message = BYTES("the arguments must be a JSON object")};
    if (!is_object(args, &value))
        return false;
    if (!schema || schema_check(schema, value.raw, &faults))
        return true;
    out_why->message = clean(request->memory, arguments_sentence(request->memory, "", &faults));
    out_why->details = arguments_errors(request->memory, "", &faults);
    return false;
}

/* --- beginning and end --- */

static const struct refusal has_ended = {.type = "Cancelled",
                                         .code = "cancelled",
                                         .status = 499,
                                         .message = BYTES("the call that asks has ended")};

static const struct refusal too_many = {
    .type = "TooManyToolCalls",
    .code = "tool_calls_pending",
    .status = 429,
    .message = BYTES("the call waits for as many tools as tool_calls.pending allows")};

const struct refusal *tool_request_begin(struct tool_request *request, uint64_t *out_left_us,
                                         uint64_t *out_number)
{
    unsigned limit = request->switchboard->options.pending;
    tool_request_ref(request);
    enum nested_verdict verdict = nested_begin(request->pool, request->parent, &request->nested,
                                               limit, out_left_us, out_number);
    if (verdict == NESTED_BEGUN)
        return NULL;
    tool_request_unref(request);
    return verdict == NESTED_TOO_MANY ? &too_many : &has_ended;
}

bool tool_request_end(struct tool_request *request)
{
    bool waits = nested_end(request->pool, &request->nested);
    if (waits)
        tool_request_unref(request);
    return waits;
}

static void reply(struct tool_request *request, struct tool_reply reply, enum switchboard_end end)
{
    reply.call_id = request->asked.call_id;
    reply.id = request->asked.id;
    switchboard_reply(request->switchboard, request->pool, request->worker, &reply, end);
}

void tool_request_succeed(struct tool_request *request, struct bytes body,
                          struct bytes content_type)
{
    reply(request, (struct tool_reply){.body = body, .content_type = content_type},
          SWITCHBOARD_RESULT);
}

void tool_request_pass_on(struct tool_request *request, const struct call_outcome *outcome)
{
    reply(request,
          (struct tool_reply){.body = outcome->body,
                              .content_type = outcome->content_type,
                              .shared = outcome->shared,
                              .memory = outcome->memory},
          SWITCHBOARD_RESULT);
}

void tool_request_fail(struct tool_request *request, const struct call_failure *failure)
{
    reply(request, (struct tool_reply){.failure = failure}, SWITCHBOARD_FAILURE);
}

void tool_request_refuse(struct tool_request *request, const struct refusal *why)
{
    const struct call_failure failure = {.type = bytes_of(why->type),
                                         .message = why->message,
                                         .code = bytes_of(why->code),
                                         .details = why->details,
                                         .status = why->status};
    reply(request, (struct tool_reply){.failure = &failure}, SWITCHBOARD_REFUSED);
}
