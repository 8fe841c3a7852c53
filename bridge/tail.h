/* A tail: what a worker writes to standard error. It is passed on to the gateway's own as it comes,
 * and the end of it is kept, to see of what the worker died. All on the supervisor's thread. */
#ifndef SNAKEPIT_BRIDGE_TAIL_H
#define SNAKEPIT_BRIDGE_TAIL_H

#include <stdbool.h>
#include <uv.h>

struct tail;

/* Opens one; `out_fd` is the worker's end, which the caller closes once it is handed over. NULL
 * with errno when it cannot. */
struct tail *tail_open(uv_loop_t *loop, int *out_fd) __attribute__((warn_unused_result));

/* Passes on what is left and closes; clears the pointer, accepts NULL inside. */
void tail_close(struct tail **tail);

/* Whether a GPU's library complains in the last 2 KiB. Reads what has not been read yet. */
bool tail_blames_gpu(struct tail *tail);

#endif
