/* POST and GET /stream, GET /calls/{id}/events
 *
 * Nothing is answered before the tool has said something, the call has ended, or a worker has had
 * it for a while, so that a call which is refused, or fails at once, has the status that /execute
 * would give it. */
#include "server/resources/stream.h"

#include "base/clock.h"
#include "server/calls/envelope.h"
#include "server/calls/idempotency.h"
#include "server/calls/invocation.h"
#include "server/calls/job.h"
#include "server/calls/lookup.h"
#include "server/http/media.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"

enum { LAST_ID_MAX = 18 }; /* digits */

/* In the exchange's arena; the reactor's. */
struct stream {
    struct job_watcher watcher; /* first */
    struct exchange *exchange;  /* NULL once it has ended */
    struct arena *arena;        /* keeps this while the watcher's mail is under way */
    struct job *job;
    struct list place; /* among the reactor's streams */
    enum event_format format;
    bool is_answered;
    bool has_begun; /* its first event is there */
    bool comment_due;
    uint64_t until_us; /* it waits, at most; 0: for the end */
    uint64_t begun_us; /* when it began to wait */
    uint64_t spoke_us; /* when something was last sent, or it began to wait */
};

/* --- reading --- */

/* An empty comment; an empty line, which means as little, among lines of JSON, which have no
 * comments, and where there is no room for one. */
static size_t write_comment(enum event_format format, char *room, size_t size)
{
    bool line = format == EVENT_NDJSON || size < 3;
    struct bytes comment = line ? BYTES("\n") : BYTES(":\n\n");
    memcpy(room, comment.data, comment.len);
    return comment.len;
}

static size_t read_events(struct exchange *exchange, char *room, size_t size, bool *out_end)
{
    struct stream *stream = exchange->handler;
    size_t len = job_read(stream->job, &stream->watcher, stream->format, room, size, out_end);
    if (len == 0 && !*out_end && stream->comment_due)
        len = write_comment(stream->format, room, size);
    if (len > 0) {
        stream->comment_due = false;
        stream->spoke_us = clock_now_us();
    }
    return len;
}

static const struct body_source events_source = {.read = read_events};

static void respond(struct exchange *exchange, enum event_format format)
{
    struct response response = {.status = 200, .source = &events_source};
    response_header(&response, "content-type",
                    format == EVENT_SSE ? BYTES("text/event-stream")
                                        : BYTES("application/x-ndjson"));
    /* A proxy that compresses would hold events back. */
    response_header(&response, "cache-control", BYTES("no-cache, no-transform"));
    response_header(&response, "x-accel-buffering", BYTES("no")); /* nginx must not hold it back */
    exchange_respond(exchange, &response);
}

static void answer(struct stream *stream)
{
    stream->is_answered = true;
    respond(stream->exchange, stream->format);
}

/* There are events, or the call has ended. */
static void go_on(struct stream *stream)
{
    const struct call *ended = job_is_mute(stream->job) ? job_outcome(stream->job) : NULL;
    if (stream->is_answered) {
        exchange_more(stream->exchange);
    } else if (ended && ended->outcome.end != CALL_END_RESULT) {
        stream->is_answered = true;
        outcome_respond(stream->exchange, ended, RESULT_ENVELOPE);
    } else {
        answer(stream);
    }
}

/* --- coming and going --- */

static void let_go(struct stream *stream)
{
    struct arena *arena = stream->arena;
    job_unref(&stream->job);
    arena_unref(&arena);
}

static void on_news(struct mail *mail)
{
    struct stream *stream = CONTAINER_OF(mail, struct stream, watcher.mail);
    job_heard(stream->job, &stream->watcher);
    if (stream->exchange)
        go_on(stream);
    else
        let_go(stream);
}

static void on_gone(struct exchange *exchange)
{
    struct stream *stream = exchange->handler;
    job_abandon(stream->job, &stream->watcher);
}

static void on_end(struct exchange *exchange)
{
    struct stream *stream = exchange->handler;
    list_remove(&stream->place);
    stream->exchange = NULL;
    if (job_ignore(stream->job, &stream->watcher))
        let_go(stream);
}

/* Takes the reference to the job. */
static struct stream *open_stream(struct exchange *exchange, struct job *job,
                                  enum event_format format)
{
    struct stream *stream = arena_zalloc(exchange->arena, sizeof *stream);
    job_watcher_init(&stream->watcher, on_news, reactor_inbox(exchange->reactor));
    stream->exchange = exchange;
    stream->arena = arena_ref(exchange->arena);
    stream->job = job;
    stream->format = format;
    stream->begun_us = stream->spoke_us = clock_now_us();
    list_push_back(gateway_streams_of(gateway_of(exchange), exchange->reactor), &stream->place);
    exchange->handler = stream;
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    return stream;
}

/* --- coming back --- */

