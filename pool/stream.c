#include "pool/stream.h"

#include "pool/due.h"
#include "pool/grace.h"
#include "pool/inside.h"

/* --- the worker's side --- */

/* False: the worker says more than it may. */
static bool spend(struct call *call, const struct emission *emission)
{
    for (size_t i = 0; i < emission->count; i++) {
        if (call->credit <= 0)
            return false;
        call->credit -= (int64_t)(emission->bodies[i].len + EMISSION_OVERHEAD);
    }
    return true;
}

static void end_broken(struct pool *pool, struct call *call, const char *why, uint64_t now_us,
                       struct effects *effects)
{
    call->outcome.failure = (struct call_failure){
        .type = BYTES("ProtocolError"), .message = bytes_of(why), .code = BYTES("worker_error")};
    grace_begin(pool, call, CALL_END_FAILURE, now_us, effects);
}

/* The call that hears of it, with a reference, or NULL. */
static struct call *take_emission(struct pool *pool, struct worker *worker,
                                  const struct worker_emission *from, uint64_t now_us,
                                  struct effects *effects)
{
    struct inflight *entry = worker ? worker_find(worker, from->call_id) : NULL;
    struct call *call = entry ? entry->call : NULL;
    if (!call || !call->window) {
        pool->late_answers++;
        return NULL;
    }
    const char *fault = from->lost ? "the memory that holds a value did not come, or is not sealed"
                        : spend(call, &from->emission)
                            ? NULL
                            : "the worker emitted more than it was allowed to";
    if (fault) {
        end_broken(pool, call, fault, now_us, effects);
        return NULL;
    }
    if (call->state != CALL_STREAMING)
        call_move(call, CALL_STREAMING);
    pool->emitted[from->emission.kind] += from->emission.count;
    due_idle(pool, call, now_us);
    return call_ref(call);
}

void pool_worker_emits(struct pool *pool, struct worker_ref ref, struct worker_emission *emissions,
                       size_t count)
{
    struct effects effects;
    for (size_t done = 0; done < count;) {
        size_t first = done;
        uint64_t now_us = pool_enter(pool, &effects);
        struct worker *worker = pool_resolve(pool, ref);
        effects.flush = true;
        for (; done < count && !effects_full(&effects); done++)
            emissions[done].call = take_emission(pool, worker, &emissions[done], now_us, &effects);
        pool_leave(pool, &effects);
        for (size_t i = first; i < done; i++) {
            if (emissions[i].call)
                emissions[i].call->on_emission(emissions[i].call, &emissions[i].emission);
            call_unref(&emissions[i].call);
        }
    }
}

/* --- the caller's side --- */

void pool_blame(struct pool *pool, struct call *call, const char *why)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    if (call->inflight) {
        call->outcome.failure = (struct call_failure){.type = BYTES("ProtocolError"),
                                                      .message = bytes_of(why),
                                                      .code = BYTES("invalid_result")};
        grace_begin(pool, call, CALL_END_FAILURE, now_us, &effects);
    }
    pool_leave(pool, &effects);
}

void pool_credit(struct pool *pool, struct call *call, uint64_t bytes)
{
    struct effects effects;
    uint64_t now_us = pool_enter(pool, &effects);
    struct inflight *entry = call->inflight;
    if (entry) {
        call->credit += (int64_t)bytes;
        due_idle(pool, call, now_us);
        effects.credits[0].worker = entry->worker->ref;
        effects.credits[0].call_id = entry->id;
        effects.credits[0].bytes = bytes;
        effects.credit_count = 1;
    }
    pool_leave(pool, &effects);
}
