#include "bridge/bridge.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/channel.h"
#include "bridge/inside.h"
#include "bridge/seat.h"
#include "bridge/session_op.h"
#include "bridge/watch.h"
#include "bridge/zygote.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SCHEMA_MAX_DEPTH = 64, SLOTS_MAX = RUNNING_MAX };

static struct bridge *of(struct runtime *runtime)
{
    return (struct bridge *)(void *)runtime;
}

/* --- errands: what other threads want of the supervisor's --- */

struct bridge_errand {
    struct errand errand;
    struct bridge *bridge;
    struct worker_ref worker;
    uint64_t grace_us;
    char fault[TOOL_FAULT_MAX]; /* or empty */
    char id[WORKER_ID_MAX];
};

static struct bridge_errand *of_errand(struct errand *errand)
{
    return (struct bridge_errand *)(void *)errand;
}

static void send_errand(struct bridge *bridge, void (*run)(struct errand *errand),
                        struct worker_ref worker, uint64_t grace_us, const char *id)
{
    struct bridge_errand *errand = MEM_NEW(struct bridge_errand);
    *errand = (struct bridge_errand){
        .errand.run = run, .bridge = bridge, .worker = worker, .grace_us = grace_us};
    snprintf(errand->id, sizeof errand->id, "%s", id);
    supervisor_send(bridge->supervisor, &errand->errand);
}

static void run_start(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    struct seat *seat = &it->bridge->seats[it->worker.seat];
    seat_start(seat, it->worker, it->id);
    zygote_supply(it->bridge, seat);
    free(it);
}

static void run_stop(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    seat_stop(&it->bridge->seats[it->worker.seat], it->worker, it->grace_us);
    free(it);
}

static void run_refork(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    zygote_refork(it->bridge, &it->bridge->seats[it->worker.seat], it->worker, it->grace_us);
    free(it);
}

static void run_unlinked(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    struct seat *seat = &it->bridge->seats[it->worker.seat];
    if (seat_unlinked(seat, it->worker, it->fault))
        zygote_adopt(it->bridge, seat);
    free(it);
}

static void send_unlinked(struct bridge *bridge, struct worker_ref worker, const char *fault)
{
    struct bridge_errand *errand = MEM_NEW(struct bridge_errand);
    *errand =
        (struct bridge_errand){.errand.run = run_unlinked, .bridge = bridge, .worker = worker};
    snprintf(errand->fault, sizeof errand->fault, "%s", fault ? fault : "");
    supervisor_send(bridge->supervisor, &errand->errand);
}

static void run_attached(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    it->bridge->start_failures = 0;
    seat_attached(&it->bridge->seats[it->worker.seat], it->worker);
    free(it);
}

/* --- the pool's clock --- */

static void on_clock(uv_timer_t *timer)
{
    struct bridge *bridge = timer->data;
    uint64_t due_us = pool_tick(bridge->pool);
    uint64_t now_us = clock_now_us();
    if (due_us == UINT64_MAX)
        uv_timer_stop(timer);
    else
        uv_timer_start(timer, on_clock, due_us > now_us ? (due_us - now_us + 999) / 1000 : 0, 0);
}

static void run_alarm(struct errand *errand)
{
    struct bridge_errand *it = of_errand(errand);
    if (!it->bridge->leaving)
        on_clock(&it->bridge->clock);
    free(it);
}

/* --- the runtime port --- */

static void runtime_start(struct runtime *runtime, struct worker_ref worker, const char *id)
{
    struct bridge *bridge = of(runtime);
    pthread_mutex_lock(&bridge->lock);
    bridge->occupied++;
    pthread_mutex_unlock(&bridge->lock);
    send_errand(bridge, run_start, worker, 0, id);
}

static void runtime_stop(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    send_errand(of(runtime), run_stop, worker, grace_us, "");
}

static void runtime_refork(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    send_errand(of(runtime), run_refork, worker, grace_us, "");
}

static void runtime_alarm(struct runtime *runtime, uint64_t due_us)
{
    (void)due_us;
    send_errand(of(runtime), run_alarm, (struct worker_ref){0}, 0, "");
}

static void mark_dirty(struct bridge *bridge, unsigned seat)
{
    atomic_fetch_or_explicit(&bridge->dirty[seat / 64], UINT64_C(1) << seat % 64,
                             memory_order_release);
}

