#include "pool/pool.h"

#include "base/mem.h"
#include "pool/affinity.h"
#include "pool/demand.h"
#include "pool/due.h"
#include "pool/ending.h"
#include "pool/forecast.h"
#include "pool/grace.h"
#include "pool/inside.h"
#include "pool/limits.h"
#include "pool/renewal.h"
#include "pool/scheduler.h"
#include "pool/staff.h"
#include "pool/turn.h"
#include "pool/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Seconds; from a fast tool's wait to a long model run. */
static const double bounds[] = {.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1,
                                .25,    .5,    1,      2.5,   5,    10,    30,   60,  120,  300};

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
    bool started = turn_note_started(pool);
    turn_end_balancing(pool, now_us, &effects);
    if (started)
        turn_tell_started(pool);
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
    call->turn_us =
        call->root ? call->root->turn_us : now_us + call->priority * pool->options.priority_step_us;
    due_init(call);
    limits_settle(pool, call);
    call->deadline_us = now_us + call->timeout_us;
    if (schedule_refuses(pool, call, now_us, &end)) {
        call->outcome.retry_after_s = forecast_retry_after(pool, call);
        call->outcome.limit = end == CALL_END_SATURATED ? pool->options.queue_limit : 0;
        ending_give(pool, call, end, EXECUTED_NO, &effects);
        pool_leave(pool, &effects);
        return;
    }
    call->number = ++pool->call_count;
    list_push_back(&pool->calls, &call->known);
    waiting_begin(pool, call, now_us);
    turn_end_pumping(pool, now_us, &effects);
}

void pool_flush(struct pool *pool)
{
    pool->runtime->ops->flush(pool->runtime);
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

static void cancel(struct pool *pool, struct call *call, uint64_t now_us, struct effects *effects)
{
    if (call->inflight)
        grace_begin(pool, call, CALL_END_CANCELLED, now_us, effects);
    else if (call->state == CALL_QUEUED)
        ending_give(pool, call, CALL_END_CANCELLED, EXECUTED_NO, effects);
}

void pool_cancel(struct pool *pool, struct call *call)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    cancel(pool, call, now_us, &effects);
    turn_end_pumping(pool, now_us, &effects); /* it may have held up those behind it */
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
    turn_end_pumping(pool, now_us, &effects);
    return found;
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

const char *pool_resize(struct pool *pool, unsigned min_workers, unsigned max_workers,
                        unsigned spare)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    const char *why = demand_limit(pool, min_workers, max_workers, spare);
    bool started = !why && turn_note_started(pool);
    turn_end_balancing(pool, now_us, &effects);
    if (started)
        turn_tell_started(pool);
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
        renewal_wish(worker, "api");
        found = true;
    }
    turn_end_balancing(pool, now_us, &effects);
    return found;
}

void pool_reload(struct pool *pool)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    for (unsigned i = 0; i < pool->seats; i++)
        renewal_wish(&pool->workers[i], "reload");
    pool->reload_number = pool->next_number;
    turn_end_balancing(pool, now_us, &effects);
}

void pool_end_session(struct pool *pool, struct session *session, bool again)
{
    struct worker_ref visited[POOL_MAX_SEATS];
    pthread_mutex_lock(&pool->lock);
    unsigned count = again ? 0 : affinity_visited(pool, session, visited);
    affinity_forget(pool, session);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < count; i++)
        pool->runtime->ops->end_session(pool->runtime, visited[i], session->id);
}

unsigned pool_forgive(struct pool *pool, uint64_t fingerprint)
{
    pthread_mutex_lock(&pool->lock);
    unsigned count = poison_clear(&pool->poison, fingerprint);
    pthread_mutex_unlock(&pool->lock);
    return count;
}
