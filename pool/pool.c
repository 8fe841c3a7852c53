#include "pool/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/inside.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Seconds; from a fast tool's wait to a long model run. */
static const double bounds[] = {.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1,
                                .25,    .5,    1,      2.5,   5,    10,    30,   60,  120,  300};

struct pool_options pool_defaults(void)
{
    return (struct pool_options){
        .name = "default",
        .min_workers = 1,
        .max_workers = 1,
        .queue_limit = 1000,
        .queue_timeout_us = UINT64_C(10000000),
        .run_timeout_us = UINT64_C(300000000),
        .timeout_us = UINT64_C(300000000),
        .stream_timeout_us = UINT64_C(900000000),
        .priority_step_us = 1000000,
        .ahead_budget_us = 1000,
        .cancel_grace_us = UINT64_C(5000000),
        .affinity = AFFINITY_HINT,
        .retry = RETRY_IDEMPOTENT,
        .max_retries = 1,
        .retry_backoff_us = {50000, 100000, 200000, 200000, 200000},
        .taint_us = UINT64_C(60000000),
        .poison_after = 3,
        .poison_ttl_us = UINT64_C(3600000000),
        .breaker_threshold = 5,
        .breaker_open_us = UINT64_C(30000000),
        .recycle_jitter = 10,
        .stop_grace_us = 2000000,
        .target_queue_us = 100000,
        .idle_us = UINT64_C(30000000),
        .now_us = clock_now_us,
    };
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        abort();
    return seed | 1;
}

struct pool *pool_new(const struct pool_options *options, struct registry *registry,
                      struct runtime *runtime, struct observer observer)
{
    struct pool *pool = MEM_NEW(struct pool);
    pool->options = *options;
    snprintf(pool->name, sizeof pool->name, "%s", options->name);
    pool->registry = registry;
    pool->rank = registry_enlist(registry, pool);
    pool->runtime = runtime;
    pool->observer = observer;
    pthread_mutex_init(&pool->lock, NULL);
    pool->seats = POOL_MAX_SEATS;
    pool->workers = mem_array(pool->seats, sizeof(struct worker));
    for (unsigned i = 0; i < pool->seats; i++)
        worker_init(&pool->workers[i], i);
    list_init(&pool->free);
    list_init(&pool->awaited);
    list_init(&pool->calls);
    queue_init(&pool->queue);
    poison_init(&pool->poison, options->poison_after, options->poison_ttl_us);
    pool->breaker = (struct breaker){.threshold = options->breaker_threshold,
                                     .open_us = options->breaker_open_us};
    pool->random = random_seed();
    pool->key = (struct siphash_key){random_seed(), random_seed()};
    pool->cold = true;
    pool->alarm_us = UINT64_MAX;
    histogram_init(&pool->queue_seconds, bounds, sizeof bounds / sizeof bounds[0]);
    histogram_init(&pool->run_seconds, bounds, sizeof bounds / sizeof bounds[0]);
    return pool;
}

void pool_free(struct pool **pool)
{
    struct pool *gone = *pool;
    *pool = NULL;
    if (!gone)
        return;
    heap_deinit(&gone->timers);
    for (unsigned i = 0; i < gone->seats; i++)
        worker_deinit(&gone->workers[i]);
    free(gone->workers);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

const char *pool_name(const struct pool *pool)
{
    return pool->name;
}

uint64_t pool_enter(struct pool *pool, struct effects *effects)
{
    effects_init(effects);
    pthread_mutex_lock(&pool->lock);
    return pool->options.now_us();
}

void pool_leave(struct pool *pool, struct effects *effects)
{
    const struct heap_node *first = heap_first(&pool->timers);
    if (first && first->key < pool->alarm_us)
        pool->alarm_us = effects->alarm_us = first->key;
    pthread_mutex_unlock(&pool->lock);
    effects_apply(effects, pool->runtime);
}

/* Leaves, and comes back as often as there is more to dispatch than one set of effects holds. */
static void leave_pumping(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    while (!schedule_pump(pool, now_us, effects)) {
        pool_leave(pool, effects);
        bool flush = effects->flush;
        now_us = pool_enter(pool, effects);
        effects->flush = flush;
    }
    pool_leave(pool, effects);
}

/* Lets the number of workers follow, as often as there is more to do than one set of effects holds.
 */
static void leave_balancing(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    staff_balance(pool, now_us, effects);
    while (effects_full(effects)) {
        pool_leave(pool, effects);
        now_us = pool_enter(pool, effects);
        staff_balance(pool, now_us, effects);
    }
    effects->flush = true;
    leave_pumping(pool, now_us, effects); /* calls may have lost the only worker they waited for */
}

/* Whether this is the moment at which all first workers are ready. */
static bool note_started(struct pool *pool)
{
    if (pool->state != POOL_STARTING || staff_ready_count(pool) < pool->wanted)
        return false;
    pool->state = POOL_RUNNING;
    return true;
}

static void tell_started(struct pool *pool)
{
    if (pool->observer.ops->pool_started)
        pool->observer.ops->pool_started(pool->observer.context, pool);
}

static void tell_failed(struct pool *pool, const char *reason)
{
    if (pool->observer.ops->pool_failed)
        pool->observer.ops->pool_failed(pool->observer.context, pool, reason);
}

void pool_start(struct pool *pool)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    staff_open(pool, now_us);
    bool started = note_started(pool);
    leave_balancing(pool, now_us, &effects);
    if (started)
        tell_started(pool);
}

