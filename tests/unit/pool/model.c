#include "model.h"

#include "base/mem.h"
#include "pool/affinity.h"
#include "pool/slots.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t model_now_us;

static uint64_t now(void)
{
    return model_now_us;
}

/* splitmix64 */
unsigned roll(struct model *model, unsigned limit)
{
    uint64_t value = model->dice += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((value ^ value >> 31) % limit);
}

/* --- the runtime --- */

static struct model *of(struct runtime *runtime)
{
    return (struct model *)(void *)runtime;
}

static struct process *process_of(struct model *model, struct worker_ref ref)
{
    struct process *process = &model->processes[ref.seat];
    COMPARE(ref.seat, <, MODEL_SEATS);
    HOLDS(process->alive);
    COMPARE(process->ref.number, ==, ref.number);
    return process;
}

static void on_start(struct runtime *runtime, struct worker_ref worker, const char *id)
{
    struct model *model = of(runtime);
    COMPARE(worker.seat, <, MODEL_SEATS);
    HOLDS(!model->processes[worker.seat].alive);
    HOLDS(!model->stopped);
    model->processes[worker.seat] = (struct process){.alive = true, .ref = worker};
    snprintf(model->processes[worker.seat].id, WORKER_ID_MAX, "%s", id);
    model->starts++;
}

/* Those that wait for another worker alone have no turn here; and one that is about to leave has
 * none for those that wait for any. */
static void check_turn(const struct model *model, const struct call *call,
                       const struct worker *worker)
{
    for (unsigned i = 0; i < model->promise_count; i++) {
        const struct call *other = model->promises[i]->call;
        if (other->state == CALL_QUEUED && !list_empty(&other->place) &&
            (other->awaits ? other->awaits == worker : worker->state == WORKER_READY))
            COMPARE(call->turn_us, <=, other->turn_us);
    }
}

/* A strict call runs nowhere else while its session's worker takes calls; and a worker hears of
 * each session's beginning once. */
static void check_session(struct model *model, const struct call *call, struct process *process,
                          bool session_begins)
{
    const struct promise *promise = call->context;
    if (promise->session == 0) {
        HOLDS(!session_begins);
        return;
    }
    struct bond *bond = &model->bonds[promise->session];
    const struct worker *last = &model->pool->workers[bond->worker.seat];
    bool ready = model->pool->workers[process->ref.seat].state == WORKER_READY;
    bool lives = bond->instance == promise->instance && last->ref.number == bond->worker.number &&
                 last->state == WORKER_READY;
    if (ready && promise->strict && lives)
        COMPARE(process->ref.number, ==, bond->worker.number);
    enum affinity habit = call->session->affinity;
    habit = habit ? habit : model->pool->options.affinity;
    bool exception = !promise->strict && habit != AFFINITY_HINT;
    bool follows = !(lives && (call->depth || exception)); /* else the session stays */
    if (ready && follows && bond->instance <= promise->instance)
        *bond = (struct bond){promise->instance, process->ref};
    uint64_t *visited = &process->visited[promise->session];
    if (*visited <= promise->instance) /* else a call of one that has ended already */
        COMPARE(session_begins, ==, *visited < promise->instance);
    *visited = *visited < promise->instance ? promise->instance : *visited;
}

