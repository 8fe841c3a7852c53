#include "server/calls/deferral.h"

#include "base/clock.h"
#include "server/calls/ledger.h"
#include "server/http/document.h"
#include "server/http/media.h"
#include "server/http/percent.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"

enum { WAIT_MAX_S = 86400 };

/* An exchange that waits for a job; in its arena. */
struct deferral {
    struct job_watcher watcher; /* first */
    struct exchange *exchange;  /* NULL once it has ended */
    struct arena *arena;        /* keeps this while the watcher's mail is under way */
    struct job *job;
    struct list place; /* among those of the reactor that wait */
    enum result_shape shape;
    bool is_answered;
    bool is_async;     /* it may be told that the answer will come later */
    uint64_t until_us; /* UINT64_MAX: for the outcome */
};

/* --- what is asked for --- */

/* RFC 7240, 2: a value may stand in quotes. */
static struct bytes without_quotes(struct bytes value)
{
    bool quoted = value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"';
    return quoted ? bytes_from(value.data + 1, value.len - 2) : value;
}

/* "wait=10"; false when it is another preference. One that makes no sense is ignored. */
static bool read_wait(struct bytes preference, uint64_t *out_us)
{
    struct bytes name = media_cut(&preference, '=');
    uint64_t seconds = 0;
    preference = without_quotes(media_cut(&preference, ';'));
    if (!bytes_equal_nocase(name, BYTES("wait")) || preference.len == 0)
        return false;
    for (size_t i = 0; i < preference.len; i++) {
        if (preference.data[i] < '0' || preference.data[i] > '9')
            return false;
        if (seconds < WAIT_MAX_S)
            seconds = seconds * 10 + (uint64_t)(preference.data[i] - '0');
    }
    *out_us = (seconds < WAIT_MAX_S ? seconds : WAIT_MAX_S) * 1000000;
    return true;
}

static void read_prefer(struct bytes text, struct deferral_wish *wish)
{
    while (text.len) {
        struct bytes preference = media_cut(&text, ',');
        struct bytes parameters = preference, name = media_cut(&parameters, ';');
        if (bytes_equal_nocase(name, BYTES("respond-async")))
            wish->is_async = true;
        else
            (void)read_wait(preference, &wish->wait_us);
    }
}

bool deferral_read(struct exchange *exchange, struct deferral_wish *out_wish)
{
    *out_wish = (struct deferral_wish){0};
    read_prefer(exchange_header(exchange, "prefer"), out_wish);
    return idempotency_read(exchange, &out_wish->once);
}

/* --- answering --- */

static struct bytes location_of(struct exchange *exchange, const struct job *job)
{
    struct buffer text = {0};
    buffer_add_string(&text, "/calls/");
    percent_add(&text, job->call->request_id);
    struct bytes copy = arena_copy(exchange->arena, buffer_bytes(&text));
    buffer_deinit(&text);
    return copy;
}

/* RFC 9110, 15.3.3: accepted, and where to look. */
static void answer_later(struct exchange *exchange, const struct job *job, bool is_preference)
{
    struct response response = {.status = 202};
    struct buffer text = {0};
    struct bytes location = location_of(exchange, job);
    buffer_add_string(&text, "{\"request_id\":");
    buffer_add_json_string(&text, job->call->request_id);
    buffer_add_string(&text, ",\"location\":");
    buffer_add_json_string(&text, location);
    buffer_add_string(&text, "}");
    response_header(&response, "content-type", BYTES("application/json"));
    response_header(&response, "location", location);
    response_header(&response, "retry-after", BYTES("1"));
    if (is_preference)
        response_header(&response, "preference-applied", BYTES("respond-async"));
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(&text)));
    buffer_deinit(&text);
    exchange_respond(exchange, &response);
}

static void answer_outcome(struct deferral *deferral, const struct call *call)
{
    deferral->is_answered = true;
    outcome_respond(deferral->exchange, call, deferral->shape);
}

static void answer_too_late(struct exchange *exchange)
{
    problem_respond(exchange, &(struct problem){.status = 504,
                                                .code = "deadline_exceeded",
                                                .category = "timeout",
                                                .detail = "the time of this request is up; the "
                                                          "call that it has joined goes on",
                                                .executed = "maybe",
                                                .retryable = true});
}