void pool_submit(struct pool *pool, struct call *call)
{
    struct effects effects;
    enum call_end end;
    call_ref(call);
    if (call->affinity_key.len)
        call->content = affinity_hash(pool, call->affinity_key);
    uint64_t now_us = pool_enter(pool, &effects);
    call->submitted_us = call->enqueued_us = now_us;
    call->turn_us = now_us + call->priority * pool->options.priority_step_us;
    limits_settle(pool, call);
    call->deadline_us = now_us + call->timeout_us;
    if (schedule_refuses(pool, call, now_us, &end)) {
        call->outcome.retry_after_s = forecast_retry_after(pool, call);
        schedule_end(pool, call, end, EXECUTED_NO, &effects);
        pool_leave(pool, &effects);
        return;
    }
    call->number = ++pool->call_count;
    list_push_back(&pool->calls, &call->known);
    schedule_enqueue(pool, call, false, now_us);
    leave_pumping(pool, now_us, &effects);
}

void pool_flush(struct pool *pool)
{
    pool->runtime->ops->flush(pool->runtime);
}

static void cancel(struct pool *pool, struct call *call, uint64_t now_us, struct effects *effects)
{
    if (call->inflight)
        schedule_give_up(pool, call, CALL_END_CANCELLED, now_us, effects);
    else if (call->state == CALL_QUEUED)
        schedule_end(pool, call, CALL_END_CANCELLED, EXECUTED_NO, effects);
}

void pool_cancel(struct pool *pool, struct call *call)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    cancel(pool, call, now_us, &effects);
    pool_leave(pool, &effects);
}

bool pool_cancel_request(struct pool *pool, struct bytes request_id)
{
    struct effects effects;
    bool found = false;
    uint64_t now_us = pool_enter(pool, &effects);
    LIST_FOREACH (&pool->calls, node, next) {
        struct call *call = CONTAINER_OF(node, struct call, known);
        if (!found && bytes_equal(call->request_id, request_id)) {
            cancel(pool, call, now_us, &effects);
            found = true;
        }
    }
    pool_leave(pool, &effects);
    return found;
}

/* The worker that the reference means, if it is still there. */
struct worker *pool_resolve(struct pool *pool, struct worker_ref ref)
{
    struct worker *worker = ref.seat < pool->seats ? &pool->workers[ref.seat] : NULL;
    return worker && worker_is(worker, ref) ? worker : NULL;
}