static void on_invoke(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                      struct call *call, uint64_t remaining_us, bool session_begins)
{
    struct model *model = of(runtime);
    struct process *process = process_of(model, worker);
    struct promise *promise = call->context;
    struct job *job = MEM_NEW(struct job);
    *job = (struct job){.call_id = call_id,
                        .serial = promise->serial,
                        .promise = promise,
                        .given_us = model_now_us,
                        .credit = (int64_t)call->window};
    HOLDS(process->ready && !process->told);
    HOLDS(!model->pool->workers[worker.seat].stalled);
    enum worker_state state = model->pool->workers[worker.seat].state;
    HOLDS(state == WORKER_READY || (state == WORKER_DRAINING && promise->strict));
    COMPARE(call->state, ==, CALL_DISPATCHED);
    HOLDS(!promise->job);
    HOLDS(!promise->abandoned);
    HOLDS(promise->runs == 0 || call->idempotent);
    if (model->pool->options.poison_after && model->pool->options.poison_ttl_us == 0)
        COMPARE(model->guilt[promise->text].kills, <, model->pool->options.poison_after);
    COMPARE(promise->heard, ==, 0);
    COMPARE(promise->asks, ==, 0);
    COMPARE(promise->runs, <=, model->pool->options.max_retries);
    COMPARE(promise->deadline_us, >, model_now_us);
    COMPARE(remaining_us, >=, 1);
    COMPARE(remaining_us, <=, promise->deadline_us - model_now_us);
    COMPARE(process->job_count, <, INFLIGHT_MAX);
    bool nests = model->pool->workers[worker.seat].nesting;
    if (model->pool->options.ahead_budget_us == 0 || call->depth || nests)
        COMPARE(process->job_count, <, process->slots);
    check_turn(model, call, &model->pool->workers[worker.seat]);
    check_session(model, call, process, session_begins);
    process->jobs[process->job_count++] = job;
    process->asked = nests;
    promise->job = job;
    promise->quiet_since_us = model_now_us;
}

static void on_end_session(struct runtime *runtime, struct worker_ref worker, struct bytes id)
{
    (void)runtime;
    (void)worker;
    (void)id;
}

static struct job *job_of(struct model *model, struct worker_ref worker, uint64_t call_id)
{
    struct process *process = process_of(model, worker);
    unsigned i = 0;
    while (i < process->job_count && process->jobs[i]->call_id != call_id)
        i++;
    COMPARE(i, <, process->job_count);
    return process->jobs[i];
}

static void on_cancel(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    struct job *job = job_of(of(runtime), worker, call_id);
    HOLDS(!job->told);
    job->told = true;
}

static void on_recall(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    struct model *model = of(runtime);
    const struct process *process = process_of(model, worker);
    struct job *job = job_of(model, worker, call_id);
    unsigned before = 0;
    while (process->jobs[before] != job)
        before++;
    COMPARE(before, >=, process->slots);
    COMPARE(model_now_us, >, job->given_us + model->pool->options.recall_after_us);
    HOLDS(!job->recalled && !job->told);
    HOLDS(!affinity_binds(model->pool, job->promise->call, &model->pool->workers[worker.seat]));
    job->recalled = true;
}

static void on_credit(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                      uint64_t bytes)
{
    struct job *job = job_of(of(runtime), worker, call_id);
    HOLDS(!job->told);
    job->credit += (int64_t)bytes;
}

static void on_stop(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    struct process *process = process_of(of(runtime), worker);
    HOLDS(process->job_count == 0 || grace_us == 0 || of(runtime)->stopped);
    process->told = true;
}

static void on_flush(struct runtime *runtime)
{
    (void)runtime;
}

static void on_alarm(struct runtime *runtime, uint64_t due_us)
{
    if (due_us < of(runtime)->alarm_us)
        of(runtime)->alarm_us = due_us;
}

static bool on_runs(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    (void)runtime;
    (void)worker;
    (void)call_id;
    return false;
}

static const struct runtime_ops ops = {on_start,  on_invoke, on_credit, on_end_session,
                                       on_cancel, on_recall, on_stop,   on_flush,
                                       on_alarm,  on_stop,   on_runs};
static const struct observer_ops observer;

/* --- callers --- */

struct bytes model_print(struct arena *arena, uint64_t number)
{
    return bytes_of(arena_printf(arena, "%llu", (unsigned long long)number));
}

static uint64_t pick_timeout(struct model *model, unsigned otherwise)
{
    return 1 + roll(model, roll(model, 4) ? otherwise : 2000);
}

