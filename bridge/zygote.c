#include "bridge/zygote.h"

#include "base/log.h"
#include "bridge/inside.h"

#include <string.h>

enum { RETRY_MS = 1000 };

static void start(struct bridge *bridge);

static void proceed(struct bridge *bridge)
{
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++)
        seat_proceed(&bridge->seats[i]);
}

/* Tells who waits for the reload. */
static void end_reload(struct bridge *bridge, const char *failure)
{
    if (failure)
        log_event(LOG_ERROR, "reload failed: workers go on with the code they have",
                  LOG_STR("reason", failure), LOG_END);
    if (bridge->reloaded)
        bridge->reloaded(bridge->reload_context, failure);
    bridge->reloaded = NULL;
}

static void take_over(struct bridge *bridge)
{
    bridge->old_zygote = bridge->zygote;
    bridge->zygote = bridge->next_zygote;
    bridge->next_zygote = NULL;
    log_event(LOG_INFO, "code reloaded; workers are replaced", LOG_END);
    pool_reload(bridge->pool);
    end_reload(bridge, NULL);
}

static void on_loaded(void *context, struct interpreter *interpreter, bool forkable,
                      const char *reason)
{
    struct bridge *bridge = context;
    if (interpreter == bridge->next_zygote)
        take_over(bridge);
    bridge->zygote_loaded = forkable;
    if (!forkable) {
        log_event(LOG_WARNING, "workers are spawned one by one: what was loaded cannot be forked",
                  LOG_STR("reason", reason), LOG_END);
        bridge->spawn_only = true;
        interpreter_kill(interpreter);
    }
    proceed(bridge);
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
        end_reload(bridge, reason ? reason : "the process that loaded it has ended");
    } else if (interpreter == bridge->old_zygote) {
        bridge->old_zygote = NULL;
    } else if (interpreter == bridge->zygote) {
        on_lost(bridge, reason, exit);
    }
}

static const struct interpreter_handler handler = {
    .loaded = on_loaded,
    .forked = on_forked,
    .unable = on_unable,
    .ended = on_ended,
};

static void start(struct bridge *bridge)
{
    bridge->zygote =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &handler, bridge);
}

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

void zygote_reload(struct bridge *bridge, void (*done)(void *context, const char *failure),
                   void *context)
{
    const char *fault = NULL;
    if (bridge->leaving || !bridge->serving)
        fault = "the pool is not running";
    else if (bridge->next_zygote || bridge->old_zygote)
        fault = "the last reload is still under way";
    if (fault) {
        if (done)
            done(context, fault);
        return;
    }
    bridge->reloaded = done;
    bridge->reload_context = context;
    if (bridge->spawn_only) { /* each worker loads the code itself */
        pool_reload(bridge->pool);
        end_reload(bridge, NULL);
        return;
    }
    bridge->next_zygote =
        interpreter_start(bridge->supervisor, &bridge->options.interpreter, &handler, bridge);
}

void zygote_round(struct bridge *bridge)
{
    if (!bridge->old_zygote)
        return;
    for (unsigned i = 0; i < POOL_MAX_SEATS; i++) {
        const struct seat *seat = &bridge->seats[i];
        if (seat->state == SEAT_FORKING && seat->mother == bridge->old_zygote)
            return;
    }
    interpreter_kill(bridge->old_zygote);
}
