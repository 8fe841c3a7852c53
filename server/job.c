#include "server/job.h"

#include "base/json.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "server/ledger.h"
#include "server/outcome.h"

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

struct job *job_new(struct ledger *ledger, struct call *call, size_t keep)
{
    struct job *job = MEM_NEW(struct job);
    job->ledger = ledger;
    job->call = call;
    call->context = job;
    call->on_free = free_job;
    list_init(&job->settled);
    list_init(&job->watchers);
    list_init(&job->questions);
    pthread_mutex_init(&job->lock, NULL);
    event_log_init(&job->events, keep);
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

static void tell_follower(struct job *job)
{
    if (!job->follower || !job->hungry)
        return;
    job->hungry = false;
    tell(job->follower);
}

/* --- what the worker emits --- */

static void add_start(struct job *job)
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
    if (call->outcome.worker[0])
        buffer_printf(&text, ",\"worker\":\"%s\"", call->outcome.worker);
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
    add_start(job);
    add_emission(job, emission);
    job->was_heard = true;
    tell_follower(job);
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

bool job_tell(struct job *job, enum event_kind kind, struct bytes text)
{
    size_t most = BEHIND_WINDOWS * job->call->window + job->events.keep;
    pthread_mutex_lock(&job->lock);
    bool fits = text.len <= job->call->window && job->events.bytes <= most;
    if (fits) {
        add_start(job);
        event_log_add(&job->events, kind, text);
        job->was_heard = true;
        tell_follower(job);
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
    add_start(job);
    bool result = outcome_write(job->call, job->instance, &text);
    event_log_add(&job->events, result ? EVENT_DONE : EVENT_ERROR, buffer_bytes(&text));
    buffer_deinit(&text);
}

static void on_call_ended(struct mail *mail)
{
    struct call *call = CONTAINER_OF(mail, struct call, mail);
    struct job *job = call->context;
    pool_deliver(call->tool->pool, call);
    pthread_mutex_lock(&job->lock);
    if (job->is_stream) {
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
    ledger_settle(job->ledger, job);
    call_unref(&call);
}

/* --- what is kept of large ones --- */

static const struct call_failure too_large_to_keep = {
    .type = BYTES("ValueError"),
    .message = BYTES("the answer is larger than calls.keep_size and was not kept"),
    .code = BYTES("result_too_large")};

static struct call *digest_call(const struct call *call, bool whole)
{
    struct arena *arena = arena_new(0);
    struct call *digest = call_new(arena);
    digest->tool = call->tool;
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
    struct job *digest = job_new(job->ledger, digest_call(job->call, whole), 0);
    digest->is_stream = job->is_stream;
    digest->shape = job->shape;
    digest->instance = arena_copy(digest->call->arena, job->instance);
    digest->is_kept = digest->done = true;
    digest->fingerprint = job->fingerprint;
    if (digest->is_stream)
        add_end(digest);
    return digest;
}

/* --- for whoever made it --- */

struct job *job_submit(struct job *job)
{
    struct call *call = job->call;
    struct job *other = ledger_add(job->ledger, job);
    if (other)
        return other;
    call->mail.open = on_call_ended;
    call->on_emission = on_emission;
    pool_submit(call->tool->pool, call);
    return NULL;
}

void job_abandon(struct job *job, struct job_watcher *watcher)
{
    pthread_mutex_lock(&job->lock);
    bool was_followed = job->follower == watcher;
    pthread_mutex_unlock(&job->lock);
    if (was_followed && !job->detached)
        job_cancel(job);
}

void job_cancel(struct job *job)
{
    pool_cancel(job->call->tool->pool, job->call);
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
    if (job->follower == watcher) {
        job->follower = NULL;
        event_log_unfollow(&job->events);
    }
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

void job_follow(struct job *job, struct job_watcher *watcher, uint64_t had)
{
    pthread_mutex_lock(&job->lock);
    struct job_watcher *other = job->follower;
    job->follower = watcher;
    job->hungry = true;
    event_log_follow(&job->events, had);
    if (other)
        tell(other);
    if (event_log_waits(&job->events))
        tell_follower(job);
    pthread_mutex_unlock(&job->lock);
}

size_t job_read(struct job *job, struct job_watcher *watcher, enum event_format format, char *room,
                size_t size, bool *out_end)
{
    size_t len = 0;
    uint64_t credit = 0;
    pthread_mutex_lock(&job->lock);
    *out_end = job->follower != watcher;
    if (!*out_end) {
        len = event_log_read(&job->events, format, room, size);
        credit = take_owed(job);
        *out_end = job->done && !event_log_waits(&job->events);
        job->hungry = !event_log_waits(&job->events);
    }
    pthread_mutex_unlock(&job->lock);
    give(job, credit);
    return len;
}
