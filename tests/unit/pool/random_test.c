/* The pool under the dice. Every step is one of the things that can happen to a pool; after each,
 * model_check() holds it against the shadow. A seed that fails does so again: SEED=n runs it alone.
 */
#include "model.h"

#include "../base/run.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEPS = 6000 };
#else
enum { STEPS = 50000 };
#endif
enum { SEEDS = 24, LAST_STEPS = 300 };

static struct model model;

/* --- what callers do --- */

/* Some calls belong to one of a few sessions, some are about something. */
static void choose_session(struct promise *promise, struct call *call, struct arena *arena)
{
    if (roll(&model, 4) == 0)
        call->affinity_key = model_print(arena, roll(&model, 6));
    if (roll(&model, 3))
        return;
    promise->session = 1 + roll(&model, MODEL_SESSIONS);
    call->affinity = roll(&model, 4) ? AFFINITY_UNSAID : roll(&model, AFFINITIES);
    const struct session_wish wish = {.id = model_print(arena, promise->session),
                                      .affinity = roll(&model, AFFINITIES)};
    if (session_open(model.sessions, &wish, &call->session) == SESSION_MADE)
        model.instances[promise->session]++;
    promise->instance = model.instances[promise->session];
    enum affinity mode = call->affinity ? call->affinity : call->session->affinity;
    promise->strict = (mode ? mode : model.pool->options.affinity) != AFFINITY_HINT;
}

static void end_session(void)
{
    char id[8];
    snprintf(id, sizeof id, "%u", 1 + roll(&model, MODEL_SESSIONS));
    session_delete(model.sessions, bytes_of(id));
}

static void submit(void)
{
    if (model.promise_count == MODEL_CALLS)
        return;
    struct promise *promise = model_promise(&model);
    choose_session(promise, promise->call, promise->call->arena);
    if (roll(&model, 3) == 0)
        model_make_stream(&model, promise->call);
    model_submit(&model, promise);
}

static void cancel(void)
{
    if (model.promise_count == 0)
        return;
    struct promise *promise = model.promises[roll(&model, model.promise_count)];
    promise->cancelled = true;
    promise->abandoned = promise->call->state == CALL_QUEUED;
    if (roll(&model, 2))
        pool_cancel(model.pool, promise->call);
    else
        HOLDS(pool_cancel_request(model.pool, promise->call->request_id));
    COMPARE(promise->call->state, ==, CALL_DONE);
}

/* --- what workers do --- */

/* A live process from a random seat on, or NULL. */
static struct process *any_process(bool ready)
{
    unsigned first = roll(&model, MODEL_SEATS);
    for (unsigned i = 0; i < MODEL_SEATS; i++) {
        struct process *process = &model.processes[(first + i) % MODEL_SEATS];
        if (process->alive && process->ready == ready)
            return process;
    }
    return NULL;
}

static void attach(void)
{
    struct process *process = any_process(false);
    if (!process)
        return;
    const struct worker_hello hello = {.pid = 1,
                                       .slots = roll(&model, 2) ? 1 : 1 + roll(&model, 6)};
    bool wanted = model.pool->workers[process->ref.seat].state == WORKER_STARTING;
    process->ready = wanted && !model.stopped;
    process->slots = hello.slots;
    COMPARE(pool_worker_ready(model.pool, process->ref, &hello), ==, process->ready);
    if (!process->ready)
        model_kill(&model, process, true);
}

/* Starts what there are slots for, mostly. */
static void work(struct process *process)
{
    unsigned running = 0;
    for (unsigned i = 0; i < process->job_count; i++) {
        struct job *job = process->jobs[i];
        if (!job->started && !job->told && running < process->slots && roll(&model, 8))
            job->started = true;
        running += job->started;
    }
}

static struct worker_answer answer_of(struct arena *memory, const struct job *job)
{
    struct worker_answer answer = {.call_id = job->call_id, .started = job->started};
    answer.failed = !job->started || roll(&model, 4) == 0;
    answer.run_us = roll(&model, 3) ? roll(&model, 100) : roll(&model, 100000);
    if (answer.failed)
        answer.failure.message = model_print(memory, job->serial);
    else
        answer.body = model_print(memory, job->serial);
    return answer;
}

/* What a worker says of a job, with which it is done. */
static void end_job(struct process *process, struct job *job)
{
    struct promise *promise = job->promise;
    if (promise && job->started)
        model_acquit(&model, promise->text);
    model.late_answers += promise == NULL;
    model.recalled += promise && !job->started;
    model_forget_job(process, job);
}

/* Some of those that started, or that were cancelled or recalled, in any order; one of them twice
 * at times. */
static void answer(void)
{
    struct worker_answer answers[8];
    unsigned count = 0;
    struct process *process = any_process(true);
    if (!process)
        return;
    work(process);
    struct arena *memory = arena_new(0);
    unsigned wanted = 1 + roll(&model, 6);
    for (unsigned tries = 0; tries < 12 && count < wanted && process->job_count; tries++) {
        struct job *job = process->jobs[roll(&model, process->job_count)];
        if (!job->started && !job->told && !job->recalled)
            continue;
        answers[count++] = answer_of(memory, job);
        end_job(process, job);
    }
    if (count && roll(&model, 20) == 0) {
        answers[count] = answers[roll(&model, count)];
        model.late_answers++;
        count++;
    }
    pool_worker_answers(model.pool, process->ref, answers, count, memory);
    arena_unref(&memory);
}

/* Calls that a worker runs say something, or ask for something. */
static void emit(void)
{
    struct process *process = any_process(true);
    if (!process)
        return;
    work(process);
    model_emit(&model, process);
}