static void runtime_invoke(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                           struct call *call, uint64_t remaining_us, bool session_begins)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_invoke(link, call_id, call, remaining_us, session_begins);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void runtime_end_session(struct runtime *runtime, struct worker_ref worker, struct bytes id)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_ended_session(link, id);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void runtime_cancel(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_cancel(link, call_id);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void runtime_credit(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                           uint64_t bytes)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_credit(link, call_id, bytes);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void runtime_flush(struct runtime *runtime)
{
    struct bridge *bridge = of(runtime);
    for (unsigned word = 0; word < DIRTY_WORDS; word++) {
        if (atomic_load_explicit(&bridge->dirty[word], memory_order_relaxed) == 0)
            continue;
        uint64_t bits = atomic_exchange_explicit(&bridge->dirty[word], 0, memory_order_acquire);
        for (; bits; bits &= bits - 1) {
            unsigned seat = word * 64 + (unsigned)__builtin_ctzll(bits);
            struct link *link = seat_link(&bridge->seats[seat]);
            if (link)
                link_flush(link);
            link_unref(&link);
        }
    }
}

static bool runtime_runs(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    return seat_runs(&of(runtime)->seats[worker.seat], worker, call_id);
}

static const struct runtime_ops runtime_ops = {
    .start = runtime_start,
    .invoke = runtime_invoke,
    .credit = runtime_credit,
    .end_session = runtime_end_session,
    .cancel = runtime_cancel,
    .stop = runtime_stop,
    .refork = runtime_refork,
    .flush = runtime_flush,
    .runs = runtime_runs,
    .alarm = runtime_alarm,
};

/* --- links, on a bridge thread --- */

/* Why the worker cannot be taken, or NULL. `text` of TOOL_FAULT_MAX bytes may hold the answer. */
static const char *fault_of(struct bridge *bridge, const struct frame_hello *hello, char *text)
{
    if (hello->protocol_version != BRIDGE_PROTOCOL_VERSION)
        return "the worker speaks another version of the protocol";
    if (hello->worker.slots < 1 || hello->worker.slots > SLOTS_MAX)
        return "the worker has no sensible number of slots";
    for (size_t i = 0; i < hello->tool_count; i++) {
        struct json_value schema;
        if (!json_check(hello->tools[i].schema, SCHEMA_MAX_DEPTH, &schema, NULL) ||
            schema.type != JSON_TYPE_OBJECT)
            return "a tool's schema is not a JSON object";
    }
    bool taken =
        registry_announce(bridge->registry, bridge->pool, hello->tools, hello->tool_count, text);
    return taken ? NULL : text;
}

static bool on_hello(void *context, struct link *link, const struct frame_hello *hello)
{
    struct bridge *bridge = context;
    struct worker_ref worker;
    unsigned i = 0;
    while (i < POOL_MAX_SEATS && !seat_attach(&bridge->seats[i], hello, link, &worker))
        i++;
    if (i == POOL_MAX_SEATS) {
        log_event(LOG_WARNING, "a stranger tried to attach as a worker", LOG_END);
        return false;
    }
    char text[TOOL_FAULT_MAX];
    const char *fault = fault_of(bridge, hello, text);
    struct channel *channel = seat_channel_of(&bridge->seats[i], worker);
    link_set_worker(link, worker, channel);
    channel_unref(&channel);
    if (fault)
        pool_fail(bridge->pool, fault);
    if (!fault && pool_worker_ready(bridge->pool, worker, &hello->worker)) {
        send_errand(bridge, run_attached, worker, 0, "");
        return true;
    }
    seat_detach(&bridge->seats[i], link);
    send_unlinked(bridge, worker, fault);
    return false;
}

static void on_tool_calls(void *context, struct link *link, const struct tool_call *calls,
                          size_t count, struct arena *memory)
{
    const struct bridge *bridge = context;
    const struct bridge_port *port = &bridge->options.port;
    port->tool_calls(port->context, bridge->pool, link_worker(link), calls, count, memory);
}

static void on_telemetry(void *context, struct link *link, const struct telemetry_batch *batch)
{
    const struct bridge *bridge = context;
    (void)link;
    bridge->options.port.telemetry(bridge->options.port.context, bridge->pool, batch);
}

/* A worker that has gone needs no telling. */
static void on_variables_changed(const struct variables_reader *reader, struct bytes session_id,
                                 uint64_t revision)
{
    struct bridge *bridge = reader->context;
    struct worker_ref worker = {.seat = reader->seat, .number = reader->number};
    struct link *link = seat_link_of(&bridge->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_invalidation(link, session_id, revision);
    link_flush(link);
    link_unref(&link);
}

static void on_session_ops(void *context, struct link *link, const struct session_op *ops,
                           size_t count)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    const struct variables_reader reader = {.changed = on_variables_changed,
                                            .context = bridge,
                                            .seat = worker.seat,
                                            .number = worker.number};
    for (size_t i = 0; i < count; i++)
        session_op_answer(bridge->options.sessions, &reader, &ops[i], link);
    link_flush(link);
}

static void on_batches(void *context, struct link *link, const struct worker_batch *batches,
                       size_t count)
{
    struct bridge *bridge = context;
    pool_worker_batches(bridge->pool, link_worker(link), batches, count);
}

static void on_emissions(void *context, struct link *link, struct worker_emission *emissions,
                         size_t count)
{
    struct bridge *bridge = context;
    pool_worker_emits(bridge->pool, link_worker(link), emissions, count);
}

static void on_answers(void *context, struct link *link, struct worker_answer *answers,
                       size_t count, struct arena *memory)
{
    struct bridge *bridge = context;
    pool_worker_answers(bridge->pool, link_worker(link), answers, count, memory);
}

static void on_ended(void *context, struct link *link)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    seat_detach(&bridge->seats[worker.seat], link);
    pool_worker_lost(bridge->pool, worker, "its stream to the gateway ended");
    send_unlinked(bridge, worker, NULL);
}