struct promise *model_promise(struct model *model)
{
    struct promise *promise = MEM_NEW(struct promise);
    struct arena *arena = arena_new(0);
    struct call *call = promise->call = call_new(arena);
    promise->text = roll(model, MODEL_TEXTS);
    promise->serial = ++model->next_serial;
    call->home = &model->home;
    call->context = promise;
    call->args = model_print(arena, promise->text);
    call->request_id = model_print(arena, promise->serial);
    call->priority = roll(model, CALL_PRIORITIES);
    call->idempotent = roll(model, 2);
    call->timeout_us = pick_timeout(model, 4000000);
    call->queue_timeout_us = pick_timeout(model, 2000000);
    call->run_timeout_us = pick_timeout(model, 3000000);
    /* A tool's text is poisonous together with its tool: one tool for each. */
    call->tool = model->tools[promise->text % 2];
    arena_unref(&arena);
    return promise;
}

void model_submit(struct model *model, struct promise *promise)
{
    COMPARE(model->promise_count, <, MODEL_CALLS);
    promise->deadline_us = model_now_us + promise->call->timeout_us;
    promise->index = model->promise_count;
    model->promises[model->promise_count++] = promise;
    pool_submit(model->pool, promise->call);
}

/* --- processes --- */

void model_forget_job(struct process *process, struct job *job)
{
    unsigned i = 0;
    while (process->jobs[i] != job)
        i++;
    memmove(&process->jobs[i], &process->jobs[i + 1],
            (--process->job_count - i) * sizeof process->jobs[0]);
    if (job->promise)
        job->promise->job = NULL;
    free(job);
}

/* --- what callers are told --- */

static void check_refusal(const struct model *model, const struct promise *promise)
{
    const struct call_outcome *outcome = &promise->call->outcome;
    switch (outcome->end) {
    case CALL_END_POISON:
        COMPARE(model->guilt[promise->text].kills, >=, model->pool->options.poison_after);
        return;
    case CALL_END_SATURATED:
    case CALL_END_UNREACHABLE:
    case CALL_END_CIRCUIT_OPEN:
        COMPARE(outcome->retry_after_s, >=, 1);
        COMPARE(outcome->retry_after_s, <=, 60);
        break;
    default:
        return;
    }
    COMPARE(outcome->attempts, ==, 0);
}

static void check_reason(const struct model *model, const struct promise *promise)
{
    const struct call *call = promise->call;
    switch (call->outcome.end) {
    case CALL_END_RESULT:
        COMPARE(call->outcome.executed, ==, EXECUTED_YES);
        break;
    case CALL_END_CRASH:
        COMPARE(promise->runs, >=, 1);
        break;
    case CALL_END_QUEUE_TIMEOUT:
        COMPARE(call->outcome.queue_us, >=, call->queue_timeout_us); /* over all its waits */
        break;
    case CALL_END_TIMEOUT:
        COMPARE(model_now_us, >=, promise->job->given_us + call->run_timeout_us);
        break;
    case CALL_END_STREAM_IDLE:
        COMPARE(model_now_us, >=, promise->quiet_since_us + call->idle_timeout_us);
        COMPARE(promise->job->credit, >, 0);
        break;
    case CALL_END_DEADLINE:
        COMPARE(model_now_us, >=, promise->deadline_us);
        break;
    case CALL_END_CANCELLED:
        HOLDS(promise->cancelled);
        break;
    case CALL_END_SHUTDOWN:
        HOLDS(model->leaving);
        break;
    case CALL_END_SESSION_LOST:
    case CALL_END_WORKER_BUSY:
        HOLDS(promise->strict);
        HOLDS(!promise->job || call->outcome.end == CALL_END_SESSION_LOST);
        break;
    default:
        check_refusal(model, promise);
    }
}

static void check_body(const struct promise *promise)
{
    char expected[32];
    const struct call_outcome *outcome = &promise->call->outcome;
    struct bytes got = outcome->end == CALL_END_RESULT ? outcome->body : outcome->failure.message;
    if (outcome->end != CALL_END_RESULT && outcome->end != CALL_END_FAILURE)
        return;
    if (promise->overdrawn) {
        COMPARE(outcome->end, ==, CALL_END_FAILURE);
        HOLDS(bytes_equal(outcome->failure.type, BYTES("ProtocolError")));
        return;
    }
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)promise->serial);
    COMPARE(got.len, ==, strlen(expected));
    HOLDS(memcmp(got.data, expected, got.len) == 0);
}

