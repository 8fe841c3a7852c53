#include "bridge/zygote.h"

#include "base/log.h"
#include "bridge/inside.h"
#include "bridge/seat.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RETRY_MS = 1000 };

static const struct interpreter_handler handler;

/* --- supplying seats --- */

void zygote_supply(struct bridge *bridge, struct seat *seat)
{
    if (seat->state != SEAT_WAITING)
        return;
    if (bridge->spawn_only)
        seat_boot(seat);
    else if (bridge->zygote_loaded && !seat_fork(seat, bridge->zygote, bridge->generation))
        interpreter_kill(bridge->zygote); /* it does not listen; the seat waits for the next */
}

static void supply_all(struct bridge *bridge)
{
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        zygote_supply(bridge, &bridge->seats[i]);
}

/* --- reloading --- */

static void set_pending(struct bridge *bridge, bool pending)
{
    pthread_mutex_lock(&bridge->lock);
    bridge->reload.pending = pending;
    pthread_mutex_unlock(&bridge->lock);
}

/* In the bridge's `reload` or `refork`. `error`: why it failed, or NULL. */
static void note(struct bridge *bridge, struct reload_view *view, enum reload_state state,
                 const char *error)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&bridge->lock);
    view->state = state;
    view->at_s = now.tv_sec;
    snprintf(view->error, sizeof view->error, "%s", error ? error : "");
    pthread_mutex_unlock(&bridge->lock);
}

static void replace_workers(struct bridge *bridge, bool warm)
{
    log_event(LOG_INFO,
              warm ? "workers are replaced by forks of a warm one"
                   : "code reloaded; workers are replaced",
              LOG_STR("pool", pool_name(bridge->pool)), LOG_END);
    note(bridge, warm ? &bridge->refork : &bridge->reload, RELOAD_REPLACING, NULL);
    pool_reload(bridge->pool);
}

static void begin_reload(struct bridge *bridge)
{
    if (bridge->spawn_only) { /* each worker loads the code itself */
        replace_workers(bridge, false);
        return;
    }
    note(bridge, &bridge->reload, RELOAD_LOADING, NULL);
    bridge->next_is_warm = false;
    bridge->next_zygote =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &handler, bridge);
}

/* The last one, and the process that it replaced, are out of the way. */
static void begin_pending(struct bridge *bridge)
{
    if (!bridge->reload.pending || bridge->next_zygote || bridge->old_zygote || bridge->leaving)
        return;
    set_pending(bridge, false);
    begin_reload(bridge);
}

static void fail_reload(struct bridge *bridge, const char *reason)
{
    if (bridge->leaving)
        return;
    log_event(LOG_ERROR, "pool not reloaded: workers go on with the code they have",
              LOG_STR("pool", pool_name(bridge->pool)), LOG_STR("reason", reason), LOG_END);
    note(bridge, &bridge->reload, RELOAD_FAILED, reason);
    pool_is_cold(bridge->pool); /* as long as it loaded no worker could be taken */
}

/* Not tried again until there is another zygote. */
static void fail_refork(struct bridge *bridge, const char *reason)
{
    if (bridge->leaving)
        return;
    log_event(LOG_WARNING, "workers cannot be forked from a warm one",
              LOG_STR("pool", pool_name(bridge->pool)), LOG_STR("reason", reason), LOG_END);
    note(bridge, &bridge->refork, RELOAD_FAILED, reason);
}

static void take_over(struct bridge *bridge)
{
    uv_timer_stop(&bridge->zygote_retry); /* there is one now */
    bridge->old_zygote = bridge->zygote;
    bridge->zygote = bridge->next_zygote;
    bridge->next_zygote = NULL;
    bridge->refork_missed = false;
    replace_workers(bridge, bridge->next_is_warm);
}

/* --- what interpreters tell --- */

static void on_loaded(void *context, struct interpreter *interpreter, bool forkable,
                      const char *reason)
{
    struct bridge *bridge = context;
    bool warm = interpreter == bridge->next_zygote && bridge->next_is_warm;
    if (warm && !forkable) {
        fail_refork(bridge, reason);
        interpreter_kill(interpreter);
        return;
    }
    if (interpreter == bridge->next_zygote)
        take_over(bridge);
    else if (interpreter != bridge->zygote) /* replaced before it had loaded */
        return;
    bridge->zygote_loaded = forkable;
    bridge->generation++;
    if (!warm && bridge->serving) /* it begins cold */
        pool_is_cold(bridge->pool);
    if (!forkable) {
        log_event(LOG_WARNING, "workers are spawned one by one: what was loaded cannot be forked",
                  LOG_STR("reason", reason), LOG_END);
        bridge->spawn_only = true;
        interpreter_kill(interpreter);
    }
    supply_all(bridge);
}

static struct seat *find_forking(struct bridge *bridge, const struct interpreter *interpreter,
                                 const char *worker)
{
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        struct seat *seat = &bridge->seats[i];
        if (seat->state == SEAT_FORKING && seat->mother == interpreter &&
            strcmp(seat->id, worker) == 0)
            return seat;
    }
    return NULL;
}

