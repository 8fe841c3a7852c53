#include "fake.h"

#include "pool/inside.h"
#include "pool/pool.h"

#include <check.h>
#include <signal.h>
#include <string.h>

uint64_t fake_now_us = 1000000;

static uint64_t now(void)
{
    return fake_now_us;
}

static struct fake *of(struct runtime *runtime)
{
    return (struct fake *)(void *)runtime;
}

static void on_start(struct runtime *runtime, struct worker_ref worker, const char *id)
{
    (void)id;
    of(runtime)->starts[of(runtime)->start_count++ % FAKE_LOG] = worker;
}

static void on_invoke(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                      struct call *call, uint64_t remaining_us, bool session_begins)
{
    of(runtime)->invokes[of(runtime)->invoke_count++ % FAKE_LOG] =
        (struct fake_invoke){worker, call_id, call, remaining_us, session_begins};
}

static void on_end_session(struct runtime *runtime, struct worker_ref worker, struct bytes id)
{
    struct fake *fake = of(runtime);
    (void)id;
    fake->ends[fake->end_count++ % FAKE_LOG] = worker;
}

static void on_cancel(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    (void)worker;
    of(runtime)->cancels[of(runtime)->cancel_count++ % FAKE_LOG] = call_id;
}

static void on_recall(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    (void)worker;
    of(runtime)->recalls[of(runtime)->recall_count++ % FAKE_LOG] = call_id;
}

static void on_credit(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                      uint64_t bytes)
{
    (void)worker;
    of(runtime)->credits[of(runtime)->credit_count++ % FAKE_LOG] =
        (struct fake_credit){call_id, bytes};
}

static void on_stop(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    of(runtime)->stop_grace_us = grace_us;
    of(runtime)->stops[of(runtime)->stop_count++ % FAKE_LOG] = worker;
}

static void on_flush(struct runtime *runtime)
{
    of(runtime)->flush_count++;
}

static void on_alarm(struct runtime *runtime, uint64_t due_us)
{
    of(runtime)->alarm_us = due_us;
}

static void on_refork(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    of(runtime)->refork_count++;
    on_stop(runtime, worker, grace_us);
}

static bool on_runs(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    const struct fake *fake = of(runtime);
    return worker.number == fake->runs.worker.number && call_id == fake->runs.call_id;
}

static const struct runtime_ops ops = {on_start,  on_invoke, on_credit, on_end_session,
                                       on_cancel, on_recall, on_stop,   on_flush,
                                       on_alarm,  on_refork, on_runs};

static void on_ready(void *context, const char *id, int pid, uint64_t start_us)
{
    (void)id;
    (void)pid;
    (void)start_us;
    ((struct fake *)context)->ready_events++;
}

static void on_gone(void *context, const char *id, int pid, const struct worker_exit *exit,
                    unsigned lost)
{
    (void)id;
    (void)pid;
    (void)exit;
    (void)lost;
    ((struct fake *)context)->gone_events++;
}

static void on_started(void *context, struct pool *pool)
{
    (void)pool;
    ((struct fake *)context)->started_events++;
}

static void on_failed(void *context, struct pool *pool, const char *reason)
{
    (void)pool;
    (void)reason;
    ((struct fake *)context)->failed_events++;
}

static const struct observer_ops observer = {on_ready, on_gone, on_started, on_failed};

void fake_init(struct fake *fake, void (*adjust)(struct pool_options *options))
{
    struct pool_options options = pool_defaults();
    const struct tool_spec specs[] = {{.name = BYTES("echo"), .schema = BYTES("{}")},
                                      {.name = BYTES("slow"), .schema = BYTES("{}")}};
    memset(fake, 0, sizeof *fake);
    fake->runtime.ops = &ops;
    options.min_workers = options.max_workers = 2;
    options.queue_limit = 4;
    options.now_us = now;
    if (adjust)
        adjust(&options);
    mailbox_init(&fake->home, NULL, NULL);
    fake->registry = registry_new(10000);
    fake->pool = pool_new(&options, fake->registry, &fake->runtime,
                          (struct observer){.ops = &observer, .context = fake});
    char fault[TOOL_FAULT_MAX];
    ck_assert(registry_announce(fake->registry, fake->pool, specs, 2, fault));
    fake->tool = registry_find(fake->registry, BYTES("echo"), NULL);
    fake->slow = registry_find(fake->registry, BYTES("slow"), NULL);
    pool_start(fake->pool);
}

