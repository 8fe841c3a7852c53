#include "bridge/service.h"

#include "base/clock.h"
#include "bridge/inside.h"
#include "bridge/link.h"
#include "bridge/order.h"
#include "bridge/seat.h"
#include "bridge/zygote.h"

#include <stdio.h>

static struct bridge *of(struct runtime *runtime)
{
    return (struct bridge *)(void *)runtime;
}

/* --- processes, on the supervisor's thread --- */

static struct seat *seat_of(struct bridge *bridge, struct worker_ref worker)
{
    return &bridge->seats[worker.seat];
}

static void run_start(struct bridge *bridge, const struct order *order)
{
    struct seat *seat = seat_of(bridge, order->worker);
    seat_start(seat, order->worker, order->text);
    zygote_supply(bridge, seat);
}

static void run_stop(struct bridge *bridge, const struct order *order)
{
    seat_stop(seat_of(bridge, order->worker), order->worker, order->grace_us);
}

static void run_refork(struct bridge *bridge, const struct order *order)
{
    zygote_refork(bridge, seat_of(bridge, order->worker), order->worker, order->grace_us);
}

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

static void run_alarm(struct bridge *bridge, const struct order *order)
{
    (void)order;
    if (!bridge->leaving)
        on_clock(&bridge->clock);
}

static void service_start(struct runtime *runtime, struct worker_ref worker, const char *id)
{
    struct bridge *bridge = of(runtime);
    struct order order = {.worker = worker};
    snprintf(order.text, sizeof order.text, "%s", id);
    pthread_mutex_lock(&bridge->lock);
    bridge->occupied++;
    pthread_mutex_unlock(&bridge->lock);
    order_send(bridge, run_start, order);
}

static void service_stop(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    order_send(of(runtime), run_stop, (struct order){.worker = worker, .grace_us = grace_us});
}

static void service_refork(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us)
{
    order_send(of(runtime), run_refork, (struct order){.worker = worker, .grace_us = grace_us});
}

static void service_alarm(struct runtime *runtime, uint64_t due_us)
{
    (void)due_us;
    order_send(of(runtime), run_alarm, (struct order){0});
}

/* --- calls, on any thread --- */

static void mark_dirty(struct bridge *bridge, unsigned seat)
{
    atomic_fetch_or_explicit(&bridge->dirty[seat / 64], UINT64_C(1) << seat % 64,
                             memory_order_release);
}

static void service_invoke(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                           struct call *call, uint64_t remaining_us, bool session_begins)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_invoke(link, call_id, call, remaining_us, session_begins);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void service_end_session(struct runtime *runtime, struct worker_ref worker, struct bytes id)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_ended_session(link, id);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void service_cancel(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_cancel(link, call_id);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void service_recall(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_recall(link, call_id);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void service_credit(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                           uint64_t bytes)
{
    struct link *link = seat_link_of(&of(runtime)->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_credit(link, call_id, bytes);
    mark_dirty(of(runtime), worker.seat);
    link_unref(&link);
}

static void service_flush(struct runtime *runtime)
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

static bool service_runs(struct runtime *runtime, struct worker_ref worker, uint64_t call_id)
{
    return seat_runs(&of(runtime)->seats[worker.seat], worker, call_id);
}

const struct runtime_ops bridge_runtime_ops = {
    .start = service_start,
    .invoke = service_invoke,
    .credit = service_credit,
    .end_session = service_end_session,
    .cancel = service_cancel,
    .recall = service_recall,
    .stop = service_stop,
    .refork = service_refork,
    .flush = service_flush,
    .runs = service_runs,
    .alarm = service_alarm,
};
