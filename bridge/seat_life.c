/* The life of the process in a seat, once it is there, to its end. */
#include "bridge/seat.h"

#include "base/log.h"
#include "bridge/inside.h"
#include "bridge/page.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How long an ended process's stream may take to end, and the other way round. */
enum { STREAM_LAG_MS = 250, PROCESS_LAG_MS = 300 };

static void on_timer(uv_timer_t *timer);
static void on_process_exit(struct process *process, const struct worker_exit *exit);

/* Legal moves: row from, bit to. */
static const unsigned char moves[] = {
    [SEAT_EMPTY] = 1u << SEAT_WAITING,
    [SEAT_WAITING] = 1u << SEAT_FORKING | 1u << SEAT_BOOTING | 1u << SEAT_EMPTY,
    [SEAT_FORKING] = 1u << SEAT_ALIVE | 1u << SEAT_EMPTY,
    [SEAT_BOOTING] = 1u << SEAT_ALIVE | 1u << SEAT_EMPTY,
    [SEAT_ALIVE] = 1u << SEAT_EMPTY,
};

void seat_move(struct seat *seat, enum seat_state next)
{
    if (!(moves[seat->state] & 1u << next)) {
        fprintf(stderr, "snakepit: a seat cannot go from state %d to %d\n", (int)seat->state,
                (int)next);
        abort();
    }
    seat->state = next;
}

void seat_open(struct seat *seat)
{
    uv_timer_init(supervisor_loop(seat->bridge->supervisor), &seat->timer);
    seat->timer.data = seat;
    seat->process.on_exit = on_process_exit;
}

/* --- its end --- */

void seat_set_timer(struct seat *seat, uint64_t after_ms)
{
    uv_timer_start(&seat->timer, on_timer, after_ms, 0);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void seat_close_handed_over(struct seat *seat)
{
    close_fd(&seat->page_fd);
    close_fd(&seat->error_fd);
    close_fd(&seat->output_fd);
    close_fd(&seat->channel_fd);
    close_fd(&seat->template_fd);
}

/* What a worker that is dead has left. */
static void read_legacy(struct seat *seat, struct started_calls *started)
{
    if (seat->page)
        page_read(seat->page, seat->channel, started->memory, started);
    pthread_mutex_lock(&seat->lock);
    page_free(&seat->page);
    pthread_mutex_unlock(&seat->lock);
}

void seat_vacate(struct seat *seat)
{
    struct arena *arena = arena_new(0);
    struct started_calls started = {.known = true, .memory = arena};
    struct worker_exit exit = seat->exit;
    exit.expected = seat->stopping;
    read_legacy(seat, &started);
    tail_close(&seat->tail);
    tail_close(&seat->output);
    seat_close_handed_over(seat);
    close_fd(&seat->control);
    uv_timer_stop(&seat->timer);
    pthread_mutex_lock(&seat->lock);
    struct worker_ref worker = seat->worker;
    struct link *link = seat->link;
    struct channel *channel = seat->channel;
    seat->link = NULL;
    seat->channel = NULL;
    seat->id[0] = '\0';
    pthread_mutex_unlock(&seat->lock);
    seat->stalled = false;
    link_unref(&link);
    channel_unref(&channel);
    seat_move(seat, SEAT_EMPTY);
    if (!seat->attached && !seat->stopping)
        bridge_start_failed(seat->bridge, seat->failure, &exit);
    pool_worker_gone(seat->bridge->pool, worker, &exit, &started);
    arena_unref(&arena);
    bridge_vacated(seat->bridge);
}

/* A GPU's library that cannot go on raises an exception, and then ends its process: only its last
 * words say why. */
static bool died_of_gpu(struct seat *seat, const struct worker_exit *exit)
{
    bool by_itself = exit->signal ? exit->signal != SIGKILL : exit->code != 0;
    return by_itself && seat->tail && tail_blames_gpu(seat->tail);
}

/* What it had sent before may still be on its way: the stream's own end comes after it. */
void seat_gone(struct seat *seat, const struct worker_exit *exit)
{
    seat->exit = *exit;
    if (died_of_gpu(seat, exit))
        seat->exit.cause = "gpu";
    seat->exited = true;
    struct link *link = seat_link(seat);
    if (link)
        seat_set_timer(seat, STREAM_LAG_MS);
    else
        seat_vacate(seat);
    link_unref(&link);
}

static void on_process_exit(struct process *process, const struct worker_exit *exit)
{
    seat_gone(CONTAINER_OF(process, struct seat, process), exit);
}

void seat_attached(struct seat *seat, struct worker_ref worker)
{
    if (seat->state == SEAT_EMPTY || seat->worker.number != worker.number)
        return;
    seat->attached = true;
    if (!seat->stopping && !seat->exited)
        uv_timer_stop(&seat->timer);
}

void seat_unable(struct seat *seat, const char *reason)
{
    snprintf(seat->failure, sizeof seat->failure, "%s", reason);
}

bool seat_unlinked(struct seat *seat, struct worker_ref worker, const char *fault)
{
    if (seat->state == SEAT_EMPTY || seat->worker.number != worker.number)
        return false;
    if (fault[0])
        seat_unable(seat, fault);
    bool adoptable = seat->reforking && !seat->exited;
    if (seat->exited)
        seat_vacate(seat);
    else if (!adoptable && !seat->stopping)
        seat_set_timer(seat, PROCESS_LAG_MS);
    seat->reforking = false;
    return adoptable;
}

pid_t seat_pid(const struct seat *seat)
{
    return seat->interpreter ? interpreter_pid(seat->interpreter) : seat->process.pid;
}

void seat_kill(struct seat *seat)
{
    if (seat->interpreter)
        interpreter_kill(seat->interpreter);
    else
        supervisor_kill(&seat->process);
}

void seat_close(struct seat *seat)
{
    seat_kill(seat);
    tail_close(&seat->tail);
    tail_close(&seat->output);
    uv_close((uv_handle_t *)&seat->timer, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct seat *seat = timer->data;
    if (seat->exited) {
        struct link *link = seat_link(seat);
        if (link)
            link_close(link);
        link_unref(&link);
        return;
    }
    log_event(LOG_WARNING,
              "worker killed: it did not attach, let go of its stream or leave in time",
              LOG_STR("worker", seat->id), LOG_END);
    if (seat->state == SEAT_FORKING)
        interpreter_kill(seat->mother);
    else
        seat_kill(seat);
}

void seat_stop(struct seat *seat, struct worker_ref worker, uint64_t grace_us)
{
    if (seat->state == SEAT_EMPTY || seat->worker.number != worker.number)
        return;
    seat->stopping = true;
    struct link *link = seat_link_of(seat, worker);
    if (seat->state == SEAT_WAITING) {
        seat_vacate(seat);
    } else if (link && grace_us) {
        link_add_stop(link, grace_us, seat->reforking);
        link_flush(link);
        seat_set_timer(seat, grace_us / 1000);
    } else if (seat->state != SEAT_FORKING) {
        seat_kill(seat);
    }
    link_unref(&link);
}

void seat_refork(struct seat *seat, struct worker_ref worker, uint64_t grace_us, bool adoptable)
{
    if (seat->state == SEAT_EMPTY || seat->worker.number != worker.number)
        return;
    seat->reforking = adoptable && seat->state == SEAT_ALIVE && !seat->interpreter &&
                      seat->control >= 0 && grace_us;
    seat_stop(seat, worker, grace_us);
}
