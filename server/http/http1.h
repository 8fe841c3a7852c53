/* HTTP/1.0 and 1.1 on a reactor: one libmicrohttpd daemon without a thread and without a listening
 * socket, driven by the reactor's loop. All functions belong to the reactor's thread, or to the one
 * that starts it before that. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP1_H
#define SNAKEPIT_SERVER_HTTP_HTTP1_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct http1;
struct reactor;

/* Aborts when the system has no descriptor left. Returns owned. */
struct http1 *http1_new(struct reactor *reactor) __attribute__((returns_nonnull));

/* Takes a socket whose first bytes have arrived and are still unread, and its place in
 * reactor_admit()'s count. */
void http1_adopt(struct http1 *http1, int fd, const struct sockaddr *address, socklen_t len);

/* Reads, answers and writes as far as possible without waiting; cheap when nothing has happened. */
void http1_run(struct http1 *http1);

/* True when http1_run() has something to do already. */
bool http1_is_due(const struct http1 *http1);

/* Once a second: ends connections whose time is up. */
void http1_sweep(struct http1 *http1, uint64_t now_us);

/* From now on each answer closes its connection; idle connections are closed. */
void http1_drain(struct http1 *http1);

/* Ends every connection; exchanges without an answer are gone. */
void http1_cut(struct http1 *http1);

/* No connection is left. */
bool http1_is_empty(const struct http1 *http1);

/* Closes the handles on the loop; http1_is_empty() must hold. Then, after the loop has run,
 * http1_free(). */
void http1_stop(struct http1 *http1);
void http1_free(struct http1 **http1);

#endif