void fake_begin(struct fake *fake, void (*adjust)(struct pool_options *options))
{
    fake_init(fake, adjust);
    fake_attach(fake);
}

void fake_alone(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->breaker_threshold = 0;
    options->poison_after = 0;
}

void fake_set_size(struct pool_options *options, unsigned min, unsigned max)
{
    options->min_workers = min;
    options->max_workers = max;
    options->recycle_jitter = 0;
    options->ahead_budget_us = 0;
    options->queue_limit = 1000;
    options->queue_timeout_us = options->timeout_us;
}

void fake_deinit(struct fake *fake)
{
    pool_stop(fake->pool, 0);
    for (struct call *call = fake_posted(fake); call; call = fake_posted(fake))
        call_unref(&call);
    pool_free(&fake->pool);
    registry_free(&fake->registry);
}

void fake_ready(struct fake *fake, unsigned start, unsigned slots)
{
    const struct worker_hello hello = {.pid = 100 + (int)start, .slots = slots};
    ck_assert(pool_worker_ready(fake->pool, fake->starts[start], &hello));
}

void fake_attach(struct fake *fake)
{
    while (fake->attached < fake->start_count)
        fake_ready(fake, fake->attached++, 1);
}

struct call *fake_make(struct fake *fake, struct tool *tool)
{
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    arena_unref(&arena);
    call->tool = tool;
    call->home = &fake->home;
    return call;
}

struct call *fake_send(struct fake *fake, struct call *call)
{
    pool_submit(fake->pool, call);
    return call;
}

struct call *fake_submit(struct fake *fake, struct tool *tool)
{
    return fake_send(fake, fake_make(fake, tool));
}

struct call *fake_submit_idempotent(struct fake *fake, const char *args)
{
    struct call *call = fake_make(fake, fake->tool);
    call->idempotent = true;
    call->args = bytes_of(args);
    return fake_send(fake, call);
}

void fake_expect(struct fake *fake, struct call *call, enum call_end end,
                 enum call_executed executed)
{
    ck_assert_ptr_eq(fake_posted(fake), call);
    ck_assert_int_eq(call->state, CALL_DONE);
    ck_assert_int_eq(call->outcome.end, end);
    ck_assert_int_eq(call->outcome.executed, executed);
    call_unref(&call);
}

/* The worker has had the call for that long at least, whatever the clock says. */
static void age(const struct fake *fake, const struct fake_invoke *invoke, uint64_t us)
{
    struct worker *worker = pool_resolve(fake->pool, invoke->worker);
    struct inflight *entry = worker ? worker_find(worker, invoke->call_id) : NULL;
    if (entry && fake_now_us - entry->sent_us < us)
        entry->sent_us = fake_now_us - us;
}

void fake_answer(struct fake *fake, unsigned invoke, uint64_t run_us)
{
    age(fake, &fake->invokes[invoke], run_us);
    fake_claim(fake, invoke, run_us);
}

void fake_claim(struct fake *fake, unsigned invoke, uint64_t run_us)
{
    struct arena *memory = arena_new(0);
    const struct worker_answer answer = {.call_id = fake->invokes[invoke].call_id,
                                         .started = true,
                                         .body = BYTES("1"),
                                         .run_us = run_us};
    pool_worker_answers(fake->pool, fake->invokes[invoke].worker, &answer, 1, memory);
    arena_unref(&memory);
}

