#include "bridge/seat.h"

#include "base/log.h"
#include "bridge/control.h"
#include "bridge/inside.h"
#include "bridge/page.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
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

void seat_init(struct seat *seat, struct bridge *bridge, unsigned index)
{
    seat->bridge = bridge;
    seat->worker.seat = index;
    seat->page_fd = seat->error_fd = seat->channel_fd = seat->template_fd = seat->control = -1;
    seat->process.on_exit = on_process_exit;
    list_init(&seat->process.place);
    pthread_mutex_init(&seat->lock, NULL);
}

void seat_open(struct seat *seat)
{
    uv_timer_init(supervisor_loop(seat->bridge->supervisor), &seat->timer);
    seat->timer.data = seat;
}

struct link *seat_link(struct seat *seat)
{
    pthread_mutex_lock(&seat->lock);
    struct link *link = seat->link ? link_ref(seat->link) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return link;
}

struct link *seat_link_of(struct seat *seat, struct worker_ref worker)
{
    pthread_mutex_lock(&seat->lock);
    bool same = seat->link && seat->worker.number == worker.number;
    struct link *link = same ? link_ref(seat->link) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return link;
}

struct channel *seat_channel_of(struct seat *seat, struct worker_ref worker)
{
    pthread_mutex_lock(&seat->lock);
    bool same = seat->channel && seat->worker.number == worker.number;
    struct channel *channel = same ? channel_ref(seat->channel) : NULL;
    pthread_mutex_unlock(&seat->lock);
    return channel;
}

/* In constant time, since it compares a secret. */
static bool token_matches(const struct seat *seat, struct bytes token)
{
    unsigned difference = 0;
    if (token.len != START_TOKEN_BYTES)
        return false;
    for (unsigned i = 0; i < START_TOKEN_BYTES; i++)
        difference |= (unsigned)(seat->token[i] ^ (uint8_t)token.data[i]);
    return difference == 0;
}

bool seat_runs(struct seat *seat, struct worker_ref worker, uint64_t call_id)
{
    pthread_mutex_lock(&seat->lock);
    bool runs = seat->page && seat->worker.number == worker.number &&
                page_shows_running(seat->page, call_id);
    pthread_mutex_unlock(&seat->lock);
    return runs;
}

bool seat_attach(struct seat *seat, const struct frame_hello *hello, struct link *link,
                 struct worker_ref *out_worker)
{
    pthread_mutex_lock(&seat->lock);
    bool match = seat->id[0] && !seat->link && bytes_equal(bytes_of(seat->id), hello->worker_id) &&
                 token_matches(seat, hello->token);
    if (match) {
        seat->link = link_ref(link);
        *out_worker = seat->worker;
    }
    pthread_mutex_unlock(&seat->lock);
    return match;
}

bool seat_detach(struct seat *seat, struct link *link)
{
    struct link *mine = NULL;
    pthread_mutex_lock(&seat->lock);
    if (seat->link == link) {
        mine = seat->link;
        seat->link = NULL;
    }
    pthread_mutex_unlock(&seat->lock);
    bool was = mine != NULL;
    link_unref(&mine);
    return was;
}

/* --- supervisor's thread --- */

