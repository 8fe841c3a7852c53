#include "server/calls/job.h"

#include "base/json.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "server/calls/outcome.h"
#include "server/calls/runner.h"

#include <stdlib.h>

/* Credit is given back in parts of the window, so that not each value costs a message. */
enum { CREDIT_PART = 4 };

/* How far a reader may be behind and still be told of what costs no credit, in windows. */
enum { BEHIND_WINDOWS = 2 };

/* What a job takes beside its bodies and events, about: the call, its arena, itself. Bytes. */
enum { JOB_OVERHEAD = 8192 };

static void free_job(struct call *call)
{
    struct job *job = call->context;
    event_log_deinit(&job->events);
    offers_free(&job->offers);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

struct job *job_new(struct call *call)
{
    struct job *job = MEM_NEW(struct job);
    job->call = call;
    call->context = job;
    call->on_free = free_job;
    list_init(&job->place);
    list_init(&job->watchers);
    list_init(&job->questions);
    pthread_mutex_init(&job->lock, NULL);
    event_log_init(&job->events);
    return job;
}

struct job *job_of(const struct call *call)
{
    return call->on_free == free_job ? call->context : NULL;
}

struct job *job_ref(struct job *job)
{
    call_ref(job->call);
    return job;
}

void job_unref(struct job **job)
{
    struct call *call = *job ? (*job)->call : NULL;
    *job = NULL;
    call_unref(&call);
}

/* --- telling --- */

static void tell(struct job_watcher *watcher)
{
    if (watcher->posted)
        return;
    watcher->posted = true;
    mailbox_post(watcher->home, &watcher->mail);
}

static void tell_readers(struct job *job)
{
    LIST_FOREACH (&job->events.readers, node, next) {
        struct job_watcher *watcher = CONTAINER_OF(node, struct job_watcher, reader.place);
        if (watcher->hungry)
            tell(watcher);
        watcher->hungry = false;
    }
}

/* --- what the worker emits --- */

static void add_start(struct job *job, const char *worker)
{
    const struct call *call = job->call;
    struct buffer text = {0};
    if (job->events.count > 0)
        return;
    buffer_add_string(&text, "{\"request_id\":");
    buffer_add_json_string(&text, call->request_id);
    buffer_add_string(&text, ",\"tool\":");
    buffer_add_json_string(&text, call->tool->spec.name);
    buffer_printf(&text, ",\"pool\":\"%s\"", pool_name(call->tool->pool));
    if (worker[0])
        buffer_printf(&text, ",\"worker\":\"%s\"", worker);
    if (job->offers)
        offers_write_problems(job->offers, &text);
    buffer_add_string(&text, "}");
    event_log_add(&job->events, EVENT_START, buffer_bytes(&text));
    buffer_deinit(&text);
}

static void add_emission(struct job *job, const struct emission *emission)
{
    static const enum event_kind kinds[] = {[EMISSION_CHUNK] = EVENT_CHUNK,
                                            [EMISSION_PROGRESS] = EVENT_PROGRESS,
                                            [EMISSION_LOG] = EVENT_LOG};
    for (size_t i = 0; i < emission->count && !job->fault; i++) {
        if (json_check(emission->bodies[i], JSON_MAX_DEPTH, NULL, NULL))
            event_log_add(&job->events, kinds[emission->kind], emission->bodies[i]);
        else
            job->fault = "the worker has emitted something that is not JSON";
    }
}

/* What is to be given now of what the worker is owed: nothing, or all of it. */
static uint64_t take_owed(struct job *job)
{
    uint64_t owed = job->events.owed;
    if (owed < job->call->window / CREDIT_PART)
        return 0;
    job->events.owed = 0;
    return owed;
}

static void give(struct job *job, uint64_t credit)
{
    if (credit)
        pool_credit(job->call->tool->pool, job->call, credit);
}

static void hear(struct job *job, const struct emission *emission)
{
    add_start(job, job->call->outcome.worker);
    add_emission(job, emission);
    job->was_heard = true;
    tell_readers(job);
}

/* Nothing comes after the last event, not even what the worker said before it knew of the end. */
static void on_emission(struct call *call, const struct emission *emission)
{
    struct job *job = call->context;
    pthread_mutex_lock(&job->lock);
    if (!job->done)
        hear(job, emission);
    uint64_t credit = take_owed(job);
    bool faulty = job->fault;
    pthread_mutex_unlock(&job->lock);
    if (faulty)
        pool_blame(call->tool->pool, call, job->fault);
    else
        give(job, credit);
    if (credit)
        pool_flush(call->tool->pool);
}

bool job_begin(struct job *job, enum call_state state)
{
    struct call_view view;
    pool_look_at(job->call->tool->pool, job->call, &view);
    pthread_mutex_lock(&job->lock);
    if (view.worker[0] && view.state >= state && !job->done && job->events.count == 0) {
        add_start(job, view.worker);
        tell_readers(job);
    }
    bool begun = job->events.count > 0;
    pthread_mutex_unlock(&job->lock);
    return begun;
}

bool job_tell(struct job *job, enum event_kind kind, struct bytes text)
{
    size_t most = BEHIND_WINDOWS * job->call->window + job->events.keep;
    pthread_mutex_lock(&job->lock);
    bool fits = text.len <= job->call->window && job->events.bytes <= most;
    if (fits) {
        add_start(job, job->call->outcome.worker);
        event_log_add(&job->events, kind, text);
        job->was_heard = true;
        tell_readers(job);
    }
    pthread_mutex_unlock(&job->lock);
    return fits;
}

/* --- the end --- */

/* A result waits in memory until the reader has had all that came before. */
static void limit_result(struct job *job)
{
    struct call_outcome *outcome = &job->call->outcome;
    if (outcome->end != CALL_END_RESULT || outcome->body.len <= job->result_limit)
        return;
    outcome->end = CALL_END_FAILURE;
    outcome->failure = (struct call_failure){
        .type = BYTES("ValueError"),
        .message = BYTES("what the tool returned at the end of its stream is larger than "
                         "streams.result_limit; let it yield that in pieces"),
        .code = BYTES("result_too_large")};
}

static void add_end(struct job *job)
{
    struct buffer text = {0};
    add_start(job, job->call->outcome.worker);
    bool result = outcome_write(job->call, job->instance, &text);
    event_log_add(&job->events, result ? EVENT_DONE : EVENT_ERROR, buffer_bytes(&text));
    buffer_deinit(&text);
}

/* What a tool has said proves that it ran. */
static void note_run(struct job *job)
{
    struct call_outcome *outcome = &job->call->outcome;
    if (job->was_heard && outcome->executed == EXECUTED_MAYBE)
        outcome->executed = EXECUTED_YES;
}

static void on_call_ended(struct mail *mail)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    struct job *job = call->context;
    runner_deliver(call);
    pthread_mutex_lock(&job->lock);
    if (job->is_stream) {
        note_run(job);
        limit_result(job);
        add_end(job);
    }
    if (job->is_kept)
        call_outcome_detach(&call->outcome);
    job->done = true;
    LIST_FOREACH (&job->watchers, node, next) {
        tell(CONTAINER_OF(node, struct job_watcher, place));
    }
    pthread_mutex_unlock(&job->lock);
    if (job->on_done)
        job->on_done(job);
    call_unref(&call);
}

