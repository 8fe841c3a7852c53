/* HTTP/2 on a reactor: one nghttp2 session a connection, over a non-blocking socket. All functions
 * belong to the reactor's thread, or to the one that starts it before that. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP2_H
#define SNAKEPIT_SERVER_HTTP_HTTP2_H

#include <stdbool.h>
#include <stdint.h>

struct http2;
struct reactor;

/* Returns owned. */
struct http2 *http2_new(struct reactor *reactor) __attribute__((returns_nonnull));

/* Takes a socket whose preface has arrived and is still unread, and its place in reactor_admit()'s
 * count. */
void http2_adopt(struct http2 *http2, int fd);

/* Writes what the sessions have to say, as far as the sockets take it. */
void http2_flush(struct http2 *http2);

/* True when http2_flush() has something to do already. */
bool http2_is_due(const struct http2 *http2);

/* Once a second: ends connections whose time is up. */
void http2_sweep(struct http2 *http2, uint64_t now_us);

/* Tells the peers to open no more streams; connections end with their last stream. */
void http2_drain(struct http2 *http2);

/* Ends every connection; exchanges without an answer are gone. */
void http2_cut(struct http2 *http2);

/* No connection is left. */
bool http2_is_empty(const struct http2 *http2);

/* Nothing is left on the loop; http2_is_empty() must hold. Then, after the loop has run,
 * http2_free(). */
void http2_stop(struct http2 *http2);
void http2_free(struct http2 **http2);

#endif
