#include "bridge/watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "bridge/inside.h"
#include "bridge/memory.h"
#include "bridge/zygote.h"

#include <string.h>

enum { ROUND_MS = 500, STALL_AFTER_US = 5000000 };

/* Between two looks at the workers' memory: when it is only shown, and when it is limited, for
 * which a leak must not get far. */
enum { MEASURE_MS = 1000, MEASURE_LIMITED_MS = 100 };

void watch_pong(struct seat *seat, struct worker_ref worker, uint64_t sequence)
{
    pthread_mutex_lock(&seat->lock);
    if (seat->worker.number == worker.number)
        seat->pong = sequence;
    pthread_mutex_unlock(&seat->lock);
}

bool bridge_worker_stalled(struct bridge *bridge, const char *id)
{
    bool stalled = false;
    for (unsigned i = 0; i < POOL_MAX_SEATS && !stalled; i++) {
        struct seat *seat = &bridge->seats[i];
        pthread_mutex_lock(&seat->lock);
        stalled = seat->stalled && strcmp(seat->id, id) == 0;
        pthread_mutex_unlock(&seat->lock);
    }
    return stalled;
}

static bool has_answered(struct seat *seat)
{
    pthread_mutex_lock(&seat->lock);
    bool answered = seat->pong == seat->ping;
    pthread_mutex_unlock(&seat->lock);
    return answered;
}

static void set_stalled(struct seat *seat, bool stalled, uint64_t for_us)
{
    if (seat->stalled == stalled) /* only this thread writes it */
        return;
    pthread_mutex_lock(&seat->lock);
    seat->stalled = stalled;
    pthread_mutex_unlock(&seat->lock);
    log_event(LOG_WARNING, stalled ? "worker stalled: it does not answer" : "worker answers again",
              LOG_STR("worker", seat->id), LOG_INT("pid", seat_pid(seat)),
              LOG_INT("ms", for_us / 1000), LOG_END);
}

static void wait_for_pong(struct seat *seat, uint64_t waited_us)
{
    const struct bridge_options *options = &seat->bridge->options;
    if (waited_us >= (options->stall_after_us ? options->stall_after_us : STALL_AFTER_US))
        set_stalled(seat, true, waited_us);
    if (options->kill_stalled_after_us && waited_us >= options->kill_stalled_after_us) {
        log_event(LOG_WARNING, "stalled worker killed", LOG_STR("worker", seat->id),
                  LOG_INT("ms", waited_us / 1000), LOG_END);
        seat_kill(seat);
    }
}

static void check(struct seat *seat, struct link *link, uint64_t now_us)
{
    uint64_t since_us = now_us - seat->pinged_us;
    if (!has_answered(seat)) {
        wait_for_pong(seat, since_us);
        return;
    }
    set_stalled(seat, false, since_us);
    if (since_us < seat->bridge->options.heartbeat_interval_us)
        return;
    seat->pinged_us = now_us;
    link_add_ping(link, ++seat->ping);
    link_flush(link);
}

static void on_measure(uv_timer_t *timer)
{
    struct bridge *bridge = timer->data;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        struct seat *seat = &bridge->seats[i];
        if (seat->state != SEAT_ALIVE || seat->exited)
            continue;
        uint64_t resident = memory_resident(seat_pid(seat));
        if (resident)
            pool_worker_measured(bridge->pool, seat->worker, resident);
    }
}

static void on_round(uv_timer_t *timer)
{
    struct bridge *bridge = timer->data;
    uint64_t now_us = clock_now_us();
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        struct seat *seat = &bridge->seats[i];
        if (seat->state != SEAT_ALIVE || seat->exited)
            continue;
        struct link *link = seat_link(seat);
        if (link && bridge->options.heartbeat_interval_us)
            check(seat, link, now_us);
        link_unref(&link);
    }
    zygote_round(bridge);
}

void watch_open(struct bridge *bridge)
{
    uv_timer_init(supervisor_loop(bridge->supervisor), &bridge->rounds);
    bridge->rounds.data = bridge;
    uv_timer_start(&bridge->rounds, on_round, ROUND_MS, ROUND_MS);
    unsigned measure_ms = bridge->options.memory_limited ? MEASURE_LIMITED_MS : MEASURE_MS;
    uv_timer_init(supervisor_loop(bridge->supervisor), &bridge->measures);
    bridge->measures.data = bridge;
    uv_timer_start(&bridge->measures, on_measure, measure_ms, measure_ms);
}

void watch_close(struct bridge *bridge)
{
    uv_close((uv_handle_t *)&bridge->rounds, NULL);
    uv_close((uv_handle_t *)&bridge->measures, NULL);
}