/* False: it is not a number, and the exchange has been answered. */
static bool read_last_id(struct exchange *exchange, uint64_t *out_id)
{
    struct bytes text = exchange_header(exchange, "last-event-id");
    bool good = text.len <= LAST_ID_MAX;
    *out_id = 0;
    for (size_t i = 0; i < text.len && good; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        *out_id = *out_id * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (!good)
        problem_respond(
            exchange, &(struct problem){.status = 400,
                                        .code = "invalid_request",
                                        .detail = "last-event-id must be the number of an event"});
    return good;
}

/* The exchange gets the events after number `had`. Takes the reference. */
static struct stream *attach(struct exchange *exchange, struct job *job, uint64_t had,
                             enum event_format format)
{
    struct stream *stream = open_stream(exchange, job, format);
    job_watch(job, &stream->watcher);
    job_follow(job, &stream->watcher, had);
    return stream;
}

/* The same for a caller that has had some; `job` may be NULL. When no event is left, 204 keeps an
 * EventSource from asking again. */
static void resume(struct exchange *exchange, struct job *job, uint64_t had,
                   enum event_format format)
{
    bool has_all = job && job_has_told(job, had);
    if (has_all)
        exchange_respond(exchange, &(struct response){.status = 204});
    else if (job && bytes_equal(exchange->method, BYTES("HEAD")))
        respond(exchange, format);
    else if (job)
        answer(attach(exchange, job_ref(job), had, format));
    job_unref(&job);
}

/* --- what is asked for --- */

static bool wants(struct exchange *exchange, const char *type)
{
    return media_accepts(exchange_header(exchange, "accept"), type);
}

/* Lines for who asks for JSON alone, as `curl --json` does. False: the caller takes neither format,
 * and has been told. */
static bool choose_format(struct exchange *exchange, enum event_format *out_format)
{
    static const char *const lines[] = {"application/x-ndjson", "application/ndjson",
                                        "application/jsonl", "application/json"};
    struct bytes accept = exchange_header(exchange, "accept");
    *out_format = EVENT_SSE;
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (media_prefers(accept, lines[i], "text/event-stream"))
            *out_format = EVENT_NDJSON;
    }
    if (*out_format == EVENT_NDJSON || accept.len == 0 || wants(exchange, "text/event-stream"))
        return true;
    if (wants(exchange, lines[0])) {
        *out_format = EVENT_NDJSON;
        return true;
    }
    problem_respond(exchange, &(struct problem){.status = 406,
                                                .code = "not_acceptable",
                                                .detail = "a stream is text/event-stream or "
                                                          "application/x-ndjson"});
    return false;
}

static bool may_stream(struct exchange *exchange, const struct tool *tool)
{
    if (tool->spec.streaming)
        return true;
    problem_respond(exchange, &(struct problem){.status = 501,
                                                .code = "streaming_not_supported",
                                                .category = "validation",
                                                .detail = "the tool does not stream: POST /execute "
                                                          "runs it"});
    return false;
}

/* False: the caller's tools are described wrongly, and it has been told. They and their texts live
 * as long as the call. */
static bool bring_tools(struct exchange *exchange, const struct invocation_request *request,
                        const struct call *call, struct offers **out_offers)
{
    struct member_fault fault;
    if (!request->tools.len)
        return true;
    bool good = offers_read(request->tools, "tools", false, call->arena, out_offers, &fault);
    if (!good)
        members_refuse(exchange, 400, &fault);
    return good;
}

/* A caller with a key means to come back, as one that detaches. NULL: the exchange has been
 * answered. */
static struct job *make_job(struct exchange *exchange, const struct invocation_request *request,
                            const struct origin *origin, const struct idempotency *once)
{
    struct gateway *gateway = gateway_of(exchange);
    struct bytes leaving = request->on_disconnect;
    struct offers *offers = NULL;
    struct call *call = invocation_make(exchange, request, origin, RESULT_ENVELOPE);
    if (!call || !may_stream(exchange, call->tool) ||
        !bring_tools(exchange, request, call, &offers)) {
        call_unref(&call);
        return NULL;
    }
    call->window = gateway->streams->window;
    struct job *job = job_new(call);
    job->is_stream = true;
    job->instance = exchange->path;
    job->result_limit = gateway->streams->result_limit;
    job->detached = leaving.len ? bytes_equal(leaving, BYTES("detach")) : once->key.len > 0;
    job->is_kept = job->detached || once->key.len;
    job->offers = offers;
    idempotency_name(job, once);
    if (job->is_kept)
        job_hold(job, gateway->streams->keep);
    return job;
}

/* It goes on without a reader, who finds it by nothing but what `start` says. */
static bool may_be_lost(const struct job *job)
{
    return job->detached && !job->key.len;
}

/* Of a job that another request began, which may wait for longer than this one. */
static void join(struct exchange *exchange, struct job *job,
                 const struct invocation_request *request, enum event_format format)
{
    struct stream *stream = attach(exchange, job, 0, format);
    if (request->timeout_us)
        stream->until_us = clock_now_us() + request->timeout_us;
}

