#include "server/tool_calls/tool_calls.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "pool/deadlock.h"
#include "server/calls/job.h"
#include "server/calls/outcome.h"
#include "server/requests/gateway.h"
#include "server/telemetry/telemetry.h"
#include "server/telemetry/trace.h"
#include "server/tool_calls/question.h"
#include "server/tools/callbacks.h"
#include "server/tools/toolbox.h"

#include <stdlib.h>

enum { REQUEST_ID_MAX = 128, NAME_SHOWN = 80, LOOP_DETECTED = 508 };

/* --- answering --- */

static void answer(struct tool_request *request)
{
    const struct call_outcome *outcome = &request->call->outcome;
    if (outcome->end == CALL_END_RESULT) {
        tool_request_pass_on(request, outcome);
        return;
    }
    struct arena *arena = arena_new(0);
    struct call_failure failure = outcome_failure(request->call, arena);
    tool_request_fail(request, &failure);
    arena_unref(&arena);
}

/* The nested call has ended. The mail came with a reference. */
static void on_answer(struct mail *mail)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    struct tool_request *request = call->context;
    if (tool_request_end(request))
        answer(request);
    tool_request_unref(request);
    call_unref(&call);
}

/* The parent has ended first. */
static void on_give_up(struct nested *nested)
{
    struct tool_request *request = CONTAINER_OF(nested, struct tool_request, nested);
    atomic_store(&request->given_up, true);
    pool_cancel(request->call->tool->pool, request->call);
    pool_flush(request->call->tool->pool);
    tool_request_unref(request);
}

/* That of the call that asks, or of the span of its that it asks within. */
static struct bytes trace_of(const struct tool_request *request)
{
    const struct tool_call *asked = &request->asked;
    return trace_within(request->parent->traceparent, asked->trace_id, asked->span_id,
                        request->memory);
}

/* --- a tool of a pool --- */

/* A sentence with a name in it, or the beginning of the name. */
static struct bytes text_of(struct arena *arena, const char *before, struct bytes name,
                            const char *after)
{
    size_t len = name.len < NAME_SHOWN ? name.len : NAME_SHOWN;
    while (len < name.len && len > 0 && utf8_is_continuation((unsigned char)name.data[len]))
        len--;
    return bytes_of(arena_printf(arena, "%s\"%.*s\"%s", before, (int)len, name.data, after));
}

/* The parent's, and a number: unique, and it says where the call comes from. */
static struct bytes name_call(struct arena *arena, struct bytes parent, uint64_t number)
{
    const char *text =
        arena_printf(arena, "%.*s.%llu", (int)parent.len, parent.data, (unsigned long long)number);
    struct bytes id = bytes_of(text);
    return id.len > REQUEST_ID_MAX ? bytes_from(id.data + id.len - REQUEST_ID_MAX, REQUEST_ID_MAX)
                                   : id;
}

/* What goes over from the call that asks, which may be gone before this one is sent. */
static void inherit(struct call *call, const struct tool_request *request)
{
    struct call *parent = request->parent;
    call->depth = parent->depth + 1;
    call->root = call_ref(parent->root ? parent->root : parent);
    call->session_id = arena_copy(call->arena, parent->session_id);
    call->session_number = parent->session_number;
    call->correlation_id = arena_copy(call->arena, call_correlation(parent));
    call->traceparent = trace_of(request);
    call->tracestate = arena_copy(call->arena, parent->tracestate);
    call->metadata = arena_copy(call->arena, parent->metadata);
    call->priority = parent->priority;
}

static struct call *make_call(struct tool_request *request, struct tool *tool)
{
    const struct tool_call *asked = &request->asked;
    struct call *call = call_new(request->memory);
    inherit(call, request);
    call->tool = tool;
    call->args = asked->args.len ? asked->args : BYTES("{}");
    call->shared = asked->shared;
    call->content_type = asked->content_type;
    call->idempotent = asked->idempotent || tool->spec.idempotent;
    call->timeout_us = asked->timeout_us;
    call->home = &request->switchboard->answers;
    call->mail.open = on_answer;
    call->context = request;
    return call;
}

/* Its answer may come at once. */
static void submit(struct tool_request *request)
{
    struct call *call = call_ref(request->call);
    struct pool *pool = call->tool->pool;
    tool_request_ref(request); /* to be dropped by on_answer() */
    pool_submit(pool, call);
    if (atomic_load(&request->given_up))
        pool_cancel(pool, call);
    pool_flush(pool);
    call_unref(&call);
}