static void keep_promise(struct model *model, struct call *call)
{
    struct promise *promise = call->context;
    COMPARE(call->state, ==, CALL_DONE);
    COMPARE(promise->index, <, model->promise_count);
    HOLDS(model->promises[promise->index] == promise);
    HOLDS(promise->runs == 0 || call->outcome.executed != EXECUTED_NO);
    COMPARE(call->retries, <=, model->pool->options.max_retries);
    check_reason(model, promise);
    check_body(promise);
    COMPARE(promise->asks, ==, 0);
    model_end_ask(model, promise);
    model->ends[call->outcome.end]++;
    model->retries += call->retries;
    if (promise->job)
        promise->job->promise = NULL;
    model->promises[promise->index] = model->promises[--model->promise_count];
    model->promises[promise->index]->index = promise->index;
    call_unref(&promise->call);
    free(promise);
}

/* --- rules --- */

static void check_calls(const struct model *model, unsigned *out_waiting,
                        unsigned *out_waiting_again, uint64_t *out_retries)
{
    unsigned count = 0, trials = 0;
    for (unsigned i = 0; i < model->promise_count; i++) {
        const struct promise *promise = model->promises[i];
        const struct call *call = promise->call;
        trials += call->trial;
        bool given = call->state == CALL_DISPATCHED || call->state == CALL_STREAMING;
        HOLDS(given || call->state == CALL_QUEUED);
        HOLDS(given == (promise->job != NULL));
        HOLDS(given == (call->inflight != NULL));
        model_check_stream(promise);
        HOLDS(heap_holds(&call->timer.node));
        *out_waiting += call->state == CALL_QUEUED;
        *out_waiting_again += call->state == CALL_QUEUED && list_empty(&call->place);
        *out_retries += call->retries;
    }
    LIST_FOREACH (&model->pool->calls, node, next)
        count++;
    COMPARE(count, ==, model->promise_count);
    COMPARE(trials, ==, model->pool->breaker.trial);
}

/* Free ones are listed in the order in which they are chosen. */
static void check_order(const struct pool *pool)
{
    const struct worker *before = NULL;
    LIST_FOREACH (&pool->free, node, next) {
        const struct worker *worker = CONTAINER_OF(node, struct worker, free_place);
        if (before && worker_is_tainted(before) == worker_is_tainted(worker))
            COMPARE(before->inflight_count, <=, worker->inflight_count);
        HOLDS(!before || !worker_is_tainted(before) || worker_is_tainted(worker));
        before = worker;
    }
}

/* Calls might go ahead to it, but none goes before a nested one, which does not; or nobody has
 * looked since its calls wait for others no more. */
static bool is_held_up(const struct pool *pool, const struct worker *worker,
                       const struct process *process)
{
    const struct call *of_all = queue_first(&pool->queue), *of_it = queue_first(&worker->waiting);
    return process->asked || (of_all && of_all->depth) || (of_it && of_it->depth);
}

/* A call behind those that have slots comes back one day, unless its session keeps it there. */
static bool is_forgotten(const struct pool *pool, const struct inflight *entry, unsigned place)
{
    const struct call *call = entry->call;
    return place > entry->worker->slots && call && call->state == CALL_DISPATCHED &&
           !call->session && !entry->recalled && pool->options.recall_after_us &&
           !heap_holds(&pool->recall.node);
}

