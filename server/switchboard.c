#include "server/switchboard.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/schema.h"
#include "pool/nested.h"
#include "server/arguments.h"
#include "server/gateway.h"
#include "server/outcome.h"

#include <stdlib.h>

enum { REQUEST_ID_MAX = 128, LOOP_DETECTED = 508 };

struct switchboard {
    struct gateway *gateway;
    struct switchboard_options options;
    struct mailbox answers; /* opened by whoever posts */
    _Atomic uint64_t ends[SWITCHBOARD_ENDS];
};

/* A request that is served, in the arena of the frame that brought it. Its makers and the pool of
 * its parent each have a reference: see nested_begin(). */
struct request {
    struct nested nested; /* first */
    atomic_uint references;
    atomic_bool given_up;
    struct switchboard *switchboard;
    struct pool *pool;        /* of the parent */
    struct worker_ref worker; /* that asked */
    struct call *parent;      /* a reference */
    struct call *call;        /* a reference */
};

static void let_go(struct request *request)
{
    if (atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) != 1)
        return;
    struct call *call = request->call; /* in whose arena the request lies */
    call_unref(&request->parent);
    call_unref(&call);
}

/* --- answering --- */

static void reply(const struct switchboard *switchboard, struct pool *pool,
                  struct worker_ref worker, const struct tool_reply *answer)
{
    bridge_reply(gateway_bridge_of(switchboard->gateway, pool), worker, answer);
}

static void count(struct switchboard *switchboard, enum switchboard_end end)
{
    atomic_fetch_add_explicit(&switchboard->ends[end], 1, memory_order_relaxed);
}

static void answer_failure(struct request *request)
{
    struct arena *arena = arena_new(0);
    struct call_failure failure = outcome_failure(request->call, arena);
    reply(request->switchboard, request->pool, request->worker,
          &(struct tool_reply){.id = request->nested.id, .failure = &failure});
    count(request->switchboard, SWITCHBOARD_FAILURE);
    arena_unref(&arena);
}

static void answer_result(struct request *request)
{
    const struct call_outcome *outcome = &request->call->outcome;
    reply(request->switchboard, request->pool, request->worker,
          &(struct tool_reply){.id = request->nested.id,
                               .body = outcome->body,
                               .content_type = outcome->content_type});
    count(request->switchboard, SWITCHBOARD_RESULT);
}

/* The nested call has ended. The mail came with a reference. */
static void on_answer(struct mail *mail)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    struct request *request = call->context;
    if (nested_end(request->pool, &request->nested)) {
        if (call->outcome.end == CALL_END_RESULT)
            answer_result(request);
        else
            answer_failure(request);
        let_go(request);
    }
    let_go(request);
    call_unref(&call);
}

/* The parent has ended first. */
static void on_give_up(struct nested *nested)
{
    struct request *request = CONTAINER_OF(nested, struct request, nested);
    atomic_store(&request->given_up, true);
    pool_cancel(request->call->tool->pool, request->call);
    pool_flush(request->call->tool->pool);
    let_go(request);
}

static void open_answers(void *context)
{
    struct mail *mail = mailbox_drain(context);
    while (mail) {
        struct mail *next = mail->next;
        mail->open(mail);
        mail = next;
    }
}

/* --- making the call --- */

/* Why a request is refused; texts that live until it is answered. */
struct refusal {
    const char *type;
    const char *code;
    unsigned status;
    struct bytes message;
    struct bytes details;
};

static void refuse(struct switchboard *switchboard, struct pool *pool, struct worker_ref worker,
                   uint64_t id, const struct refusal *why)
{
    const struct call_failure failure = {.type = bytes_of(why->type),
                                         .message = why->message,
                                         .code = bytes_of(why->code),
                                         .details = why->details,
                                         .status = why->status};
    reply(switchboard, pool, worker, &(struct tool_reply){.id = id, .failure = &failure});
    count(switchboard, SWITCHBOARD_REFUSED);
}

