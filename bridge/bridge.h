/* The bridge: runs one pool's workers. It implements the pool's runtime port with Python processes
 * on this machine, each attached by one gRPC stream. */
#ifndef SNAKEPIT_BRIDGE_BRIDGE_H
#define SNAKEPIT_BRIDGE_BRIDGE_H

#include "bridge/interpreter.h"
#include "bridge/rundir.h"
#include "pool/pool.h"

#include <stdbool.h>

struct bridge;

struct bridge_options {
    struct interpreter_options interpreter;
    const char *address;       /* where workers attach, see rundir.h; borrowed */
    unsigned threads;          /* that poll the streams */
    unsigned slots;            /* calls a worker runs at once */
    uint64_t start_timeout_us; /* from the order to start a worker until it has attached */
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

/* Waits until no worker is left, at most `timeout_us`; after pool_stop(). */
void bridge_wait(struct bridge *bridge, uint64_t timeout_us);

/* Ends the zygote and the endpoint. Nobody may call the runtime any more. */
void bridge_close(struct bridge *bridge);

/* Frees a bridge that was closed, once the supervisor has stopped. */
void bridge_free(struct bridge **bridge);

#endif