static void check_worker(const struct model *model, unsigned seat, unsigned *out_timers)
{
    const struct worker *worker = &model->pool->workers[seat];
    const struct process *process = &model->processes[seat];
    *out_timers += worker_is_tainted(worker);
    COMPARE(worker->state != WORKER_VACANT, ==, process->alive);
    COMPARE(worker->inflight_count, ==, process->job_count);
    if (!process->alive)
        return;
    HOLDS(worker->waiting.depth == 0 || worker->state == WORKER_READY ||
          (worker->state == WORKER_DRAINING && !worker->leaving));
    HOLDS(worker->waiting.depth == 0 || worker->inflight_count >= worker->slots ||
          worker->state == WORKER_READY || worker->stalled);
    COMPARE(worker->waiting.depth > 0, ==, !list_empty(&worker->awaited_place));
    HOLDS(worker->waiting.depth == 0 || !worker_has_free_slot(worker));
    HOLDS(worker->waiting.depth == 0 ||
          !slots_can_give(model->pool, worker, queue_first(&worker->waiting)->tool) ||
          is_held_up(model->pool, worker, process));
    HOLDS(worker->state != WORKER_READY || (process->ready && !process->told));
    HOLDS(worker->state != WORKER_STARTING || (!process->ready && !process->told));
    COMPARE(worker_has_free_slot(worker), ==, !list_empty(&worker->free_place));
    unsigned sent = 0;
    LIST_FOREACH (&worker->sent, node, next) {
        const struct inflight *entry = CONTAINER_OF(node, struct inflight, order);
        const struct job *job = process->jobs[sent++];
        COMPARE(entry->id, ==, job->call_id);
        HOLDS(entry->call == (job->promise ? job->promise->call : NULL));
        bool grace = heap_holds(&entry->grace.node);
        *out_timers += grace;
        HOLDS(!grace || (job->told && !job->promise));
        HOLDS(!job->told || grace || worker->leaving);
        HOLDS(!job->told || !job->promise);
        HOLDS(job->told || job->promise);
        COMPARE(entry->recalled, ==, job->recalled);
        HOLDS(!is_forgotten(model->pool, entry, sent));
    }
    COMPARE(sent, ==, worker->inflight_count);
}

static void check_heap(const struct pool *pool, size_t expected)
{
    COMPARE(pool->timers.count, ==, expected);
    for (size_t i = 0; i < pool->timers.count; i++) {
        COMPARE(pool->timers.nodes[i]->place, ==, i + 1);
        COMPARE(pool->timers.nodes[i ? (i - 1) / 2 : 0]->key, <=, pool->timers.nodes[i]->key);
    }
    COMPARE(pool->timers.count, >, 0);
    COMPARE(pool->alarm_us, <=, pool->timers.nodes[0]->key);
}

static void check_view(const struct model *model, unsigned waiting, uint64_t retries)
{
    struct pool_view view;
    unsigned inflight = 0, alive = 0;
    pool_look(model->pool, &view);
    for (unsigned i = 0; i < MODEL_SEATS; i++) {
        alive += model->processes[i].alive;
        inflight += model->processes[i].job_count;
    }
    COMPARE(view.workers[WORKER_VACANT], ==, MODEL_SEATS - alive);
    COMPARE(view.inflight, ==, inflight);
    COMPARE(view.queue_depth, ==, waiting);
    HOLDS(memcmp(view.ends, model->ends, sizeof view.ends) == 0);
    COMPARE(view.starts, ==, model->starts);
    COMPARE(view.crashes, ==, model->crashes);
    COMPARE(view.late_answers, ==, model->late_answers);
    COMPARE(view.requeued, ==, model->requeued);
    COMPARE(view.recalled, ==, model->recalled);
    COMPARE(view.recovered, ==, model->recovered);
    HOLDS(memcmp(view.emitted, model->emitted, sizeof view.emitted) == 0);
    COMPARE(view.retries, ==, model->retries + retries);
    COMPARE(view.workers_wanted, <=, view.max_workers);
    COMPARE(view.workers_wanted, >=, view.min_workers);
}

