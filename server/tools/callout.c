#include "server/tools/callout.h"

#include "server/tools/callbacks.h"

/* In the call's arena. */
struct callout {
    struct tool tool; /* as its call knows it */
    struct arena_hook hook;
    struct callback_run run;
    const struct gateway *gateway;
    struct call *call; /* whose references are those of the run */
};

static struct callout *callout_of(const struct call *call)
{
    return CONTAINER_OF(call->tool, struct callout, tool);
}

static struct call *call_of(struct callback_run *run)
{
    return CONTAINER_OF(run, struct callout, run)->call;
}

static void ref(struct callback_run *run)
{
    call_ref(call_of(run));
}

static void unref(struct callback_run *run)
{
    struct call *call = call_of(run);
    call_unref(&call);
}

/* --- the end --- */

/* A call that is kept for its outcome is no use of its session, nor of its tool, any more. */
static void finish(struct call *call)
{
    callback_tool_unref(&callout_of(call)->run.tool);
    session_unref(&call->session);
    call_ref(call);
    mailbox_post(call->home, &call->mail);
}

/* A callback's own problem document says what the answer is, as a ToolError of Python does; any
 * other status of its says something to the gateway, not to the client. */
static unsigned status_of(const struct callback_answer *answer)
{
    bool chosen = answer->details.len || answer->end != CALLBACK_FAILURE;
    return chosen && answer->status >= 400 && answer->status <= 599 ? answer->status : 502;
}

static void write_outcome(struct call_outcome *outcome, const struct callback_answer *answer)
{
    static const enum call_end ends[] = {
        [CALLBACK_RESULT] = CALL_END_RESULT,       [CALLBACK_FAILURE] = CALL_END_FAILURE,
        [CALLBACK_UNREACHABLE] = CALL_END_FAILURE, [CALLBACK_TIMEOUT] = CALL_END_TIMEOUT,
        [CALLBACK_CANCELLED] = CALL_END_CANCELLED,
    };
    bool result = answer->end == CALLBACK_RESULT;
    struct arena *memory = arena_new(answer->body.len + answer->details.len);
    *outcome = (struct call_outcome){
        .end = ends[answer->end],
        .executed = result ? EXECUTED_YES : answer->executed,
        .body = arena_copy(memory, answer->body),
        .content_type = arena_copy(memory, answer->content_type),
        .failure = {.message = arena_copy(memory, answer->message),
                    .code = arena_copy(memory, bytes_of(answer->code)),
                    .details = arena_copy(memory, answer->details),
                    .status = status_of(answer)},
        .retry_after_s = answer->retry_after_s,
        .attempts = 1,
        .run_us = answer->run_us,
        .memory = memory,
    };
}

static bool is_leaving(const struct call *call)
{
    return atomic_load(&callout_of(call)->gateway->leaving);
}

static void say_full(struct call *call)
{
    call->outcome.end = CALL_END_SATURATED;
    call->outcome.limit = callout_of(call)->gateway->callback_options->pending;
    call->outcome.failure = (struct call_failure){
        .code = BYTES("callbacks_saturated"),
        .message = BYTES("as many registered tools are run as callbacks.pending allows"),
        .status = 503};
}

/* What cut it off, where that was not the callback's own limit. */
static enum call_end end_of(const struct call *call, enum callback_end end, enum call_end otherwise)
{
    if (end == CALLBACK_CANCELLED && is_leaving(call))
        return CALL_END_SHUTDOWN;
    if (end == CALLBACK_TIMEOUT && callout_of(call)->run.timeout_us == call->timeout_us)
        return CALL_END_DEADLINE;
    return otherwise;
}

/* On the courier's thread. */
static void on_done(struct callback_run *run, const struct callback_answer *answer)
{
    struct call *call = call_of(run);
    write_outcome(&call->outcome, answer);
    call->outcome.end = end_of(call, answer->end, call->outcome.end);
    finish(call);
}

/* --- beginning --- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a && (a < b || !b) ? a : b;
}

static void describe_run(struct callout *callout)
{
    static const struct callback_run_ops ops = {.on_done = on_done, .ref = ref, .unref = unref};
    const struct call *call = callout->call;
    const struct callback_tool *tool = callout->run.tool;
    struct callback_run *run = &callout->run;
    run->ops = &ops;
    run->callbacks = callout->gateway->callbacks;
    run->asker = CALLBACK_OF_CLIENT;
    run->args = call->args;
    run->session_id = call->session_id;
    run->request_id = call->request_id;
    run->correlation_id = call_correlation(call);
    run->traceparent = call->traceparent;
    run->tracestate = call->tracestate;
    run->depth = call->depth;
    run->timeout_us =
        least(least(call->timeout_us, call->run_timeout_us),
              tool->timeout_us ? tool->timeout_us : callout->gateway->callback_options->timeout_us);
}

void callout_submit(struct call *call)
{
    struct callout *callout = callout_of(call);
    callout->call = call;
    describe_run(callout);
    if (is_leaving(call))
        call->outcome.end = CALL_END_SHUTDOWN;
    else if (!callbacks_run(&callout->run))
        say_full(call);
    else
        return;
    finish(call);
}

void callout_cancel(struct call *call)
{
    callbacks_cancel(&callout_of(call)->run);
}

bool callout_has_ended(const struct call *call)
{
    return callbacks_has_ended(&callout_of(call)->run);
}

static void release(struct arena_hook *hook)
{
    callback_tool_unref(&CONTAINER_OF(hook, struct callout, hook)->run.tool);
}

struct tool *callout_new(struct arena *arena, const struct gateway *gateway,
                         struct callback_tool *callback)
{
    struct callout *callout = arena_zalloc(arena, sizeof *callout);
    callout->tool.spec.name = arena_copy(arena, callback->offer.name);
    callout->tool.schema = callback->offer.schema;
    callout->gateway = gateway;
    callout->run.tool = callback;
    callout->hook.run = release;
    arena_add_hook(arena, &callout->hook);
    return &callout->tool;
}
