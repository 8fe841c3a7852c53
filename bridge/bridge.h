/* The bridge: runs one pool's workers. It implements the pool's runtime port with Python processes
 * on this machine, each attached by one gRPC stream.
 *
 * From the top floor down; each knows only those below it:
 *
 *   bridge.c       its life; what the gateway asks of it
 *   reception.c    workers attach, say what they have to say, and are gone; session_op.c
 *   service.c      what the pool wants of workers; order.c: what of it is the supervisor's to do
 *   watch.c        pings, and what workers have in memory: memory.c
 *   zygote.c       from which workers are forked, and its replacement
 *   seat*.c        the process in a worker's seat; control.c, tail.c with chatter.c: what else
 *   inside.c       what all these have in common
 *   interpreter.c  a process on its way to being a zygote or a worker; environment.c
 *   supervisor.c   the thread that watches processes; oom.c, proc.c: why they ended
 *   warden.c run.c strays.c rundir.c   that none of them is left behind, nor a file
 *   endpoint.c     gRPC; link.c: one worker's stream; link_add.c: what is said on it
 *   page.c channel.c inlet.c outlet.c  memory and descriptors that a worker shares with us
 *   frame.c frame_read.c telemetry.c   what is on the wire
 */
#ifndef SNAKEPIT_BRIDGE_BRIDGE_H
#define SNAKEPIT_BRIDGE_BRIDGE_H

#include "bridge/frame.h"
#include "bridge/options.h"
#include "bridge/reload.h"
#include "bridge/rundir.h"
#include "bridge/supervisor.h"
#include "pool/pool.h"

#include <stdbool.h>

struct bridge;

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