static void on_wish(void *context, struct link *link)
{
    struct bridge *bridge = context;
    pool_worker_wishes(bridge->pool, link_worker(link));
}

static void on_pong(void *context, struct link *link, const struct worker_frame *frame)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    watch_pong(&bridge->seats[worker.seat], worker, frame->pong);
    pool_worker_loaded(bridge->pool, worker, frame->loaded, frame->loaded_count);
}

/* --- life --- */

static void run_open(struct errand *errand)
{
    struct bridge *bridge = of_errand(errand)->bridge;
    uv_timer_init(supervisor_loop(bridge->supervisor), &bridge->clock);
    bridge->clock.data = bridge;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_open(&bridge->seats[i]);
    watch_open(bridge);
    zygote_open(bridge);
    free(errand);
}

struct bridge *bridge_new(const struct bridge_options *options, struct supervisor *supervisor,
                          struct registry *registry)
{
    struct bridge *bridge = MEM_NEW(struct bridge);
    bridge->runtime.ops = &runtime_ops;
    bridge->options = *options;
    bridge->supervisor = supervisor;
    bridge->registry = registry;
    bridge->seats = mem_array(POOL_MAX_SEATS, sizeof(struct seat));
    bridge->handler = (struct link_handler){.hello = on_hello,
                                            .telemetry = on_telemetry,
                                            .tool_calls = on_tool_calls,
                                            .session_ops = on_session_ops,
                                            .batches = on_batches,
                                            .emissions = on_emissions,
                                            .answers = on_answers,
                                            .pong = on_pong,
                                            .wish = on_wish,
                                            .ended = on_ended,
                                            .context = bridge};
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_init(&bridge->seats[i], bridge, i);
    pthread_mutex_init(&bridge->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&bridge->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    send_errand(bridge, run_open, (struct worker_ref){0}, 0, "");
    return bridge;
}

bool bridge_listen(struct bridge *bridge)
{
    bridge->endpoint =
        endpoint_start(bridge->options.address, bridge->options.threads, &bridge->handler);
    return bridge->endpoint != NULL;
}

struct runtime *bridge_runtime(struct bridge *bridge)
{
    return &bridge->runtime;
}

static void run_serve(struct errand *errand)
{
    struct bridge *bridge = of_errand(errand)->bridge;
    bridge->serving = true;
    if (bridge->failure[0])
        pool_fail(bridge->pool, bridge->failure);
    free(errand);
}

void bridge_serve(struct bridge *bridge, struct pool *pool)
{
    bridge->pool = pool;
    send_errand(bridge, run_serve, (struct worker_ref){0}, 0, "");
}

void bridge_reply(struct bridge *bridge, struct worker_ref worker, const struct tool_reply *reply)
{
    struct link *link = seat_link_of(&bridge->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_tool_reply(link, reply);
    link_flush(link);
    link_unref(&link);
}

static void run_reload(struct errand *errand)
{
    zygote_reload(of_errand(errand)->bridge);
    free(errand);
}

void bridge_reload(struct bridge *bridge)
{
    send_errand(bridge, run_reload, (struct worker_ref){0}, 0, "");
}

void bridge_look_at_refork(struct bridge *bridge, struct reload_view *out_view)
{
    pthread_mutex_lock(&bridge->lock);
    *out_view = bridge->refork;
    pthread_mutex_unlock(&bridge->lock);
}

void bridge_look_at_reload(struct bridge *bridge, struct reload_view *out_view)
{
    pthread_mutex_lock(&bridge->lock);
    *out_view = bridge->reload;
    pthread_mutex_unlock(&bridge->lock);
}

void bridge_wait(struct bridge *bridge, uint64_t timeout_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_us / 1000000);
    pthread_mutex_lock(&bridge->lock);
    while (bridge->occupied &&
           pthread_cond_timedwait(&bridge->changed, &bridge->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&bridge->lock);
}

static void run_close(struct errand *errand)
{
    struct bridge *bridge = of_errand(errand)->bridge;
    bridge->leaving = true;
    zygote_close(bridge);
    watch_close(bridge);
    uv_close((uv_handle_t *)&bridge->clock, NULL);
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_close(&bridge->seats[i]);
    free(errand);
}

void bridge_close(struct bridge *bridge)
{
    endpoint_stop(&bridge->endpoint);
    send_errand(bridge, run_close, (struct worker_ref){0}, 0, "");
}

void bridge_free(struct bridge **bridge)
{
    struct bridge *gone = *bridge;
    *bridge = NULL;
    if (!gone)
        return;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        pthread_mutex_destroy(&gone->seats[i].lock);
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->lock);
    free(gone->seats);
    free(gone);
}
