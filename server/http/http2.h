/* HTTP/2 on a reactor: one nghttp2 session a connection, over a non-blocking socket. Both functions
 * belong to the reactor's thread, or to the one that starts it before that. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP2_H
#define SNAKEPIT_SERVER_HTTP_HTTP2_H

struct http2;
struct reactor;

/* A tenant of the reactor's, which owns it. */
struct http2 *http2_new(struct reactor *reactor) __attribute__((returns_nonnull));

/* Takes a socket whose preface has arrived and is still unread, and its place in reactor_admit()'s
 * count. */
void http2_adopt(struct http2 *http2, int fd);

#endif
