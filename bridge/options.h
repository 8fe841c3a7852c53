/* What a bridge is to be like. */
#ifndef SNAKEPIT_BRIDGE_OPTIONS_H
#define SNAKEPIT_BRIDGE_OPTIONS_H

#include "base/arena.h"
#include "bridge/frame.h"
#include "bridge/interpreter.h"
#include "pool/runtime.h"
#include "pool/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

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
    unsigned output_lines;          /* a second of each worker and stream that are logged; 0: all */
    bool memory_limited;            /* the pool has worker_max_resident: look often */
};

#endif
