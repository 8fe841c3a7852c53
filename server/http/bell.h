/* Wakes a libuv loop from any thread.
 *
 * What uv_async_t is for, but that of libuv 1.44 makes the woken thread spin until the waker has
 * left its system call: where both share a core, and the woken one goes first, that costs up to
 * 40 us each time. */
#ifndef SNAKEPIT_SERVER_HTTP_BELL_H
#define SNAKEPIT_SERVER_HTTP_BELL_H

#include <uv.h>

/* Embedded in what the loop runs for. */
struct bell {
    uv_poll_t poll;
    int fd; /* an eventfd */
    void (*on_ring)(void *context);
    void *context;
};

/* The loop calls `on_ring` some time after each ring, once for several. Keeps the loop alive. */
void bell_init(struct bell *bell, uv_loop_t *loop, void (*on_ring)(void *context), void *context);

/* Any thread. */
void bell_ring(struct bell *bell);

/* Nobody rings any more; the loop has to turn once again. Its own thread. */
void bell_close(struct bell *bell);

#endif