/* --- what is kept of large ones --- */

static const struct call_failure too_large_to_keep = {
    .type = BYTES("ValueError"),
    .message = BYTES("the answer is larger than calls.keep_size and was not kept"),
    .code = BYTES("result_too_large"),
    .status = 500};

/* Of all there were, with the number that it had. */
static void add_last(struct job *digest, uint64_t number)
{
    digest->events.count = number - 1;
    digest->events.keep = SIZE_MAX;
    add_end(digest);
}

/* One that was registered lies with its call. */
static struct tool *tool_for(struct call *digest, struct tool *tool)
{
    if (tool->pool)
        return tool;
    struct tool *copy = arena_zalloc(digest->arena, sizeof *copy);
    copy->spec.name = arena_copy(digest->arena, tool->spec.name);
    return copy;
}

static struct call *digest_call(const struct call *call, bool whole)
{
    struct arena *arena = arena_new(0);
    struct call *digest = call_new(arena);
    digest->tool = tool_for(digest, call->tool);
    digest->request_id = arena_copy(arena, call->request_id);
    digest->session_id = arena_copy(arena, call->session_id);
    digest->idempotent = call->idempotent;
    digest->outcome = call->outcome;
    digest->outcome.memory = NULL;
    if (whole && call->outcome.memory) {
        digest->outcome.memory = arena_ref(call->outcome.memory);
    } else if (!whole) {
        digest->outcome.end = CALL_END_FAILURE;
        digest->outcome.body = digest->outcome.content_type = (struct bytes){0};
        digest->outcome.failure = too_large_to_keep;
    }
    arena_unref(&arena);
    return digest;
}

