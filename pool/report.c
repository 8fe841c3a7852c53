#include "pool/report.h"

#include "base/log.h"
#include "pool/affinity.h"
#include "pool/census.h"
#include "pool/death.h"
#include "pool/ending.h"
#include "pool/forecast.h"
#include "pool/inside.h"
#include "pool/recall.h"
#include "pool/removal.h"
#include "pool/renewal.h"
#include "pool/slots.h"
#include "pool/staff.h"
#include "pool/turn.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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
        started = turn_note_started(pool);
        if (pool->state == POOL_FAILED)
            pool->state = POOL_RUNNING;
        pool->reason[0] = '\0';
        staff_ready(pool, worker, now_us, &effects);
    }
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
    if (expected && pool->observer.ops->worker_ready)
        pool->observer.ops->worker_ready(pool->observer.context, id, hello->pid, startup_us);
    if (started)
        turn_tell_started(pool);
    return expected;
}

static const struct call_failure lost_body = {
    .type = BYTES("ProtocolError"),
    .message = BYTES("the memory that holds the result did not come, or is not sealed")};

/* What the worker says of its own time, but not more than it had. */
static uint64_t measured(const struct inflight *entry, const struct worker_answer *from,
                         uint64_t now_us)
{
    uint64_t most_us = now_us - entry->sent_us;
    return from->run_us < most_us ? from->run_us : most_us;
}

static void take_answer(struct call *call, const struct worker_answer *from, struct arena *memory)
{
    call->outcome.body = from->body;
    call->outcome.content_type = from->content_type;
    call->outcome.failure = from->lost ? lost_body : from->failure;
    call->outcome.memory = arena_ref(memory);
    call->outcome.shared = from->shared;
    if (from->shared && !call->root) /* its caller is no worker, and wants bytes */
        shared_close(from->shared);
}

static void end_answered(struct pool *pool, const struct inflight *entry,
                         const struct worker_answer *from, struct arena *memory, uint64_t now_us,
                         struct effects *effects)
{
    struct call *call = entry ? entry->call : NULL;
    enum call_executed executed = from->failed && !from->started ? EXECUTED_NO : EXECUTED_YES;
    bool ran = call && executed == EXECUTED_YES;
    uint64_t run_us = entry ? measured(entry, from, now_us) : 0;
    if (call)
        call->outcome.run_us = run_us;
    if (ran)
        poison_acquit(&pool->poison, call);
    if (ran && !call->window)
        forecast_measure(pool, call->tool, run_us, now_us);
    if (call && now_us >= call->deadline_us) { /* its timer fires soon, but it is too late now */
        ending_give(pool, call, CALL_END_DEADLINE, executed, effects);
    } else if (call) {
        bool failed = from->failed || from->lost;
        take_answer(call, from, memory);
        ending_give(pool, call, failed ? CALL_END_FAILURE : CALL_END_RESULT, executed, effects);
    } else {
        pool->late_answers++;
    }
    if (entry && executed == EXECUTED_YES)
        entry->worker->late = false;
}

/* Whether the worker is done with a call, which it is not with one that it gives back. */
static bool answer(struct pool *pool, struct worker *worker, const struct worker_answer *from,
                   struct arena *memory, uint64_t now_us, struct effects *effects)
{
    struct inflight *entry = worker_find(worker, from->call_id);
    bool done = !entry || !entry->call || !recall_returns(entry, from);
    if (done)
        end_answered(pool, entry, from, memory, now_us, effects);
    else
        recall_end(pool, entry, now_us, effects);
    if (entry) {
        worker->calls_done += done;
        heap_remove(&pool->timers, &entry->grace.node);
        worker_release(worker, entry);
    }
    return done;
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
        size_t done = 0;
        for (size_t i = 0; i < count; i++)
            done += answer(pool, worker, &answers[i], memory, now_us, &effects);
        queue_pace(&pool->queue, done, now_us);
        queue_pace(&worker->waiting, done, now_us);
        slots_reconsider(pool, worker);
        staff_answered(pool, worker, now_us, &effects);
    }
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
}

void pool_worker_batches(struct pool *pool, struct worker_ref ref,
                         const struct worker_batch *batches, size_t count)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        for (size_t i = 0; i < count; i++)
            worker_join(worker, &batches[i]);
        slots_reconsider(pool, worker);
    }
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
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
    bool loud = worker && renewal_wish_early(pool, worker, "wish", now_us);
    turn_end_balancing(pool, now_us, &effects);
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
        bool loud = renewal_wish_early(pool, worker, "memory", now_us);
        turn_end_balancing(pool, now_us, &effects);
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
        removal_lose(pool, worker, why, &effects);
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
}

void pool_worker_stalled(struct pool *pool, struct worker_ref ref, bool stalled)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        worker->stalled = stalled;
        worker->stalled_us = now_us;
        slots_reconsider(pool, worker);
    }
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
}

void pool_worker_loaded(struct pool *pool, struct worker_ref ref, const struct bytes *labels,
                        size_t count)
{
    uint64_t hashes[WORKER_LABELS_MAX];
    unsigned kept = count < WORKER_LABELS_MAX ? (unsigned)count : WORKER_LABELS_MAX;
    for (unsigned i = 0; i < kept; i++)
        hashes[i] = affinity_hash(pool, labels[i]);
    pthread_mutex_lock(&pool->lock);
    struct worker *worker = pool_resolve(pool, ref);
    if (worker) {
        memcpy(worker->loaded, hashes, kept * sizeof hashes[0]);
        worker->loaded_count = kept;
    }
    pthread_mutex_unlock(&pool->lock);
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
        pool->recovered += answer(pool, worker, &left->finished[i], left->memory, now_us, effects);
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
            ending_give_waiting(pool, CALL_END_NO_WORKERS, &effects);
    }
    bool failed = pool->state == POOL_FAILED && before != POOL_FAILED;
    memcpy(reason, pool->reason, sizeof reason);
    effects.flush = true;
    turn_end_pumping(pool, now_us, &effects);
    if (worker && pool->observer.ops->worker_gone)
        pool->observer.ops->worker_gone(pool->observer.context, id, pid, &cause, lost);
    if (failed)
        turn_tell_failed(pool, reason);
}

void pool_fail(struct pool *pool, const char *reason)
{
    struct effects effects;
    pool_enter(pool, &effects);
    snprintf(pool->reason, sizeof pool->reason, "%s", reason);
    if (pool->state != POOL_LEAVING && census_able(pool) == 0) {
        pool->state = POOL_FAILED;
        ending_give_waiting(pool, CALL_END_NO_WORKERS, &effects);
    }
    pool_leave(pool, &effects);
    turn_tell_failed(pool, reason);
}

void pool_is_cold(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->cold = true;
    pthread_mutex_unlock(&pool->lock);
}
