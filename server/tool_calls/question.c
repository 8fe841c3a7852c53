#include "server/tool_calls/question.h"

#include "base/buffer.h"
#include "base/json.h"
#include "server/calls/job.h"

static struct tool_request *of(struct nested *nested)
{
    return CONTAINER_OF(nested, struct tool_request, nested);
}

/* --- waiting --- */

/* Puts it among those that wait. False: it has been given up already. */
static bool enlist(struct tool_request *request)
{
    struct job *job = request->job;
    pthread_mutex_lock(&job->lock);
    bool waits = !atomic_load(&request->given_up);
    request->number = ++job->asked;
    if (waits)
        list_push_back(&job->questions, &request->waiting);
    pthread_mutex_unlock(&job->lock);
    return waits;
}

/* Takes it from them; true when it was there, and its reference is the caller's. */
static bool delist(struct tool_request *request)
{
    pthread_mutex_lock(&request->job->lock);
    bool waits = !list_empty(&request->waiting);
    list_remove(&request->waiting);
    atomic_store(&request->given_up, true);
    pthread_mutex_unlock(&request->job->lock);
    return waits;
}

static const struct refusal too_late = {
    .type = "TimeoutError",
    .code = "deadline_exceeded",
    .status = 504,
    .message = BYTES("the caller of the stream did not answer in time")};

static void on_give_up(struct nested *nested)
{
    struct tool_request *request = of(nested);
    if (nested->timed_out)
        tool_request_refuse(request, &too_late);
    if (delist(request))
        tool_request_unref(request);
    tool_request_unref(request);
}

struct tool_request *question_take(struct job *job, uint64_t number)
{
    struct tool_request *found = NULL;
    pthread_mutex_lock(&job->lock);
    LIST_FOREACH (&job->questions, node, next) {
        struct tool_request *request = CONTAINER_OF(node, struct tool_request, waiting);
        if (request->number == number)
            found = request;
    }
    if (found)
        list_remove(&found->waiting);
    pthread_mutex_unlock(&job->lock);
    return found;
}

/* --- asking --- */

static const struct refusal too_large = {
    .type = "ToolCallError",
    .code = "payload_too_large",
    .status = 413,
    .message = BYTES("the arguments are larger than streams.window, or the reader of the stream is "
                     "too far behind")};

static bool tell_reader(struct tool_request *request)
{
    struct buffer text = {0};
    struct bytes args = request->asked.args;
    buffer_printf(&text, "{\"id\":%llu,\"name\":", (unsigned long long)request->number);
    buffer_add_json_string(&text, request->asked.tool);
    buffer_add_string(&text, ",\"args\":");
    buffer_add(&text, args.len ? args : BYTES("{}"));
    buffer_add_string(&text, "}");
    bool told = job_tell(request->job, EVENT_TOOL_CALL, buffer_bytes(&text));
    buffer_deinit(&text);
    return told;
}

/* It cannot be asked: whoever takes it out first says so. */
static void withdraw(struct tool_request *request)
{
    if (!delist(request))
        return;
    if (tool_request_end(request))
        tool_request_refuse(request, &too_large);
    tool_request_unref(request);
}

static const struct refusal *begin(struct tool_request *request)
{
    uint64_t left_us, number;
    request->nested.give_up = on_give_up;
    request->nested.timeout_us = request->asked.timeout_us;
    return tool_request_begin(request, &left_us, &number);
}

void question_ask(struct tool_request *request, struct job *job, const struct offer *offer)
{
    struct refusal unfit;
    const struct refusal *why = &unfit;
    request->job = job;
    if (tool_request_suits(request, offer->schema, true, &unfit))
        why = begin(request);
    if (why) {
        tool_request_refuse(request, why);
        tool_request_unref(request);
        return;
    }
    tool_request_ref(request); /* for the list */
    if (!enlist(request))
        tool_request_unref(request);
    else if (!tell_reader(request))
        withdraw(request);
    tool_request_unref(request);
}