void model_check(struct model *model)
{
    unsigned waiting = 0, waiting_again = 0, timers = 1; /* the review */
    uint64_t retries = 0;
    struct mail *mail = mailbox_drain(&model->home);
    while (mail) {
        struct call *call = CONTAINER_OF(mail, struct call, mail);
        mail = mail->next;
        keep_promise(model, call);
        call_unref(&call);
    }
    check_calls(model, &waiting, &waiting_again, &retries);
    for (unsigned i = 0; i < MODEL_SEATS; i++)
        check_worker(model, i, &timers);
    check_order(model->pool);
    model_check_asks(model, &timers);
    HOLDS(waiting == waiting_again + model->pool->pinned || list_empty(&model->pool->free));
    COMPARE(model->pool->retrying, ==, waiting_again);
    timers += heap_holds(&model->pool->recall.node);
    check_heap(model->pool, model->promise_count + timers);
    check_view(model, waiting, retries);
}

void model_check_nothing_due(const struct model *model)
{
    COMPARE(model->pool->timers.nodes[0]->key, >, model_now_us);
    for (unsigned i = 0; i < model->promise_count; i++)
        HOLDS(model->promises[i]->call->state == CALL_DONE ||
              model->promises[i]->deadline_us > model_now_us);
}

/* --- life --- */

static struct pool_options random_options(struct model *model)
{
    struct pool_options options = pool_defaults();
    options.now_us = now;
    options.max_workers = 1 + roll(model, 12);
    options.min_workers = roll(model, options.max_workers + 1);
    options.spare = roll(model, 3) ? 0 : roll(model, options.max_workers + 1);
    options.queue_limit = roll(model, 40);
    options.affinity = AFFINITY_HINT + roll(model, 3);
    options.ahead_budget_us = roll(model, 3) * UINT64_C(40000);
    options.recall_after_us = roll(model, 4) * UINT64_C(20000);
    options.cancel_grace_us = 500000;
    options.max_retries = roll(model, 4);
    options.taint_us = roll(model, 3) * UINT64_C(400000);
    options.poison_after = roll(model, 3) * 2;
    options.poison_ttl_us = roll(model, 2) ? 0 : options.poison_ttl_us;
    options.breaker_threshold = roll(model, 3) * 5;
    options.breaker_open_us = 300000;
    options.worker_max_calls = roll(model, 2) * 40;
    options.refork_after = roll(model, 2) * 30;
    options.worker_max_age_us = roll(model, 2) * UINT64_C(5000000);
    options.worker_max_resident = 1000;
    options.idle_us = 2000000;
    return options;
}

void model_init(struct model *model, unsigned seed)
{
    const struct tool_spec specs[] = {{.name = BYTES("echo"), .schema = BYTES("{}")},
                                      {.name = BYTES("slow"), .schema = BYTES("{}")}};
    memset(model, 0, sizeof *model);
    model_now_us = 1000000;
    model->runtime.ops = &ops;
    model->dice = seed;
    model->alarm_us = UINT64_MAX;
    list_init(&model->asks);
    struct pool_options options = random_options(model);
    mailbox_init(&model->home, NULL, NULL);
    model->registry = registry_new(10000);
    model->pool =
        pool_new(&options, model->registry, &model->runtime, (struct observer){.ops = &observer});
    model->pool->seats = MODEL_SEATS;
    model->pool->random = seed + 1;
    model->pool->key = (struct siphash_key){seed, seed};
    char fault[TOOL_FAULT_MAX];
    HOLDS(registry_announce(model->registry, model->pool, specs, 2, fault));
    struct session_options sessions = session_defaults();
    sessions.now_us = now;
    sessions.ttl_us = UINT64_C(1) << 60;
    model->sessions = session_store_new(&sessions);
    session_store_add(model->sessions, model->pool, pool_end_session);
    model->tools[0] = registry_find(model->registry, BYTES("echo"), NULL);
    model->tools[1] = registry_find(model->registry, BYTES("slow"), NULL);
    pool_start(model->pool);
}

void model_deinit(struct model *model)
{
    session_store_stop(model->sessions);
    session_store_free(&model->sessions);
    pool_free(&model->pool);
    registry_free(&model->registry);
}