static void run(struct exchange *exchange, struct job *made,
                const struct invocation_request *request, enum event_format format)
{
    bool joined;
    struct job *job = idempotency_enter(exchange, made, &joined);
    if (!job)
        return;
    if (joined) {
        join(exchange, job, request, format);
        return;
    }
    struct stream *stream = attach(exchange, job, 0, format);
    exchange->request_id = job->call->request_id;
    job_start(job);
    if (may_be_lost(job))
        stream->has_begun = job_begin(job, CALL_DISPATCHED);
}

static void refuse_rest(struct exchange *exchange)
{
    problem_respond(exchange, &(struct problem){.status = 404,
                                                .code = "call_not_found",
                                                .detail = "no stream with that idempotency key "
                                                          "runs or is kept, of which the rest "
                                                          "could come"});
}

/* What there is of a job of the key, in which an older request's is found; or runs it. Who has had
 * a part of it does not want it run again. */
static void run_once(struct exchange *exchange, struct invocation_request *request,
                     struct idempotency *once, uint64_t had, enum event_format format)
{
    struct origin origin;
    struct job *older, *made;
    bool comes_back = once->key.len && exchange_header(exchange, "last-event-id").len;
    if (!invocation_complete(exchange, request, &origin))
        return;
    idempotency_print(exchange, request, origin.metadata, true, once);
    if (!idempotency_recall(exchange, once, &older))
        return;
    if (older && comes_back)
        resume(exchange, older, had, format);
    else if (older)
        join(exchange, older, request, format);
    else if (comes_back)
        refuse_rest(exchange);
    else if ((made = make_job(exchange, request, &origin, once)))
        run(exchange, made, request, format);
}

/* With a key and the number of an event the caller goes on with what it has had a part of. */
static void start(struct exchange *exchange, struct invocation_request *request)
{
    struct idempotency once;
    enum event_format format;
    uint64_t had;
    if (idempotency_read(exchange, &once) && choose_format(exchange, &format) &&
        read_last_id(exchange, &had))
        run_once(exchange, request, &once, had, format);
}

void stream_post(struct exchange *exchange)
{
    struct invocation_request request;
    if (invocation_read(exchange, &request))
        start(exchange, &request);
}

/* An EventSource, which sends no key, reconnects when a stream has ended, too, and must not run the
 * tool again: 204 tells it to stop (WHATWG HTML, 9.2.3). */
void stream_get(struct exchange *exchange)
{
    struct invocation_request request;
    struct member_fault fault;
    if (exchange_header(exchange, "last-event-id").len &&
        !exchange_header(exchange, "idempotency-key").data)
        exchange_respond(exchange, &(struct response){.status = 204});
    else if (!envelope_read_query(exchange->query, exchange->arena, &request, &fault))
        members_refuse(exchange, 400, &fault);
    else
        start(exchange, &request);
}

/* What others read is held from now on, so that no reader takes it from another. */
void stream_events(struct exchange *exchange)
{
    enum event_format format;
    uint64_t had;
    struct job *job = lookup_job(exchange);
    if (!job || !job->is_stream) {
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "call_not_found",
                                                    .category = "pool",
                                                    .detail = "no stream with that request id runs "
                                                              "or is kept"});
    } else if (read_last_id(exchange, &had) && choose_format(exchange, &format)) {
        job_hold(job, gateway_of(exchange)->streams->keep);
        resume(exchange, job_ref(job), had, format);
    }
    job_unref(&job);
}

/* --- silence --- */

/* A call that waits is not begun, so that it can still be refused. */
static void begin(struct stream *stream, uint64_t now_us)
{
    bool at_once = may_be_lost(stream->job);
    uint64_t after_us = gateway_of(stream->exchange)->streams->head_after_us;
    if (!stream->has_begun && (at_once || now_us - stream->begun_us >= after_us))
        stream->has_begun = job_begin(stream->job, at_once ? CALL_DISPATCHED : CALL_RUNNING);
}

static void break_silence(struct stream *stream, uint64_t now_us)
{
    uint64_t limit_us = gateway_of(stream->exchange)->streams->keepalive_us;
    if (limit_us == 0 || now_us - stream->spoke_us < limit_us)
        return;
    stream->comment_due = true;
    if (stream->is_answered)
        exchange_more(stream->exchange);
    else
        answer(stream);
}

/* Whoever has joined a stream and whose own time is up; the stream goes on. */
static void run_out(struct stream *stream)
{
    struct exchange *exchange = stream->exchange;
    stream->until_us = 0;
    if (stream->is_answered) {
        exchange_break(exchange);
        return;
    }
    stream->is_answered = true;
    problem_respond(exchange, &(struct problem){.status = 504,
                                                .code = "deadline_exceeded",
                                                .category = "timeout",
                                                .detail = "the time of this request is up; the "
                                                          "stream that it has joined goes on",
                                                .executed = "maybe",
                                                .retryable = true});
}

void stream_sweep(struct list *streams, uint64_t now_us)
{
    LIST_FOREACH (streams, node, next) {
        struct stream *stream = CONTAINER_OF(node, struct stream, place);
        if (stream->until_us && now_us >= stream->until_us) {
            run_out(stream);
            continue;
        }
        begin(stream, now_us);
        break_silence(stream, now_us);
    }
}