bool pool_worker_ready(struct pool *pool, struct worker_ref ref, const struct worker_hello *hello)
{
    struct effects effects;
    char id[WORKER_ID_MAX] = "";
    bool started = false;
    uint64_t startup_us = 0;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    bool expected = worker && worker->state == WORKER_STARTING && !pool->stopped;
    if (expected) {
        worker_ready(worker, hello, now_us);
        startup_us = now_us - worker->started_us;
        memcpy(id, worker->id, sizeof id);
        started = note_started(pool);
        if (pool->state == POOL_FAILED)
            pool->state = POOL_RUNNING;
        pool->reason[0] = '\0';
        staff_ready(pool, worker, now_us, &effects);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
    if (expected && pool->observer.ops->worker_ready)
        pool->observer.ops->worker_ready(pool->observer.context, id, hello->pid, startup_us);
    if (started)
        tell_started(pool);
    return expected;
}

static const struct call_failure lost_body = {
    .type = BYTES("ProtocolError"),
    .message = BYTES("the memory that holds the result did not come, or is not sealed")};

static void take_answer(struct call *call, const struct worker_answer *from, struct arena *memory)
{
    call->outcome.body = from->body;
    call->outcome.content_type = from->content_type;
    call->outcome.failure = from->lost ? lost_body : from->failure;
    call->outcome.run_us = from->run_us;
    call->outcome.memory = arena_ref(memory);
    call->outcome.shared = from->shared;
    if (from->shared && !call->root) /* its caller is no worker, and wants bytes */
        shared_close(from->shared);
}

static void answer(struct pool *pool, struct worker *worker, const struct worker_answer *from,
                   struct arena *memory, uint64_t now_us, struct effects *effects)
{
    struct inflight *entry = worker_find(worker, from->call_id);
    struct call *call = entry ? entry->call : NULL;
    enum call_executed executed = from->failed && !from->started ? EXECUTED_NO : EXECUTED_YES;
    bool ran = call && executed == EXECUTED_YES;
    if (ran)
        poison_acquit(&pool->poison, call);
    if (ran && !call->window)
        forecast_measure(pool, call->tool, from->run_us, now_us);
    if (call && now_us >= call->deadline_us) { /* its timer fires soon, but it is too late now */
        call->outcome.run_us = from->run_us;
        schedule_end(pool, call, CALL_END_DEADLINE, executed, effects);
    } else if (call) {
        bool failed = from->failed || from->lost;
        take_answer(call, from, memory);
        schedule_end(pool, call, failed ? CALL_END_FAILURE : CALL_END_RESULT, executed, effects);
    } else {
        pool->late_answers++;
    }
    if (entry) {
        worker->calls_done++;
        heap_remove(&pool->timers, &entry->grace.node);
        worker_release(worker, entry);
    }
}

void pool_deliver(struct pool *pool, struct call *call)
{
    struct call_outcome *outcome = &call->outcome;
    bool answered = outcome->end == CALL_END_RESULT || outcome->end == CALL_END_FAILURE;
    if (!answered || pool->options.now_us() < call->deadline_us)
        return;
    outcome->end = CALL_END_DEADLINE;
    outcome->body = (struct bytes){0};
    pthread_mutex_lock(&pool->lock);
    pool->late_answers++;
    pthread_mutex_unlock(&pool->lock);
}

void pool_worker_answers(struct pool *pool, struct worker_ref ref,
                         const struct worker_answer *answers, size_t count, struct arena *memory)
{
    struct effects effects;
    if (count == 0)
        return;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        for (size_t i = 0; i < count; i++)
            answer(pool, worker, &answers[i], memory, now_us, &effects);
        queue_pace(&pool->queue, count, now_us);
        queue_pace(&worker->waiting, count, now_us);
        schedule_reconsider(pool, worker);
        staff_answered(pool, worker, now_us, &effects);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
}

static void complain(const struct pool *pool, const char *why)
{
    log_event(LOG_WARNING,
              "workers are to be replaced before they were given a call: new ones start slowly",
              LOG_STR("pool", pool->name), LOG_STR("reason", why), LOG_END);
}

void pool_worker_wishes(struct pool *pool, struct worker_ref ref)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    bool loud = worker && staff_retire_early(pool, worker, "wish", now_us);
    leave_balancing(pool, now_us, &effects);
    if (loud)
        complain(pool, "a tool or its adapter asked for it");
}

void pool_worker_measured(struct pool *pool, struct worker_ref ref, uint64_t resident)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    uint64_t most = pool->options.worker_max_resident;
    struct worker *worker = pool_resolve(pool, ref);
    if (worker)
        worker->resident = resident;
    if (worker && worker->state == WORKER_READY && most && resident > most) {
        bool loud = staff_retire_early(pool, worker, "memory", now_us);
        leave_balancing(pool, now_us, &effects);
        if (loud)
            complain(pool, "they need more memory than recycle.max_memory");
    } else {
        pool_leave(pool, &effects);
    }
}

void pool_worker_lost(struct pool *pool, struct worker_ref ref, const char *why)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker && !worker->leaving && !worker->lost)
        staff_lose(pool, worker, why, &effects);
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
}

void pool_worker_stalled(struct pool *pool, struct worker_ref ref, bool stalled)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        worker->stalled = stalled;
        schedule_reconsider(pool, worker);
    }
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
}

/* What the dead worker had finished, but had not got out. Most of what it left was answered; and of
 * a stream the last values may be missing. */
static void recover(struct pool *pool, struct worker *worker, const struct started_calls *left,
                    uint64_t now_us, struct effects *effects)
{
    for (unsigned i = 0; i < left->finished_count; i++) {
        const struct inflight *entry = worker_find(worker, left->finished[i].call_id);
        if (!entry || !entry->call || entry->call->window)
            continue;
        answer(pool, worker, &left->finished[i], left->memory, now_us, effects);
        pool->recovered++;
    }
}