static struct refusal deadlock(const struct call *call, struct arena *memory)
{
    return (struct refusal){
        .type = "ToolCallDeadlock",
        .code = "tool_call_deadlock",
        .status = LOOP_DETECTED,
        .message =
            text_of(memory, "every worker of the pool ", bytes_of(pool_name(call->tool->pool)),
                    " that may run it (in a strict session: the session's own) waits "
                    "for calls that only such could run")};
}

/* Runs a tool of a pool. False: it is refused, and why. */
static bool run(struct tool_request *request, struct tool *tool, struct refusal *out_why)
{
    uint64_t left_us = 0, number = 0;
    if (!tool_request_suits(request, tool->schema, false, out_why))
        return false;
    struct call *call = request->call = request->nested.call = make_call(request, tool);
    request->nested.give_up = on_give_up;
    const struct refusal *fault = tool_request_begin(request, &left_us, &number);
    if (fault) {
        *out_why = *fault;
        return false;
    }
    call->request_id = name_call(request->memory, request->parent->request_id, number);
    if (call->timeout_us == 0 || call->timeout_us > left_us)
        call->timeout_us = left_us;
    if (!deadlock_closes(call)) {
        submit(request);
        return true;
    }
    *out_why = deadlock(call, request->memory);
    return !tool_request_end(request); /* given up meanwhile: nobody is told */
}

/* --- a tool that was registered --- */

static struct tool_request *request_of(struct callback_run *run)
{
    return CONTAINER_OF(run, struct tool_request, run);
}

static void ref_run(struct callback_run *run)
{
    tool_request_ref(request_of(run));
}

static void unref_run(struct callback_run *run)
{
    tool_request_unref(request_of(run));
}

static void on_callback(struct callback_run *run, const struct callback_answer *answer)
{
    struct tool_request *request = request_of(run);
    if (!tool_request_end(request))
        return;
    if (answer->end == CALLBACK_RESULT)
        tool_request_succeed(request, answer->body, answer->content_type);
    else
        tool_request_refuse(request, &(struct refusal){.type = "ToolError",
                                                       .code = answer->code,
                                                       .status = answer->status,
                                                       .message = answer->message,
                                                       .details = answer->details});
}

static const struct callback_run_ops callback_ops = {
    .on_done = on_callback, .ref = ref_run, .unref = unref_run};

/* The callback has taken longer than it may, or than the tool that asks wants to wait. */
static const struct refusal too_slow = {.type = "TimeoutError",
                                        .code = "callback_timeout",
                                        .status = 504,
                                        .message = BYTES("the callback did not answer in time")};
static const struct refusal too_late = {
    .type = "TimeoutError",
    .code = "deadline_exceeded",
    .status = 504,
    .message = BYTES("the callback did not answer within the time of the call")};

/* The parent has ended first, or it has taken too long. */
static void on_callback_given_up(struct nested *nested)
{
    struct tool_request *request = CONTAINER_OF(nested, struct tool_request, nested);
    if (nested->timed_out)
        tool_request_refuse(request, nested->timeout_us == request->asked.timeout_us ? &too_late
                                                                                     : &too_slow);
    callbacks_cancel(&request->run);
    tool_request_unref(request);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a && a < b ? a : b;
}

static void describe_run(struct tool_request *request)
{
    const struct call *parent = request->parent;
    struct callback_run *run = &request->run;
    run->ops = &callback_ops;
    run->callbacks = request->switchboard->gateway->callbacks;
    run->asker = CALLBACK_OF_TOOL;
    run->args = request->asked.args;
    run->session_id = parent->session_id;
    run->request_id = parent->request_id;
    run->correlation_id = call_correlation(parent);
    run->traceparent = trace_of(request);
    run->tracestate = parent->tracestate;
    run->depth = parent->depth;
}

static const struct refusal *begin_callback(struct tool_request *request)
{
    const struct gateway *gateway = request->switchboard->gateway;
    const struct callback_tool *tool = request->run.tool;
    uint64_t left_us, number,
        limit_us = tool->timeout_us ? tool->timeout_us : gateway->callback_options->timeout_us;
    describe_run(request);
    request->nested.give_up = on_callback_given_up;
    request->nested.timeout_us = least(request->asked.timeout_us, limit_us);
    return tool_request_begin(request, &left_us, &number);
}