struct job *job_digest(struct job *job, size_t size)
{
    const struct call_outcome *outcome = &job->call->outcome;
    size_t needed = JOB_OVERHEAD + outcome->body.len + outcome->failure.traceback.len;
    bool lacks = job->is_stream && outcome->end == CALL_END_RESULT; /* what it said before */
    bool whole = !lacks && needed <= size;
    struct job *digest = job_new(digest_call(job->call, whole));
    digest->is_stream = job->is_stream;
    digest->shape = job->shape;
    digest->instance = arena_copy(digest->call->arena, job->instance);
    digest->is_kept = digest->done = true;
    digest->fingerprint = job->fingerprint;
    digest->was_heard = job->was_heard;
    if (digest->is_stream)
        add_last(digest, job->events.count);
    return digest;
}

/* --- for whoever made it --- */

void job_start(struct job *job)
{
    struct call *call = job->call;
    call->mail.open = on_call_ended;
    call->on_emission = on_emission;
    runner_submit(call);
    pthread_mutex_lock(&job->lock);
    job->was_started = true;
    pthread_mutex_unlock(&job->lock);
}

bool job_was_started(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    bool started = job->was_started;
    pthread_mutex_unlock(&job->lock);
    return started;
}

void job_abandon(struct job *job, struct job_watcher *watcher)
{
    pthread_mutex_lock(&job->lock);
    bool followed = !list_empty(&watcher->reader.place);
    event_log_unfollow(&job->events, &watcher->reader);
    bool last = followed && list_empty(&job->events.readers);
    pthread_mutex_unlock(&job->lock);
    if (last && !job->detached)
        job_cancel(job);
}

void job_cancel(struct job *job)
{
    runner_cancel(job->call);
}

const struct call *job_outcome(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    const struct call *call = job->done ? job->call : NULL;
    pthread_mutex_unlock(&job->lock);
    return call;
}

bool job_is_mute(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    bool mute = job->done && !job->was_heard;
    pthread_mutex_unlock(&job->lock);
    return mute;
}

bool job_has_told(struct job *job, uint64_t had)
{
    pthread_mutex_lock(&job->lock);
    bool told = job->done && had >= job->events.count;
    pthread_mutex_unlock(&job->lock);
    return told;
}

size_t job_size(struct job *job)
{
    const struct call *call = job->call;
    pthread_mutex_lock(&job->lock);
    size_t size = JOB_OVERHEAD + job->events.bytes + call->payload.capacity +
                  shared_bytes(call->shared).len + call->outcome.body.len +
                  call->outcome.failure.traceback.len;
    pthread_mutex_unlock(&job->lock);
    return size;
}

/* --- for watchers --- */

void job_watcher_init(struct job_watcher *watcher, void (*open)(struct mail *mail),
                      struct mailbox *home)
{
    *watcher = (struct job_watcher){.mail.open = open, .home = home};
    list_init(&watcher->place);
    list_init(&watcher->reader.place);
}

void job_watch(struct job *job, struct job_watcher *watcher)
{
    pthread_mutex_lock(&job->lock);
    list_push_back(&job->watchers, &watcher->place);
    if (job->done)
        tell(watcher);
    pthread_mutex_unlock(&job->lock);
}

bool job_ignore(struct job *job, struct job_watcher *watcher)
{
    pthread_mutex_lock(&job->lock);
    list_remove(&watcher->place);
    event_log_unfollow(&job->events, &watcher->reader);
    uint64_t credit = take_owed(job);
    bool posted = watcher->posted;
    pthread_mutex_unlock(&job->lock);
    give(job, credit);
    return !posted;
}

void job_heard(struct job *job, struct job_watcher *watcher)
{
    pthread_mutex_lock(&job->lock);
    watcher->posted = false;
    pthread_mutex_unlock(&job->lock);
}

void job_hold(struct job *job, size_t bytes)
{
    pthread_mutex_lock(&job->lock);
    job->events.keep = bytes;
    pthread_mutex_unlock(&job->lock);
}

void job_follow(struct job *job, struct job_watcher *watcher, uint64_t had)
{
    pthread_mutex_lock(&job->lock);
    event_log_follow(&job->events, &watcher->reader, had);
    watcher->hungry = !event_log_waits(&job->events, &watcher->reader);
    if (!watcher->hungry)
        tell(watcher);
    pthread_mutex_unlock(&job->lock);
}

size_t job_read(struct job *job, struct job_watcher *watcher, enum event_format format, char *room,
                size_t size, bool *out_end)
{
    pthread_mutex_lock(&job->lock);
    size_t len = event_log_read(&job->events, &watcher->reader, format, room, size);
    uint64_t credit = take_owed(job);
    watcher->hungry = !event_log_waits(&job->events, &watcher->reader);
    *out_end = job->done && watcher->hungry;
    pthread_mutex_unlock(&job->lock);
    give(job, credit);
    return len;
}
