/* The gateway's private directory, where the socket for its workers is. Only the gateway's user may
 * enter. */
#ifndef SNAKEPIT_BRIDGE_RUNDIR_H
#define SNAKEPIT_BRIDGE_RUNDIR_H

#include <stdbool.h>

struct rundir {
    char path[80];
    char address[100]; /* "unix:<path>/bridge.sock", for gRPC */
    int lock_fd;       /* held as long as the gateway lives */
};

/* Makes a new directory under $XDG_RUNTIME_DIR or /tmp, and removes those that dead gateways of
 * this user left there. False, with the reason logged, when it cannot be made. */
bool rundir_make(struct rundir *out_rundir) __attribute__((warn_unused_result));

/* Removes the directory and what is in it. Safe to call twice; async-signal-safe. */
void rundir_remove(const struct rundir *rundir);

#endif