/* Takes the reference to the tool. */
static void run_callback(struct tool_request *request, struct callback_tool *tool)
{
    struct refusal unfit;
    const struct refusal *why = &unfit;
    request->run.tool = tool;
    if (tool_request_suits(request, tool->offer.schema, true, &unfit))
        why = begin_callback(request);
    if (why)
        tool_request_refuse(request, why);
    else if (!callbacks_run(&request->run))
        abort(); /* only those of clients are counted */
}

/* --- what is asked for --- */

static const struct refusal too_deep = {
    .type = "ToolCallDepthError",
    .code = "tool_call_depth",
    .status = LOOP_DETECTED,
    .message = BYTES("tools call tools that call tools, deeper than tool_calls.depth allows")};

/* The job of the call that all began with, if its caller brings tools; it lives as long as the
 * request. */
static struct job *asker_of(const struct tool_request *request)
{
    const struct call *parent = request->parent, *root = parent->root ? parent->root : parent;
    struct job *job = job_of(root);
    return job && job->offers ? job : NULL;
}

/* Asks that caller, if it brings the tool. */
static bool ask_caller(struct tool_request *request)
{
    struct job *job = asker_of(request);
    const struct offer *offer = job ? offers_find(job->offers, request->asked.tool) : NULL;
    if (!offer)
        return false;
    tool_request_ref(request);
    question_ask(request, job_ref(job), offer);
    return true;
}

/* Asks a tool that was registered: for the session, or for all. */
static bool call_back(struct tool_request *request, struct session *session, bool of_session)
{
    const struct gateway *gateway = request->switchboard->gateway;
    if (of_session && !session)
        return false;
    struct callback_tool *tool =
        toolbox_find(gateway->toolbox, of_session ? session : NULL, request->asked.tool);
    if (!tool)
        return false;
    run_callback(request, tool);
    return true;
}

/* Of the tools of that name that of the pool of who asks, else the first pool's; NULL: there is
 * none. Writes how many there are. */
static struct tool *closest(const struct tool_request *request, const struct tool_table *table,
                            struct bytes name, size_t *out_count)
{
    struct tool **tools = tool_table_find(table, name, out_count);
    for (size_t i = 0; tools && i < *out_count; i++) {
        if (tools[i]->pool == request->parent->tool->pool)
            return tools[i];
    }
    return tools ? tools[0] : NULL;
}

/* Runs the tool of the pool that was named, and no other. False: it is refused, and why. */
static bool serve_named(struct tool_request *request, struct refusal *out_why)
{
    const struct gateway *gateway = request->switchboard->gateway;
    struct bytes name = request->asked.pool;
    const struct pool *pool = gateway_find_pool(gateway, name);
    struct tool *tool = pool ? registry_find(gateway->registry, request->asked.tool, pool) : NULL;
    if (tool)
        return run(request, tool, out_why);
    *out_why = (struct refusal){.type = "ToolNotFound", .status = 404};
    out_why->code = pool ? "tool_not_found" : "pool_not_found";
    out_why->message =
        pool ? text_of(request->memory, "there is no such tool in the pool ", name, "")
             : text_of(request->memory, "there is no pool named ", name, "");
    return false;
}

/* False: it is refused, and why. */
static bool serve(struct tool_request *request, struct session *session, struct refusal *out_why)
{
    const struct switchboard *switchboard = request->switchboard;
    const struct tool_table *table = registry_table(switchboard->gateway->registry);
    size_t count = 0;
    if (request->parent->depth >= switchboard->options.depth) {
        *out_why = too_deep;
        return false;
    }
    if (request->asked.pool.len)
        return serve_named(request, out_why);
    if (call_back(request, session, true) || ask_caller(request))
        return true;
    struct tool *tool = closest(request, table, request->asked.tool, &count);
    if (tool)
        return run(request, tool, out_why);
    if (call_back(request, session, false))
        return true;
    *out_why = (struct refusal){
        .type = "ToolNotFound",
        .code = "tool_not_found",
        .status = 404,
        .message = text_of(request->memory, "there is no tool named ", request->asked.tool, "")};
    return false;
}

static void add_tool(struct buffer *text, struct bytes name, struct bytes description,
                     struct bytes schema)
{
    buffer_add_string(text, text->len > 1 ? ",{\"name\":" : "{\"name\":");
    buffer_add_json_string(text, name);
    buffer_add_string(text, ",\"description\":");
    buffer_add_json_string(text, description);
    buffer_add_string(text, ",\"parameters\":");
    buffer_add(text, schema);
    buffer_add_string(text, "}");
}

