/* The gateway's private directory, where the sockets for its workers are, one for each pool. Only
 * the gateway's user may enter. */
#ifndef SNAKEPIT_BRIDGE_RUNDIR_H
#define SNAKEPIT_BRIDGE_RUNDIR_H

#include <stdbool.h>

enum { RUNDIR_SOCKETS = 16, RUNDIR_ADDRESS_MAX = 104 };

struct rundir {
    char path[80];
    int lock_fd; /* held as long as the gateway lives */
};

/* Room for one, without a directory, that this process shares with those which it forks later: they
 * know of the directory as soon as it is made. Lives as long as the process. NULL, with the reason
 * logged, when there is no memory. */
struct rundir *rundir_new(void);

/* Makes a new directory under $XDG_RUNTIME_DIR or /tmp, and removes those that dead gateways of
 * this user left there. False, with the reason logged, when it cannot be made. */
bool rundir_make(struct rundir *out_rundir) __attribute__((warn_unused_result));

/* Writes "unix:<path>/bridge-<number>.sock", for gRPC; numbers from 0 to RUNDIR_SOCKETS - 1. At
 * most RUNDIR_ADDRESS_MAX bytes with the zero. */
void rundir_address(const struct rundir *rundir, unsigned number, char *out_address);

/* Removes the directory and what is in it. Safe to call twice, and with NULL;
 * async-signal-safe. */
void rundir_remove(const struct rundir *rundir);

#endif
