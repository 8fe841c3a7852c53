/* The bridge: runs one pool's workers. It implements the pool's runtime port with Python processes
 * on this machine, each attached by one gRPC stream. */
#ifndef SNAKEPIT_BRIDGE_BRIDGE_H
#define SNAKEPIT_BRIDGE_BRIDGE_H

#include "bridge/frame.h"
#include "bridge/interpreter.h"
#include "bridge/rundir.h"
#include "pool/pool.h"
#include "pool/session.h"

#include <stdbool.h>

struct bridge;

/* The port to whoever serves what Python asks for. */
struct bridge_port {
    /* Calls that a worker of `pool` runs ask for tools, in order. On a bridge thread, which it must
     * not block; the bytes lie in `memory`, of which references may be taken. Each is answered by
     * bridge_reply(), on any thread, at once or later; or not at all, if the call has ended. */
    void (*tool_calls)(void *context, struct pool *pool, struct worker_ref worker,
                       const struct tool_call *calls, size_t count, struct arena *memory);
    /* Tools of that pool have told of themselves; all is borrowed. On a bridge thread, which it
     * must not block. */
    void (*telemetry)(void *context, const struct pool *pool, const struct telemetry_batch *batch);
    void *context;
};

struct bridge_options {
    struct bridge_port port;
    struct session_store *sessions; /* whose variables Python reads and writes; borrowed */
    struct interpreter_options interpreter;
    const char *address; /* where workers attach, see rundir.h; borrowed */
    unsigned threads;    /* that poll the streams */
    enum worker_profile profile;
    unsigned slots;            /* calls a worker runs at once, 1 to RUNNING_MAX; a worker of the
                                  `process` profile has one in any case */
    bool refork;               /* workers may be forked from a warm worker; only if `process` */
    uint64_t start_timeout_us; /* from the order to fork a worker until it has attached */
    uint64_t heartbeat_interval_us; /* between two pings; 0: none are sent */
    uint64_t
        stall_after_us; /* a worker that leaves a ping unanswered for so long is stalled; 0: 5 s
                         */
    uint64_t kill_stalled_after_us; /* and for so long, is killed; 0: never */
    bool memory_limited;            /* the pool has worker_max_resident: look often */
};

/* Makes the bridge and begins to load Python, in the background. Both are borrowed. */
struct bridge *bridge_new(const struct bridge_options *options, struct supervisor *supervisor,
                          struct registry *registry) __attribute__((returns_nonnull));

/* Opens the endpoint for workers. False, with the reason logged, when it cannot. */
bool bridge_listen(struct bridge *bridge) __attribute__((warn_unused_result));

/* The runtime port for pool_new(). */
struct runtime *bridge_runtime(struct bridge *bridge);

/* The pool that it serves from now on; before pool_start(). */
void bridge_serve(struct bridge *bridge, struct pool *pool);

/* Answers a call for a tool, if the worker is still there, and sends the frame. The reply is
 * copied. Any thread. */
void bridge_reply(struct bridge *bridge, struct worker_ref worker, const struct tool_reply *reply);

/* Picks up changed code: loads it in a fresh process, from which new workers come from then on, and
 * has the pool replace those there are. If it cannot be loaded everything is as before, and the log
 * says why. While one reload loads, a second waits for its end, and further ones are that second
 * one. Any thread. */
void bridge_reload(struct bridge *bridge);

enum reload_state {
    RELOAD_NONE,      /* there has been none */
    RELOAD_LOADING,   /* the code is being loaded */
    RELOAD_REPLACING, /* workers with older code still take calls */
    RELOAD_DONE,
    RELOAD_FAILED, /* the code cannot be loaded */
};

struct reload_view {
    enum reload_state state; /* of the last one that has begun */
    int64_t at_s;            /* since when, seconds of the epoch; 0: RELOAD_NONE */
    bool pending;            /* another one waits */
    char error[512];         /* why it failed, or empty */
};

/* Writes down how the last replacing of all workers by forks of a warm one went. As for reloads,
 * but that RELOAD_LOADING means that the warm one lets go of its threads. Any thread. */
void bridge_look_at_refork(struct bridge *bridge, struct reload_view *out_view);

/* Writes down how the last reload went. Any thread. */
void bridge_look_at_reload(struct bridge *bridge, struct reload_view *out_view);

/* Waits until no worker is left, at most `timeout_us`; after pool_stop(). */
void bridge_wait(struct bridge *bridge, uint64_t timeout_us);

/* Ends the zygote and the endpoint. Nobody may call the runtime any more. */
void bridge_close(struct bridge *bridge);

/* Frees a bridge that was closed, once the supervisor has stopped. */
void bridge_free(struct bridge **bridge);

#endif
