/* HTTP/1.0 and 1.1 on a reactor: one libmicrohttpd daemon without a thread and without a listening
 * socket, driven by the reactor's loop. Both functions belong to the reactor's thread, or to the
 * one that starts it before that. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP1_H
#define SNAKEPIT_SERVER_HTTP_HTTP1_H

#include <sys/socket.h>

struct http1;
struct reactor;

/* A tenant of the reactor's, which owns it. Aborts when the system has no descriptor left. */
struct http1 *http1_new(struct reactor *reactor) __attribute__((returns_nonnull));

/* Takes a socket whose first bytes have arrived and are still unread, and its place in
 * reactor_admit()'s count. */
void http1_adopt(struct http1 *http1, int fd, const struct sockaddr *address, socklen_t len);

#endif
