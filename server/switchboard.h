/* The switchboard: what Python asks for while it runs a call. It finds who serves the tool, has it
 * run, and brings the answer back to the worker.
 *
 * Nothing waits here: a call of a tool in a pool is submitted by the bridge thread that read the
 * request, and its answer goes out on the thread that brought it. */
#ifndef SNAKEPIT_SERVER_SWITCHBOARD_H
#define SNAKEPIT_SERVER_SWITCHBOARD_H

#include "bridge/bridge.h"

#include <stdint.h>

struct gateway;
struct switchboard;

struct switchboard_options {
    unsigned depth;   /* of calls that call tools that call tools, at most */
    unsigned pending; /* tools that one call may wait for at once */
};

/* What became of requests, since the start. */
enum switchboard_end { SWITCHBOARD_RESULT, SWITCHBOARD_FAILURE, SWITCHBOARD_REFUSED };
enum { SWITCHBOARD_ENDS = SWITCHBOARD_REFUSED + 1 };

/* Borrows the gateway; before there are bridges. Returns owned. */
struct switchboard *switchboard_new(struct gateway *gateway,
                                    const struct switchboard_options *options)
    __attribute__((returns_nonnull));

/* Once no call is left. */
void switchboard_free(struct switchboard **switchboard);

/* The port for the bridges. */
struct bridge_port switchboard_port(struct switchboard *switchboard);

/* What it was made with. */
const struct switchboard_options *switchboard_options(const struct switchboard *switchboard);

/* Sends the reply to that worker of `pool`, and counts it. Any thread. */
void switchboard_reply(struct switchboard *switchboard, struct pool *pool, struct worker_ref worker,
                       const struct tool_reply *reply, enum switchboard_end end);

/* How many requests ended so. Any thread. */
uint64_t switchboard_count(const struct switchboard *switchboard, enum switchboard_end end);

#endif
