/* The switchboard: the way back to the workers for what Python asks for while it runs calls. What
 * is asked for is found and run by tool_calls.h. */
#ifndef SNAKEPIT_SERVER_TOOL_CALLS_SWITCHBOARD_H
#define SNAKEPIT_SERVER_TOOL_CALLS_SWITCHBOARD_H

#include "base/mailbox.h"
#include "bridge/bridge.h"

#include <stdatomic.h>
#include <stdint.h>

struct gateway;

struct switchboard_options {
    unsigned depth;   /* of calls that call tools that call tools, at most */
    unsigned pending; /* tools that one call may wait for at once */
};

/* What became of requests, since the start. */
enum switchboard_end { SWITCHBOARD_RESULT, SWITCHBOARD_FAILURE, SWITCHBOARD_REFUSED };
enum { SWITCHBOARD_ENDS = SWITCHBOARD_REFUSED + 1 };

struct switchboard {
    struct gateway *gateway;
    struct switchboard_options options;
    struct mailbox answers; /* of nested calls; opened by whoever posts */
    _Atomic uint64_t ends[SWITCHBOARD_ENDS];
};

/* Borrows the gateway; before there are bridges. Returns owned. */
struct switchboard *switchboard_new(struct gateway *gateway,
                                    const struct switchboard_options *options)
    __attribute__((returns_nonnull));

/* Once no call is left. */
void switchboard_free(struct switchboard **switchboard);

/* Sends the reply to that worker of `pool`, and counts it. Any thread. */
void switchboard_reply(struct switchboard *switchboard, struct pool *pool, struct worker_ref worker,
                       const struct tool_reply *reply, enum switchboard_end end);

/* How many requests ended so. Any thread. */
uint64_t switchboard_count(const struct switchboard *switchboard, enum switchboard_end end);

#endif
