/* A tail: what a worker writes to standard output or standard error. Its lines become records of
 * the log, see chatter.h, and the end of it is kept, to see of what the worker died. All on the
 * supervisor's thread. */
#ifndef SNAKEPIT_BRIDGE_TAIL_H
#define SNAKEPIT_BRIDGE_TAIL_H

#include "bridge/chatter.h"

#include <stdbool.h>
#include <uv.h>

struct tail;

/* Opens one; `out_fd` is the worker's end, which the caller closes once it is handed over. Borrows
 * what the source says. NULL with errno when it cannot. */
struct tail *tail_open(uv_loop_t *loop, const struct chatter_source *source, int *out_fd)
    __attribute__((warn_unused_result));

/* Whose it is, once that is known; accepts NULL. */
void tail_belongs_to(struct tail *tail, pid_t pid);

/* Tells what is left and closes; clears the pointer, accepts NULL inside. */
void tail_close(struct tail **tail);

/* Whether a GPU's library complains in the last 2 KiB. Reads what has not been read yet. */
bool tail_blames_gpu(struct tail *tail);

#endif