static void set_timer(struct seat *seat, uint64_t after_ms)
{
    uv_timer_start(&seat->timer, on_timer, after_ms, 0);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* What the worker has by now, or never will have. */
static void close_handed_over(struct seat *seat)
{
    close_fd(&seat->page_fd);
    close_fd(&seat->error_fd);
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
    close_handed_over(seat);
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

/* The process has ended. What it had sent before may still be on its way: the stream's own end
 * comes after it. */
static void on_gone(struct seat *seat, const struct worker_exit *exit)
{
    seat->exit = *exit;
    if (died_of_gpu(seat, exit))
        seat->exit.cause = "gpu";
    seat->exited = true;
    struct link *link = seat_link(seat);
    if (link)
        set_timer(seat, STREAM_LAG_MS);
    else
        seat_vacate(seat);
    link_unref(&link);
}

static void on_process_exit(struct process *process, const struct worker_exit *exit)
{
    on_gone(CONTAINER_OF(process, struct seat, process), exit);
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
        set_timer(seat, PROCESS_LAG_MS);
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

static void arm_start_timeout(struct seat *seat)
{
    set_timer(seat, seat->bridge->options.start_timeout_us / 1000);
}

static void give_up(struct seat *seat, const char *why)
{
    log_event(LOG_ERROR, "cannot start a worker", LOG_STR("worker", seat->id),
              LOG_STR("reason", why), LOG_END);
    seat->exit = (struct worker_exit){.cause = "not started"};
    seat_vacate(seat);
}

static struct interpreter_task make_task(const struct seat *seat, char *token)
{
    for (unsigned i = 0; i < START_TOKEN_BYTES; i++)
        snprintf(token + (size_t)2 * i, 3, "%02x", seat->token[i]);
    return (struct interpreter_task){
        .worker = seat->id,
        .token = token,
        .address = seat->bridge->options.address,
        .profile = seat->bridge->options.profile,
        .slots = seat->bridge->options.slots,
        .page_fd = seat->page_fd,
        .error_fd = seat->error_fd,
        .channel_fd = seat->channel_fd,
        .template_fd = seat->template_fd,
    };
}

bool seat_fork(struct seat *seat, struct interpreter *zygote, unsigned generation)
{
    char token[2 * START_TOKEN_BYTES + 1];
    struct interpreter_task task = make_task(seat, token);
    if (!interpreter_fork(zygote, &task))
        return false;
    close_handed_over(seat);
    seat->generation = generation;
    seat->mother = zygote;
    seat_move(seat, SEAT_FORKING);
    arm_start_timeout(seat);
    return true;
}

/* --- an interpreter of one's own --- */

static void on_loaded(void *context, struct interpreter *interpreter, bool forkable,
                      const char *reason)
{
    struct seat *seat = context;
    char token[2 * START_TOKEN_BYTES + 1];
    struct interpreter_task task = make_task(seat, token);
    (void)forkable;
    (void)reason;
    seat_move(seat, SEAT_ALIVE);
    if (seat->stopping || !interpreter_become(interpreter, &task))
        interpreter_kill(interpreter);
    close_handed_over(seat);
    arm_start_timeout(seat);
}

static void on_unable(void *context, struct interpreter *interpreter, const char *worker,
                      const char *reason)
{
    (void)interpreter;
    (void)worker;
    seat_unable(context, reason);
}

static void on_ended(void *context, struct interpreter *interpreter, const char *reason,
                     const struct worker_exit *exit)
{
    struct seat *seat = context;
    (void)interpreter;
    seat->interpreter = NULL;
    if (reason) {
        log_event(LOG_ERROR, "cannot start a worker", LOG_STR("worker", seat->id),
                  LOG_STR("reason", reason), LOG_END);
        seat_unable(seat, reason);
    }
    on_gone(seat, exit);
}

static const struct interpreter_handler own_interpreter = {
    .loaded = on_loaded, .unable = on_unable, .ended = on_ended};

void seat_boot(struct seat *seat)
{
    struct bridge *bridge = seat->bridge;
    seat_move(seat, SEAT_BOOTING);
    seat->interpreter =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &own_interpreter, seat);
}

void seat_start(struct seat *seat, struct worker_ref worker, const char *id)
{
    struct channel *channel = channel_new(&seat->channel_fd);
    pthread_mutex_lock(&seat->lock);
    seat->worker = worker;
    seat->channel = channel;
    snprintf(seat->id, sizeof seat->id, "%s", id);
    bool random = getrandom(seat->token, sizeof seat->token, 0) == sizeof seat->token;
    seat->pong = 0;
    seat->page = page_new(&seat->page_fd);
    pthread_mutex_unlock(&seat->lock);
    seat->stopping = seat->exited = seat->attached = seat->reforking = false;
    seat->failure[0] = '\0';
    seat->ping = seat->pinged_us = seat->sent_us = 0;
    seat->exit = (struct worker_exit){.cause = "exit"};
    seat_move(seat, SEAT_WAITING);
    seat->tail = tail_open(supervisor_loop(seat->bridge->supervisor), &seat->error_fd);
    if (seat->bridge->options.refork && !seat->bridge->spawn_only &&
        !control_pair(&seat->control, &seat->template_fd))
        log_event(LOG_WARNING, "no worker can be forked from this one", LOG_STR("worker", id),
                  LOG_STR("reason", strerror(errno)), LOG_END);
    if (!seat->page || !seat->tail || !channel || !random)
        give_up(seat, strerror(errno));
}

void seat_forked(struct seat *seat, pid_t pid)
{
    seat_move(seat, SEAT_ALIVE);
    supervisor_watch(seat->bridge->supervisor, &seat->process, pid);
    if (seat->stopping)
        supervisor_kill(&seat->process);
}

void seat_orphaned(struct seat *seat, const struct interpreter *zygote)
{
    if (seat->state != SEAT_FORKING || seat->mother != zygote)
        return;
    seat->exit = (struct worker_exit){.cause = "not started"};
    seat_vacate(seat);
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
        set_timer(seat, grace_us / 1000);
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