/* A sentence with a name in it, which may be anything. */
static struct bytes text_of(struct arena *arena, const char *before, struct bytes name,
                            const char *after)
{
    int len = name.len > 80 ? 80 : (int)name.len;
    return bytes_of(arena_printf(arena, "%s\"%.*s\"%s", before, len, name.data, after));
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
static void inherit(struct call *call, const struct call *parent, struct arena *memory)
{
    struct bytes correlation =
        parent->correlation_id.len ? parent->correlation_id : parent->request_id;
    call->depth = parent->depth + 1;
    call->session_id = arena_copy(memory, parent->session_id);
    call->correlation_id = arena_copy(memory, correlation);
    call->traceparent = arena_copy(memory, parent->traceparent);
    call->tracestate = arena_copy(memory, parent->tracestate);
    call->priority = parent->priority;
}

static struct request *make_request(struct switchboard *switchboard, struct call *parent,
                                    struct worker_ref worker, const struct tool_call *asked,
                                    struct tool *tool, struct arena *memory)
{
    struct request *request = arena_zalloc(memory, sizeof *request);
    struct call *call = call_new(memory);
    atomic_init(&request->references, 2);
    request->switchboard = switchboard;
    request->pool = parent->tool->pool;
    request->worker = worker;
    request->parent = call_ref(parent);
    request->call = request->nested.call = call;
    request->nested.id = asked->id;
    request->nested.give_up = on_give_up;
    inherit(call, parent, memory);
    call->tool = tool;
    call->args = asked->args.len ? asked->args : BYTES("{}");
    call->content_type = asked->content_type;
    call->idempotent = asked->idempotent || tool->spec.idempotent;
    call->home = &switchboard->answers;
    call->mail.open = on_answer;
    call->context = request;
    return request;
}

/* Its answer may come at once. */
static void submit(struct request *request)
{
    struct call *call = call_ref(request->call);
    struct pool *pool = call->tool->pool;
    pool_submit(pool, call);
    if (atomic_load(&request->given_up))
        pool_cancel(pool, call);
    pool_flush(pool);
    call_unref(&call);
}

static const struct refusal too_deep = {
    "ToolCallDepthError",
    "tool_call_depth",
    LOOP_DETECTED,
    BYTES("tools call tools that call tools, deeper than tool_calls.depth allows"),
    {0}};

static struct refusal deadlock(const struct call *call, struct arena *memory)
{
    return (struct refusal){.type = "ToolCallDeadlock",
                            .code = "tool_call_deadlock",
                            .status = LOOP_DETECTED,
                            .message = text_of(memory, "every worker of the pool ",
                                               bytes_of(pool_name(call->tool->pool)),
                                               " waits for calls that only they could run")};
}

/* Begins to wait and submits the call, or lets go of the request. False: it is refused, and why. */
static bool start(struct request *request, const struct tool_call *asked, struct arena *memory,
                  struct refusal *out_why)
{
    struct call *call = request->call;
    uint64_t left_us = 0, number = 0;
    const char *fault = nested_begin(request->pool, request->parent, &request->nested,
                                     request->switchboard->options.pending, &left_us, &number);
    if (fault) {
        *out_why = (struct refusal){.type = "TooManyToolCalls",
                                    .code = "tool_calls_pending",
                                    .status = 429,
                                    .message = bytes_of(fault)};
        let_go(request);
        let_go(request);
        return false;
    }
    call->request_id = name_call(memory, request->parent->request_id, number);
    call->timeout_us =
        asked->timeout_us && asked->timeout_us < left_us ? asked->timeout_us : left_us;
    if (!nested_is_hopeless(call)) {
        submit(request);
        return true;
    }
    *out_why = deadlock(call, memory);
    bool waits = nested_end(request->pool, &request->nested);
    if (waits)
        let_go(request);
    let_go(request);
    return !waits;
}

/* --- what is asked for --- */

/* The tool to run, or NULL and why not. */
static struct tool *resolve(const struct switchboard *switchboard, const struct call *parent,
                            const struct tool_call *asked, struct arena *memory,
                            struct refusal *out_why)
{
    struct tool *tool = registry_find(switchboard->gateway->registry, asked->tool, NULL);
    if (parent->depth >= switchboard->options.depth) {
        *out_why = too_deep;
        return NULL;
    }
    if (!tool)
        *out_why = (struct refusal){"ToolNotFound",
                                    "tool_not_found",
                                    404,
                                    text_of(memory, "there is no tool named ", asked->tool, ""),
                                    {0}};
    return tool;
}

/* False: the arguments are not the tool's, and why. */
static bool fits(const struct tool *tool, const struct tool_call *asked, struct arena *memory,
                 struct refusal *out_why)
{
    struct json_value value;
    struct schema_faults faults;
    *out_why = (struct refusal){"InvalidArguments",
                                "invalid_arguments",
                                422,
                                BYTES("the arguments must be a JSON object"),
                                {0}};
    if (asked->content_type.len || asked->args.len == 0)
        return true;
    if (!json_check(asked->args, JSON_MAX_DEPTH, &value, NULL) || value.type != JSON_TYPE_OBJECT)
        return false;
    if (!tool->schema || schema_check(tool->schema, value.raw, &faults))
        return true;
    out_why->message = bytes_of(arguments_sentence(memory, "", &faults));
    out_why->details = arguments_errors(memory, "", &faults);
    return false;
}

static void list_tools(const struct switchboard *switchboard, struct pool *pool,
                       struct worker_ref worker, uint64_t id)
{
    const struct tool_table *table = registry_table(switchboard->gateway->registry);
    struct buffer text = {0};
    buffer_add_string(&text, "[");
    for (size_t i = 0, same; i < table->count; i += same) {
        const struct tool *tool = tool_table_find(table, table->sorted[i]->spec.name, &same)[0];
        buffer_add_string(&text, i ? ",{\"name\":" : "{\"name\":");
        buffer_add_json_string(&text, tool->spec.name);
        buffer_add_string(&text, ",\"description\":");
        buffer_add_json_string(&text, tool->spec.description);
        buffer_add_string(&text, ",\"parameters\":");
        buffer_add(&text, tool->spec.schema);
        buffer_add_string(&text, "}");
    }
    buffer_add_string(&text, "]");
    reply(switchboard, pool, worker, &(struct tool_reply){.id = id, .body = buffer_bytes(&text)});
    buffer_deinit(&text);
}

/* `parent` still runs, or did a moment ago. */
static void serve(struct switchboard *switchboard, struct call *parent, struct worker_ref worker,
                  const struct tool_call *asked, struct arena *memory)
{
    struct pool *pool = parent->tool->pool;
    struct refusal why;
    struct tool *tool = resolve(switchboard, parent, asked, memory, &why);
    bool fine = tool && fits(tool, asked, memory, &why);
    if (fine)
        fine = start(make_request(switchboard, parent, worker, asked, tool, memory), asked, memory,
                     &why);
    if (!fine)
        refuse(switchboard, pool, worker, asked->id, &why);
}

static const struct refusal is_over = {
    "Cancelled", "cancelled", 499, BYTES("the call that asks has ended"), {0}};

static void on_tool_calls(void *context, struct pool *pool, struct worker_ref worker,
                          const struct tool_call *calls, size_t count, struct arena *memory)
{
    struct switchboard *switchboard = context;
    for (size_t i = 0; i < count; i++) {
        if (calls[i].cancel) {
            pool_give_up_nested(pool, worker, calls[i].call_id, calls[i].id);
            continue;
        }
        struct call *parent = pool_find_call(pool, worker, calls[i].call_id);
        if (!parent)
            refuse(switchboard, pool, worker, calls[i].id, &is_over);
        else if (bytes_equal(calls[i].tool, BYTES("$tools")))
            list_tools(switchboard, pool, worker, calls[i].id);
        else
            serve(switchboard, parent, worker, &calls[i], memory);
        call_unref(&parent);
    }
}

/* --- life --- */

struct switchboard *switchboard_new(struct gateway *gateway,
                                    const struct switchboard_options *options)
{
    struct switchboard *switchboard = MEM_NEW(struct switchboard);
    switchboard->gateway = gateway;
    switchboard->options = *options;
    mailbox_init(&switchboard->answers, open_answers, &switchboard->answers);
    return switchboard;
}

void switchboard_free(struct switchboard **switchboard)
{
    free(*switchboard);
    *switchboard = NULL;
}

struct bridge_port switchboard_port(struct switchboard *switchboard)
{
    return (struct bridge_port){.tool_calls = on_tool_calls, .context = switchboard};
}

uint64_t switchboard_count(const struct switchboard *switchboard, enum switchboard_end end)
{
    return atomic_load_explicit(&switchboard->ends[end], memory_order_relaxed);
}
