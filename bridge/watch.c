#include "bridge/watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "bridge/inside.h"
#include "bridge/memory.h"
#include "bridge/page.h"
#include "bridge/seat.h"
#include "bridge/zygote.h"

#include <signal.h>
#include <sys/wait.h>

enum { ROUND_MS = 500, STALL_AFTER_US = 5000000 };

/* How long the answer to a ping may take from the worker's socket to us. */
enum { DEAF_AFTER_US = 2000000 };

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

static bool has_answered(struct seat *seat)
{
    pthread_mutex_lock(&seat->lock);
    bool answered = seat->pong == seat->ping;
    pthread_mutex_unlock(&seat->lock);
    return answered;
}

static void set_stalled(struct seat *seat, bool stalled, uint64_t for_us)
{
    if (seat->stalled == stalled)
        return;
    seat->stalled = stalled;
    pool_worker_stalled(seat->bridge->pool, seat->worker, stalled);
    log_event(LOG_WARNING, stalled ? "worker stalled: it does not answer" : "worker answers again",
              LOG_STR("worker", seat->id), LOG_INT("pid", seat_pid(seat)),
              LOG_INT("ms", for_us / 1000), LOG_END);
}

static void end(struct seat *seat, const char *event, const char *why, uint64_t waited_us)
{
    log_event(LOG_WARNING, event, LOG_STR("worker", seat->id), LOG_INT("pid", seat_pid(seat)),
              LOG_INT("ms", waited_us / 1000), LOG_END);
    pool_worker_lost(seat->bridge->pool, seat->worker, why);
    seat_kill(seat);
}

/* Whether what the worker sends would be seen now: nothing has come, and nothing keeps us from
 * reading. */
static bool is_listened_to(struct seat *seat, struct link *link)
{
    unsigned reads = link_reads(link), before = seat->reads;
    seat->reads = reads;
    return reads == before && reads % 2 == 0 && !link_is_paused(link);
}

/* The worker wrote its answer to the ping long ago, and nothing comes from it. gRPC does not tell:
 * bytes that a tool put into the socket may look like frames of HTTP/2 that are to be skipped, with
 * the worker's own in them. */
static bool is_deaf(struct seat *seat, struct link *link, uint64_t now_us)
{
    bool listened_to = is_listened_to(seat, link);
    if (page_pong(seat->page) != seat->ping || !listened_to)
        seat->sent_us = 0;
    else if (seat->sent_us == 0)
        seat->sent_us = now_us;
    return seat->sent_us && now_us - seat->sent_us >= DEAF_AFTER_US;
}

static void wait_for_pong(struct seat *seat, uint64_t waited_us)
{
    const struct bridge_options *options = &seat->bridge->options;
    if (waited_us >= (options->stall_after_us ? options->stall_after_us : STALL_AFTER_US))
        set_stalled(seat, true, waited_us);
    if (options->kill_stalled_after_us && waited_us >= options->kill_stalled_after_us)
        end(seat, "stalled worker killed", "it did not answer pings for heartbeat.kill_after",
            waited_us);
}

/* It is dead, though nobody has told us yet. gRPC, writing to it, would drop what it had written.
 */
static bool has_ended(const struct seat *seat)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)seat_pid(seat), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

static void check(struct seat *seat, struct link *link, uint64_t now_us)
{
    uint64_t since_us = now_us - seat->pinged_us;
    if (!has_answered(seat)) {
        if (is_deaf(seat, link, now_us))
            end(seat, "worker killed: what it sends does not arrive",
                "its stream to the gateway is broken", since_us);
        else
            wait_for_pong(seat, since_us);
        return;
    }
    set_stalled(seat, false, since_us);
    if (since_us < seat->bridge->options.heartbeat_interval_us || has_ended(seat))
        return;
    seat->pinged_us = now_us;
    seat->sent_us = 0;
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