void fake_join(struct fake *fake, unsigned invoke, const uint64_t *ids, size_t count)
{
    const struct worker_batch batch = {.call_ids = ids, .count = count};
    pool_worker_batches(fake->pool, fake->invokes[invoke].worker, &batch, 1);
}

void fake_occupy(struct fake *fake, struct call *out_calls[2])
{
    for (unsigned i = 0; i < 2; i++)
        out_calls[i] = fake_submit(fake, fake->slow);
}

void fake_release(struct fake *fake, struct call *calls[2])
{
    for (unsigned i = 0; i < 2; i++) {
        fake_answer(fake, i, 100);
        fake_expect(fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}

void fake_measure(struct fake *fake, struct tool *tool, uint64_t us)
{
    struct call *call = fake_submit(fake, tool);
    fake_answer(fake, fake->invoke_count - 1, us);
    fake_expect(fake, call, CALL_END_RESULT, EXECUTED_YES);
}

void fake_run_one(struct fake *fake)
{
    fake_measure(fake, fake->tool, 10);
}

void fake_die(struct fake *fake, unsigned start, int signal, const struct started_calls *started)
{
    const struct worker_exit exit = {.signal = signal, .cause = "segfault"};
    const struct started_calls none = {.known = true};
    pool_worker_gone(fake->pool, fake->starts[start], &exit, started ? started : &none);
}

void fake_kill(struct fake *fake, unsigned start, uint64_t running)
{
    const struct worker_exit exit = {.outside = true, .signal = SIGKILL, .cause = "killed"};
    const unsigned count = running != 0;
    const struct started_calls started = {.known = true,
                                          .started_count = count,
                                          .running_count = count,
                                          .started = {running},
                                          .running = {running}};
    pool_worker_gone(fake->pool, fake->starts[start], &exit, &started);
}

void fake_crash(struct fake *fake, unsigned invoke)
{
    const struct worker_exit exit = {.signal = 11, .cause = "segfault"};
    const uint64_t id = fake->invokes[invoke].call_id;
    const struct started_calls started = {
        .known = true, .started_count = 1, .running_count = 1, .started = {id}, .running = {id}};
    pool_worker_gone(fake->pool, fake->invokes[invoke].worker, &exit, &started);
}

void fake_crash_newest(struct fake *fake)
{
    fake_crash(fake, fake->invoke_count - 1);
    unsigned starts = fake->start_count;
    while (fake_count(fake, WORKER_STARTING) == 0)
        fake_pass(fake, 10000);
    fake_ready(fake, starts == fake->start_count ? starts - 1 : starts, 1);
}

void fake_recycle(struct fake *fake, const char *id)
{
    ck_assert(pool_recycle(fake->pool, bytes_of(id)));
}

void fake_left(struct fake *fake, unsigned start)
{
    const struct worker_exit exit = {.expected = true, .cause = "exit"};
    const struct started_calls none = {.known = true};
    pool_worker_gone(fake->pool, fake->starts[start], &exit, &none);
}

/* The mailbox hands out all it has; what is not asked for yet goes back, in order. */
struct call *fake_posted(struct fake *fake)
{
    struct mail *first = mailbox_drain(&fake->home);
    if (!first)
        return NULL;
    struct mail *rest = first->next;
    if (rest) {
        struct mail *last = rest;
        while (last->next)
            last = last->next;
        mailbox_post_chain(&fake->home, rest, last);
    }
    struct call *call = CONTAINER_OF(first, struct call, mail);
    struct call *reference = call;
    call_unref(&reference);
    return call;
}

void fake_pass(struct fake *fake, uint64_t us)
{
    fake_now_us += us;
    pool_tick(fake->pool);
}

struct pool_view fake_look(struct fake *fake)
{
    struct pool_view view;
    pool_look(fake->pool, &view);
    return view;
}

unsigned fake_count(struct fake *fake, enum worker_state state)
{
    return fake_look(fake).workers[state];
}
