#include "bridge/bridge.h"

#include "base/mem.h"
#include "bridge/inside.h"
#include "bridge/order.h"
#include "bridge/reception.h"
#include "bridge/seat.h"
#include "bridge/service.h"
#include "bridge/watch.h"
#include "bridge/zygote.h"

#include <stdlib.h>
#include <time.h>

static void run_open(struct bridge *bridge, const struct order *order)
{
    (void)order;
    uv_timer_init(supervisor_loop(bridge->supervisor), &bridge->clock);
    bridge->clock.data = bridge;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_open(&bridge->seats[i]);
    watch_open(bridge);
    zygote_open(bridge);
}

struct bridge *bridge_new(const struct bridge_options *options, struct supervisor *supervisor,
                          struct registry *registry)
{
    struct bridge *bridge = MEM_NEW(struct bridge);
    bridge->runtime.ops = &bridge_runtime_ops;
    bridge->options = *options;
    bridge->supervisor = supervisor;
    bridge->registry = registry;
    bridge->seats = mem_array(POOL_MAX_SEATS, sizeof(struct seat));
    bridge->handler = reception_handler(bridge);
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_init(&bridge->seats[i], bridge, i);
    pthread_mutex_init(&bridge->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&bridge->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    order_send(bridge, run_open, (struct order){0});
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

static void run_serve(struct bridge *bridge, const struct order *order)
{
    (void)order;
    bridge->serving = true;
    if (bridge->failure[0])
        pool_fail(bridge->pool, bridge->failure);
}

void bridge_serve(struct bridge *bridge, struct pool *pool)
{
    bridge->pool = pool;
    order_send(bridge, run_serve, (struct order){0});
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

static void run_reload(struct bridge *bridge, const struct order *order)
{
    (void)order;
    zygote_reload(bridge);
}

void bridge_reload(struct bridge *bridge)
{
    order_send(bridge, run_reload, (struct order){0});
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

static void run_close(struct bridge *bridge, const struct order *order)
{
    (void)order;
    bridge->leaving = true;
    zygote_close(bridge);
    watch_close(bridge);
    uv_close((uv_handle_t *)&bridge->clock, NULL);
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_close(&bridge->seats[i]);
}

void bridge_close(struct bridge *bridge)
{
    endpoint_stop(&bridge->endpoint);
    order_send(bridge, run_close, (struct order){0});
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