static void on_forked(void *context, struct interpreter *interpreter, const char *worker, pid_t pid)
{
    struct seat *seat = find_forking(context, interpreter, worker);
    if (seat)
        seat_forked(seat, pid);
}

static void on_unable(void *context, struct interpreter *interpreter, const char *worker,
                      const char *reason)
{
    struct bridge *bridge = context;
    (void)interpreter;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        struct seat *seat = &bridge->seats[i];
        if (seat->state != SEAT_EMPTY && strcmp(seat->id, worker) == 0)
            seat_unable(seat, reason);
    }
}

static void start(struct bridge *bridge)
{
    bridge->zygote =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &handler, bridge);
}

static void on_retry(uv_timer_t *timer)
{
    start(timer->data);
}

/* The one that workers come from. `reason`: why it could not load. */
static void on_lost(struct bridge *bridge, const char *reason, const struct worker_exit *exit)
{
    bridge->zygote = NULL;
    bridge->zygote_loaded = false;
    if (bridge->leaving || bridge->spawn_only)
        return;
    if (reason)
        bridge_failed(bridge, reason);
    else
        log_event(LOG_WARNING, "zygote lost", LOG_STR("cause", exit->cause),
                  LOG_INT("signal", exit->signal), LOG_INT("code", exit->code), LOG_END);
    uv_timer_start(&bridge->zygote_retry, on_retry, reason ? RETRY_MS : 0, 0);
}

static void on_ended(void *context, struct interpreter *interpreter, const char *reason,
                     const struct worker_exit *exit)
{
    struct bridge *bridge = context;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_orphaned(&bridge->seats[i], interpreter);
    if (interpreter == bridge->next_zygote) {
        bridge->next_zygote = NULL;
        if (!bridge->next_is_warm)
            fail_reload(bridge, reason ? reason : "the process that loaded it has ended");
        else if (reason) /* otherwise it has said why it cannot */
            fail_refork(bridge, reason);
    } else if (interpreter == bridge->old_zygote) {
        bridge->old_zygote = NULL;
        if (bridge->refork_missed)
            pool_is_cold(bridge->pool);
        bridge->refork_missed = false;
    } else if (interpreter == bridge->zygote) {
        on_lost(bridge, reason, exit);
    }
    begin_pending(bridge);
}

static const struct interpreter_handler handler = {
    .loaded = on_loaded,
    .forked = on_forked,
    .unable = on_unable,
    .ended = on_ended,
};

/* --- life --- */

void zygote_open(struct bridge *bridge)
{
    uv_timer_init(supervisor_loop(bridge->supervisor), &bridge->zygote_retry);
    bridge->zygote_retry.data = bridge;
    start(bridge);
}

void zygote_close(struct bridge *bridge)
{
    struct interpreter *all[] = {bridge->zygote, bridge->next_zygote, bridge->old_zygote};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i])
            interpreter_kill(all[i]);
    }
    uv_close((uv_handle_t *)&bridge->zygote_retry, NULL);
}

void zygote_reload(struct bridge *bridge)
{
    set_pending(bridge, true);
    begin_pending(bridge);
}

/* Whether the worker, which was forked from this very zygote, may take its place now. */
static bool may_adopt(const struct bridge *bridge, const struct seat *seat)
{
    return seat->generation == bridge->generation && bridge->zygote && !bridge->next_zygote &&
           !bridge->old_zygote && !bridge->leaving;
}

void zygote_refork(struct bridge *bridge, struct seat *seat, struct worker_ref worker,
                   uint64_t grace_us)
{
    bool adoptable = may_adopt(bridge, seat);
    if (adoptable && grace_us) /* it is as a zygote that loads: nobody waits for it */
        grace_us = bridge->options.interpreter.load_timeout_us;
    bridge->refork_missed |= bridge->old_zygote && seat->generation == bridge->generation;
    seat_refork(seat, worker, grace_us, adoptable);
}

void zygote_adopt(struct bridge *bridge, struct seat *seat)
{
    if (!may_adopt(bridge, seat)) {
        seat_kill(seat);
        return;
    }
    int control = seat->control;
    seat->control = -1;
    note(bridge, &bridge->refork, RELOAD_LOADING, NULL);
    bridge->next_is_warm = true;
    bridge->next_zygote = interpreter_adopt(bridge->supervisor, &bridge->options.interpreter,
                                            &handler, bridge, control, &seat->process);
    seat_vacate(seat);
}

/* Whether workers that it was asked for are still to come. */
static bool is_needed(const struct bridge *bridge, const struct interpreter *zygote)
{
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        const struct seat *seat = &bridge->seats[i];
        if (seat->state == SEAT_FORKING && seat->mother == zygote)
            return true;
    }
    return false;
}

void zygote_round(struct bridge *bridge)
{
    if (bridge->old_zygote && !is_needed(bridge, bridge->old_zygote))
        interpreter_kill(bridge->old_zygote);
    struct reload_view *views[] = {&bridge->reload, &bridge->refork};
    for (unsigned i = 0; i < 2; i++) {
        if (views[i]->state == RELOAD_REPLACING && pool_outdated(bridge->pool) == 0)
            note(bridge, views[i], RELOAD_DONE, NULL);
    }
}