/* Nobody waits any longer; the job goes on. */
static void give_up_waiting(struct deferral *deferral)
{
    deferral->is_answered = true;
    if (deferral->is_async)
        answer_later(deferral->exchange, deferral->job, true);
    else
        answer_too_late(deferral->exchange);
}

/* --- coming and going --- */

static void let_go(struct deferral *deferral)
{
    struct arena *arena = deferral->arena;
    job_unref(&deferral->job);
    arena_unref(&arena);
}

static void on_end_of_job(struct mail *mail)
{
    struct deferral *deferral = CONTAINER_OF(mail, struct deferral, watcher.mail);
    job_heard(deferral->job, &deferral->watcher);
    if (!deferral->exchange)
        let_go(deferral);
    else if (!deferral->is_answered)
        answer_outcome(deferral, job_outcome(deferral->job));
}

static void on_end(struct exchange *exchange)
{
    struct deferral *deferral = exchange->handler;
    list_remove(&deferral->place);
    deferral->exchange = NULL;
    if (job_ignore(deferral->job, &deferral->watcher))
        let_go(deferral);
}

/* Takes the reference to the job. A client that leaves does not end it. */
static struct deferral *open_deferral(struct exchange *exchange, struct job *job,
                                      enum result_shape shape)
{
    struct deferral *deferral = arena_zalloc(exchange->arena, sizeof *deferral);
    job_watcher_init(&deferral->watcher, on_end_of_job, reactor_inbox(exchange->reactor));
    list_init(&deferral->place);
    deferral->exchange = exchange;
    deferral->arena = arena_ref(exchange->arena);
    deferral->job = job;
    deferral->shape = shape;
    deferral->until_us = UINT64_MAX;
    exchange->handler = deferral;
    exchange->on_end = on_end;
    return deferral;
}

static struct job *make_job(struct exchange *exchange, struct call *call,
                            const struct deferral_wish *wish, enum result_shape shape)
{
    struct job *job = job_new(call);
    job->is_kept = true;
    job->is_announced = wish->is_async;
    job->shape = shape;
    job->instance = exchange->path;
    idempotency_name(job, &wish->once);
    return job;
}

/* Answers when the job ends, or when the caller has waited for long enough. */
static void await(struct deferral *deferral, const struct deferral_wish *wish, uint64_t wait_us)
{
    struct exchange *exchange = deferral->exchange;
    struct gateway *gateway = gateway_of(exchange);
    deferral->is_async = wish->is_async;
    if (wish->is_async) {
        ledger_announce(gateway->ledger, deferral->job);
        wait_us = wish->wait_us;
    }
    if (wish->is_async && wait_us == 0 && !job_outcome(deferral->job)) {
        give_up_waiting(deferral);
        return;
    }
    if (wish->is_async || wait_us)
        deferral->until_us = clock_now_us() + wait_us;
    list_push_back(gateway_deferrals_of(gateway, exchange->reactor), &deferral->place);
    job_watch(deferral->job, &deferral->watcher);
}

void deferral_join(struct exchange *exchange, struct job *job, const struct deferral_wish *wish,
                   enum result_shape shape)
{
    await(open_deferral(exchange, job, shape), wish, wish->limit_us);
}

void deferral_start(struct exchange *exchange, struct call *call, const struct deferral_wish *wish,
                    enum result_shape shape)
{
    bool joined;
    struct job *job = idempotency_enter(exchange, make_job(exchange, call, wish, shape), &joined);
    if (!job)
        return;
    if (joined) {
        deferral_join(exchange, job, wish, shape);
        return;
    }
    struct deferral *deferral = open_deferral(exchange, job, shape);
    exchange->request_id = job->call->request_id;
    job_start(job);
    await(deferral, wish, 0);
}

void deferral_fetch(struct exchange *exchange, struct job *job)
{
    const struct call *call = job_outcome(job);
    struct deferral *deferral = open_deferral(exchange, job, job->shape);
    deferral->is_answered = true;
    if (call)
        outcome_respond(exchange, call, deferral->shape);
    else
        answer_later(exchange, job, false);
}

void deferral_sweep(struct list *waiting, uint64_t now_us)
{
    LIST_FOREACH (waiting, node, next) {
        struct deferral *deferral = CONTAINER_OF(node, struct deferral, place);
        if (now_us < deferral->until_us || deferral->is_answered)
            continue;
        give_up_waiting(deferral);
    }
}
