/* libcurl's multi interface, driven by a libuv loop. All of it belongs to the loop's thread. */
#ifndef SNAKEPIT_SERVER_OUTBOUND_CURL_LOOP_H
#define SNAKEPIT_SERVER_OUTBOUND_CURL_LOOP_H

#include "server/outbound/libcurl.h"

#include <uv.h>

/* Embedded in what the loop runs for. */
struct curl_loop {
    const struct libcurl *curl;
    CURLM *multi; /* transfers are added to it, and removed */
    void (*on_done)(void *owner, CURLcode code);

    /* An epoll descriptor with libcurl's sockets, which the loop watches. A uv_poll_t for each
     * would take five more system calls for a connection. */
    int sockets;
    uv_poll_t poll;
    uv_timer_t clock;  /* libcurl's */
    uv_prepare_t turn; /* the end of a turn, before the loop sleeps */
};

/* `connections` there may be at once, half of them to one host; what is more waits. `on_done` has
 * to remove the transfer, whose CURLOPT_PRIVATE is its owner. Borrows `curl`. Keeps the loop alive.
 */
void curl_loop_init(struct curl_loop *loop, const struct libcurl *curl, uv_loop_t *uv,
                    unsigned connections, void (*on_done)(void *owner, CURLcode code));

/* No transfer is left; the loop has to turn once again. */
void curl_loop_close(struct curl_loop *loop);

#endif
