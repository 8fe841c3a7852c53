/* How a worker comes to its seat: forked, or as an interpreter of its own. */
#include "bridge/seat.h"

#include "base/log.h"
#include "bridge/control.h"
#include "bridge/inside.h"
#include "bridge/page.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

static struct tail *listen_to(const struct seat *seat, const char *stream, enum log_level level,
                              int *out_fd)
{
    const struct bridge *bridge = seat->bridge;
    const struct chatter_source source = {.pool = pool_name(bridge->pool),
                                          .worker = seat->id,
                                          .stream = stream,
                                          .level = level,
                                          .lines_per_second = bridge->options.output_lines};
    return tail_open(supervisor_loop(bridge->supervisor), &source, out_fd);
}

/* It is known whose words they are. */
static void tell_pid(struct seat *seat)
{
    tail_belongs_to(seat->tail, seat_pid(seat));
    tail_belongs_to(seat->output, seat_pid(seat));
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
        .output_fd = seat->output_fd,
        .channel_fd = seat->channel_fd,
        .template_fd = seat->template_fd,
    };
}

static void give_up(struct seat *seat, const char *why)
{
    log_event(LOG_ERROR, "cannot start a worker", LOG_STR("worker", seat->id),
              LOG_STR("reason", why), LOG_END);
    seat->exit = (struct worker_exit){.cause = "not started"};
    seat_vacate(seat);
}

static void arm_start_timeout(struct seat *seat)
{
    seat_set_timer(seat, seat->bridge->options.start_timeout_us / 1000);
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
    seat->tail = listen_to(seat, "stderr", LOG_WARNING, &seat->error_fd);
    seat->output = listen_to(seat, "stdout", LOG_INFO, &seat->output_fd);
    if (seat->bridge->options.refork && !seat->bridge->spawn_only &&
        !control_pair(&seat->control, &seat->template_fd))
        log_event(LOG_WARNING, "no worker can be forked from this one", LOG_STR("worker", id),
                  LOG_STR("reason", strerror(errno)), LOG_END);
    if (!seat->page || !seat->tail || !seat->output || !channel || !random)
        give_up(seat, strerror(errno));
}

/* --- forked --- */

bool seat_fork(struct seat *seat, struct interpreter *zygote, unsigned generation)
{
    char token[2 * START_TOKEN_BYTES + 1];
    struct interpreter_task task = make_task(seat, token);
    if (!interpreter_fork(zygote, &task))
        return false;
    seat_close_handed_over(seat);
    seat->generation = generation;
    seat->mother = zygote;
    seat_move(seat, SEAT_FORKING);
    arm_start_timeout(seat);
    return true;
}

void seat_forked(struct seat *seat, pid_t pid)
{
    seat_move(seat, SEAT_ALIVE);
    supervisor_watch(seat->bridge->supervisor, &seat->process, pid);
    tell_pid(seat);
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
    seat_close_handed_over(seat);
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
    seat_gone(seat, exit);
}

static const struct interpreter_handler own_interpreter = {
    .loaded = on_loaded, .unable = on_unable, .ended = on_ended};

void seat_boot(struct seat *seat)
{
    struct bridge *bridge = seat->bridge;
    seat_move(seat, SEAT_BOOTING);
    seat->interpreter =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &own_interpreter, seat);
    tell_pid(seat);
}
