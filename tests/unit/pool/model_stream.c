/* Streams of the shadow: what workers emit, and what their readers take. */
#include "model.h"

enum { BATCH = 4, VALUES = 3 };

/* Each value is the number of its call and its own: none is missing, and none comes twice. */
static struct bytes value_of(struct arena *arena, uint64_t serial, unsigned number)
{
    return bytes_of(arena_printf(arena, "%llu.%u", (unsigned long long)serial, number));
}

static void on_emission(struct call *call, const struct emission *emission)
{
    struct promise *promise = call->context;
    struct arena *arena = arena_new(0);
    for (size_t i = 0; i < emission->count; i++)
        HOLDS(bytes_equal(emission->bodies[i], value_of(arena, promise->serial, ++promise->heard)));
    promise->quiet_since_us = model_now_us;
    arena_unref(&arena);
}

void model_make_stream(struct model *model, struct call *call)
{
    call->window = 1 + roll(model, 3000);
    call->idle_timeout_us = roll(model, 2) ? 0 : 1 + roll(model, 400000);
    call->on_emission = on_emission;
}

/* Whether it may emit these, which it pays for. */
static bool spend(struct job *job, const struct bytes *bodies, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (job->credit <= 0)
            return false;
        job->credit -= (int64_t)(bodies[i].len + EMISSION_OVERHEAD);
    }
    return true;
}

/* What the pool has to make of it. */
static void foresee(struct model *model, struct job *job, const struct emission *emission)
{
    struct promise *promise = job->promise;
    if (!promise || promise->overdrawn || !promise->call->window)
        model->late_answers++;
    else if (spend(job, emission->bodies, (unsigned)emission->count))
        model->emitted[emission->kind] += emission->count;
    else
        promise->overdrawn = true;
}

/* False: it knows better than to emit now, though it may not always. */
static bool prepare(struct model *model, struct job *job, struct arena *arena,
                    struct worker_emission *out_emission)
{
    unsigned count = 1 + roll(model, VALUES);
    struct bytes *bodies = arena_alloc(arena, count * sizeof bodies[0]);
    if (!job->started || (job->credit <= VALUES * 2 * EMISSION_OVERHEAD && roll(model, 30)))
        return false;
    for (unsigned i = 0; i < count; i++)
        bodies[i] = value_of(arena, job->serial, ++job->emitted);
    *out_emission = (struct worker_emission){
        .call_id = job->call_id,
        .emission = {.kind = roll(model, EMISSION_KINDS), .count = count, .bodies = bodies}};
    foresee(model, job, &out_emission->emission);
    return true;
}

void model_emit(struct model *model, struct process *process)
{
    struct worker_emission emissions[BATCH];
    struct arena *arena = arena_new(0);
    unsigned count = 0;
    for (unsigned tries = 0; tries < 3 * BATCH && count < BATCH && process->job_count; tries++) {
        struct job *job = process->jobs[roll(model, process->job_count)];
        count += prepare(model, job, arena, &emissions[count]);
    }
    pool_worker_emits(model->pool, process->ref, emissions, count);
    arena_unref(&arena);
}

void model_read(struct model *model)
{
    if (model->promise_count == 0)
        return;
    struct promise *promise = model->promises[roll(model, model->promise_count)];
    if (!promise->call->window)
        return;
    pool_credit(model->pool, promise->call, 1 + roll(model, 2000));
    promise->quiet_since_us = model_now_us;
}

void model_check_stream(const struct promise *promise)
{
    const struct call *call = promise->call;
    COMPARE(call->state == CALL_STREAMING, ==, promise->heard > 0);
    HOLDS(call->window || promise->heard == 0);
    HOLDS(!promise->overdrawn);
    if (call->window && promise->job)
        COMPARE(call->credit, ==, promise->job->credit);
}