static void ask(void)
{
    struct process *process = any_process(true);
    if (!process)
        return;
    work(process);
    model_ask(&model, process);
}

static void read_stream(void)
{
    model_read(&model);
}

static void answer_ask(void)
{
    model_answer_ask(&model);
}

static void drop_ask(void)
{
    model_drop_ask(&model);
}

static void answer_from_the_past(void)
{
    struct arena *memory = arena_new(0);
    struct process *process = any_process(true);
    struct worker_answer answer = {.call_id = 1 + roll(&model, 100000)};
    if (process) {
        struct worker_ref old = process->ref;
        old.number--;
        pool_worker_answers(model.pool, old, &answer, 1, memory);
    }
    arena_unref(&memory);
}

static void die(void)
{
    struct process *process = any_process(roll(&model, 4) != 0);
    if (!process)
        return;
    if (process->ready)
        work(process);
    model_kill(&model, process, roll(&model, 4) == 0);
}

/* Those who were told to leave do. */
static void leave(void)
{
    for (unsigned i = 0; i < MODEL_SEATS; i++) {
        if (model.processes[i].alive && model.processes[i].told && roll(&model, 2))
            model_kill(&model, &model.processes[i], roll(&model, 2));
    }
}

static void measure(void)
{
    struct process *process = any_process(true);
    if (process)
        pool_worker_measured(model.pool, process->ref, roll(&model, 1010));
}

static void stall(void)
{
    struct process *process = any_process(true);
    if (process)
        pool_worker_stalled(model.pool, process->ref, roll(&model, 3) == 0);
}

/* --- what operators do --- */

static void load(void)
{
    const struct bytes labels[] = {BYTES("1"), BYTES("2")};
    const struct process *process = any_process(true);
    if (process)
        pool_worker_loaded(model.pool, process->ref, labels, roll(&model, 3));
}

static void recycle(void)
{
    struct process *process = any_process(true);
    if (process)
        HOLDS(pool_recycle(model.pool, bytes_of(process->id)));
}

static void resize(void)
{
    unsigned max = 1 + roll(&model, 15);
    unsigned min = roll(&model, max + 1);
    HOLDS(!pool_resize(model.pool, min, max, roll(&model, max + 1)));
}

static void reload(void)
{
    pool_reload(model.pool);
}

static void break_down(void)
{
    pool_fail(model.pool, "no such module");
}

static void forgive(void)
{
    pool_forgive(model.pool, 0);
    for (unsigned i = 0; i < MODEL_TEXTS; i++)
        model.guilt[i] = (struct guilt){0};
}

/* --- time --- */

static void pass(void)
{
    model_now_us += roll(&model, 4) ? roll(&model, 20000) : roll(&model, 600000);
    if (roll(&model, 4) == 0) /* the clock's thread is late */
        return;
    model.alarm_us = pool_tick(model.pool);
    COMPARE(model.alarm_us, >, model_now_us);
    model_check_nothing_due(&model);
}

static const struct {
    unsigned weight; /* of 1000 */
    void (*take)(void);
} steps[] = {
    {300, submit},    {40, cancel},      {220, answer},   {80, attach},
    {20, die},        {40, leave},       {20, measure},   {8, recycle},
    {1, reload},      {3, resize},       {1, break_down}, {3, forgive},
    {4, end_session}, {4, load},         {8, stall},      {4, answer_from_the_past},
    {70, emit},       {40, read_stream}, {30, ask},       {6, answer_ask},
    {4, drop_ask},    {94, pass},
};

static void step(void)
{
    unsigned dice = roll(&model, 1000), i = 0;
    while (dice >= steps[i].weight)
        dice -= steps[i++].weight;
    steps[i].take();
}

/* In whatever state it is: first drained, then stopped, then everybody leaves. */
static void end(void)
{
    model.leaving = true;
    pool_drain(model.pool);
    model_check(&model);
    for (unsigned i = 0; i < LAST_STEPS; i++) {
        step();
        model_check(&model);
    }
    model.stopped = true;
    pool_stop(model.pool, 1000);
    model_check(&model);
    COMPARE(model.promise_count, ==, 0);
    for (unsigned i = 0; i < MODEL_SEATS; i++) {
        HOLDS(!model.processes[i].alive || model.processes[i].told);
        if (model.processes[i].alive)
            model_kill(&model, &model.processes[i], true);
        model_check(&model);
    }
    submit();
    model_check(&model);
}

/* Snakepit 8, 11, 39. */
START_TEST(whatever_happens_every_call_ends_once_and_well)
{
    const char *only = getenv("SEED");
    if (only && atoi(only) != _i)
        return;
    model_init(&model, (unsigned)_i);
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        model_check(&model);
    }
    end();
    if (getenv("VERBOSE")) {
        for (unsigned i = 0; i < CALL_ENDS; i++)
            printf("%llu ", (unsigned long long)model.ends[i]);
        printf("| emitted %llu asks %llu recovered %llu ", (unsigned long long)model.emitted[0],
               (unsigned long long)model.next_ask, (unsigned long long)model.recovered);
        printf("| starts %llu crashes %llu requeued %llu recalled %llu retries %llu late %llu "
               "recycled %llu\n",
               (unsigned long long)model.starts, (unsigned long long)model.crashes,
               (unsigned long long)model.requeued, (unsigned long long)model.recalled,
               (unsigned long long)model.retries, (unsigned long long)model.late_answers,
               (unsigned long long)model.pool->recycled);
    }
    model_deinit(&model);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("random");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, whatever_happens_every_call_ends_once_and_well, 1, 1 + SEEDS);
    return run_case(tests, "random");
}