void pool_worker_gone(struct pool *pool, struct worker_ref ref, const struct worker_exit *exit,
                      const struct started_calls *started)
{
    struct effects effects;
    struct worker_exit cause = *exit;
    char id[WORKER_ID_MAX] = "", reason[sizeof pool->reason];
    int pid = 0;
    unsigned lost = 0;
    uint64_t now_us = pool_enter(pool, &effects);
    enum pool_state before = pool->state;
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        memcpy(id, worker->id, sizeof id);
        pid = worker->pid;
        cause.expected = exit->expected || worker->leaving;
        cause.why = exit->signal == SIGKILL && !exit->outside ? worker->killed_for : NULL;
        recover(pool, worker, started, now_us, &effects);
        lost = death_settle(pool, worker, &cause, started, now_us, &effects);
        if (pool->state == POOL_FAILED)
            schedule_end_queued(pool, CALL_END_NO_WORKERS, &effects);
    }
    bool failed = pool->state == POOL_FAILED && before != POOL_FAILED;
    memcpy(reason, pool->reason, sizeof reason);
    effects.flush = true;
    leave_pumping(pool, now_us, &effects);
    if (worker && pool->observer.ops->worker_gone)
        pool->observer.ops->worker_gone(pool->observer.context, id, pid, &cause, lost);
    if (failed)
        tell_failed(pool, reason);
}

void pool_fail(struct pool *pool, const char *reason)
{
    struct effects effects;
    pool_enter(pool, &effects);
    snprintf(pool->reason, sizeof pool->reason, "%s", reason);
    if (pool->state != POOL_LEAVING && staff_able_count(pool) == 0) {
        pool->state = POOL_FAILED;
        schedule_end_queued(pool, CALL_END_NO_WORKERS, &effects);
    }
    pool_leave(pool, &effects);
    tell_failed(pool, reason);
}

uint64_t pool_tick(struct pool *pool)
{
    struct effects effects;
    uint64_t next_us;
    bool more;
    do {
        uint64_t now_us = pool_enter(pool, &effects);
        effects.flush = true;
        struct heap_node *first = heap_first(&pool->timers);
        while (first && first->key <= now_us && !effects_full(&effects)) {
            struct pool_timer *timer = CONTAINER_OF(first, struct pool_timer, node);
            heap_remove(&pool->timers, first);
            timer->fire(pool, timer, now_us, &effects);
            first = heap_first(&pool->timers);
        }
        more = !schedule_pump(pool, now_us, &effects);
        first = heap_first(&pool->timers);
        more = more || (first && first->key <= now_us);
        next_us = pool->alarm_us = first ? first->key : UINT64_MAX;
        pool_leave(pool, &effects);
    } while (more);
    return next_us;
}

static unsigned unless_kept(unsigned given, unsigned present)
{
    return given == POOL_KEEP ? present : given;
}

/* NULL, or why not. */
static const char *set_size(struct pool *pool, unsigned min_workers, unsigned max_workers,
                            unsigned spare)
{
    struct pool_options *options = &pool->options;
    min_workers = unless_kept(min_workers, options->min_workers);
    max_workers = unless_kept(max_workers, options->max_workers);
    spare = unless_kept(spare, options->spare);
    if (max_workers < 1 || max_workers > POOL_MAX_WORKERS)
        return "max must be from 1 to 150";
    if (min_workers > max_workers)
        return "min must not be above max";
    if (spare > max_workers)
        return "spare must not be above max";
    options->min_workers = min_workers;
    options->max_workers = max_workers;
    options->spare = spare;
    if (pool->wanted < min_workers)
        pool->wanted = min_workers;
    if (pool->wanted > max_workers)
        pool->wanted = max_workers;
    return NULL;
}

const char *pool_resize(struct pool *pool, unsigned min_workers, unsigned max_workers,
                        unsigned spare)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    const char *why = set_size(pool, min_workers, max_workers, spare);
    bool started = !why && note_started(pool);
    leave_balancing(pool, now_us, &effects);
    if (started)
        tell_started(pool);
    return why;
}

bool pool_recycle(struct pool *pool, struct bytes worker_id)
{
    struct effects effects;
    bool found = false;
    uint64_t now_us = pool_enter(pool, &effects);
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (worker->state == WORKER_VACANT || !bytes_equal(bytes_of(worker->id), worker_id))
            continue;
        staff_retire(worker, "api");
        found = true;
    }
    leave_balancing(pool, now_us, &effects);
    return found;
}

void pool_reload(struct pool *pool)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    for (unsigned i = 0; i < pool->seats; i++)
        staff_retire(&pool->workers[i], "reload");
    pool->reload_number = pool->next_number;
    leave_balancing(pool, now_us, &effects);
}

void pool_is_cold(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->cold = true;
    pthread_mutex_unlock(&pool->lock);
}

unsigned pool_forgive(struct pool *pool, uint64_t fingerprint)
{
    pthread_mutex_lock(&pool->lock);
    unsigned count = poison_clear(&pool->poison, fingerprint);
    pthread_mutex_unlock(&pool->lock);
    return count;
}