static void add_callbacks(struct buffer *text, const struct tool_request *request,
                          struct session *session)
{
    const struct gateway *gateway = request->switchboard->gateway;
    unsigned most = gateway->callback_options->limit;
    struct callback_tool **tools = mem_array(most, sizeof tools[0]);
    size_t count = toolbox_list(gateway->toolbox, session, tools, most);
    for (size_t i = 0; i < count; i++) {
        const struct offer *offer = &tools[i]->offer;
        add_tool(text, offer->name, offer->description, offer->schema_text);
        callback_tool_unref(&tools[i]);
    }
    free(tools);
}

static void add_offers(struct buffer *text, const struct tool_request *request)
{
    const struct job *job = asker_of(request);
    for (size_t i = 0; job && i < job->offers->count; i++) {
        const struct offer *offer = &job->offers->list[i];
        add_tool(text, offer->name, offer->description, offer->schema_text);
    }
}

/* Where names are the same, the last one is called: the other way round than serve() looks. */
static void list_tools(struct tool_request *request, struct session *session)
{
    const struct tool_table *table = registry_table(request->switchboard->gateway->registry);
    struct buffer text = {0};
    buffer_add_string(&text, "[");
    add_callbacks(&text, request, NULL);
    for (size_t i = 0, same; i < table->count; i += same) {
        const struct tool *tool = closest(request, table, table->sorted[i]->spec.name, &same);
        add_tool(&text, tool->spec.name, tool->spec.description, tool->spec.schema);
    }
    add_offers(&text, request);
    if (session)
        add_callbacks(&text, request, session);
    buffer_add_string(&text, "]");
    tool_request_succeed(request, buffer_bytes(&text), (struct bytes){0});
    buffer_deinit(&text);
}

static const struct call_failure is_over = {.type = BYTES("Cancelled"),
                                            .message = BYTES("the call that asks has ended"),
                                            .code = BYTES("cancelled"),
                                            .status = 499};

static const struct refusal lost_arguments = {
    .type = "ProtocolError",
    .code = "worker_error",
    .status = 500,
    .message = BYTES("the memory that holds the arguments did not come, or is not sealed")};

static const struct refusal ended_session = {
    .type = "SessionNotFound",
    .code = "session_not_found",
    .status = 404,
    .message = BYTES("the session of the call that asks has ended")};

static void take(struct switchboard *switchboard, struct pool *pool, struct worker_ref worker,
                 const struct tool_call *asked, struct arena *memory)
{
    struct refusal why;
    struct session *session;
    struct call *parent = pool_find_call(pool, worker, asked->call_id, &session);
    if (!parent) {
        const struct tool_reply reply = {.id = asked->id, .failure = &is_over};
        switchboard_reply(switchboard, pool, worker, &reply, SWITCHBOARD_REFUSED);
        return;
    }
    struct tool_request *request = tool_request_new(switchboard, parent, worker, asked, memory);
    if (asked->lost)
        tool_request_refuse(request, &lost_arguments);
    else if (session && session_has_ended(session))
        tool_request_refuse(request, &ended_session);
    else if (bytes_equal(asked->tool, BYTES("$tools")))
        list_tools(request, session);
    else if (!serve(request, session, &why))
        tool_request_refuse(request, &why);
    tool_request_unref(request);
    call_unref(&parent);
    session_unref(&session);
}

static void on_tool_calls(void *context, struct pool *pool, struct worker_ref worker,
                          const struct tool_call *calls, size_t count, struct arena *memory)
{
    for (size_t i = 0; i < count; i++) {
        if (calls[i].cancel)
            pool_give_up_nested(pool, worker, calls[i].call_id, calls[i].id);
        else
            take(context, pool, worker, &calls[i], memory);
    }
}

static void on_telemetry(void *context, const struct pool *pool,
                         const struct telemetry_batch *batch)
{
    const struct switchboard *switchboard = context;
    telemetry_take(switchboard->gateway->telemetry, pool_name(pool), batch);
}

struct bridge_port tool_calls_port(struct switchboard *switchboard)
{
    return (struct bridge_port){
        .tool_calls = on_tool_calls, .telemetry = on_telemetry, .context = switchboard};
}
