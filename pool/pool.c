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
    pool->rank = registry_enlist(registry, pool, pool->name);
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

void pool_start(struct pool *pool)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    staff_open(pool, now_us);
    bool started = pool_note_started(pool);
    pool_leave_balancing(pool, now_us, &effects);
    if (started)
        pool_tell_started(pool);
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
    pool_leave_pumping(pool, now_us, &effects);
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
    pool_tell_failed(pool, reason);
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
    bool started = !why && pool_note_started(pool);
    pool_leave_balancing(pool, now_us, &effects);
    if (started)
        pool_tell_started(pool);
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
    pool_leave_balancing(pool, now_us, &effects);
    return found;
}

void pool_reload(struct pool *pool)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    for (unsigned i = 0; i < pool->seats; i++)
        staff_retire(&pool->workers[i], "reload");
    pool->reload_number = pool->next_number;
    pool_leave_balancing(pool, now_us, &effects);
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
