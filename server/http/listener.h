/* The accepting end of a reactor: takes connections in, looks at their first bytes, and hands them
 * to HTTP/1 or HTTP/2. */
#ifndef SNAKEPIT_SERVER_HTTP_LISTENER_H
#define SNAKEPIT_SERVER_HTTP_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct listener;
struct reactor;

/* Opens `count` listening sockets on one address, one for each reactor; the kernel spreads
 * connections over them (SO_REUSEPORT). `host` is a name or an IPv4 or IPv6 address; NULL, "" and
 * "*" are all addresses of the machine. Port 0 takes a free one. On success writes the descriptors,
 * which the caller owns, and the port. On failure, a port taken by someone else included, returns
 * false and writes a sentence for people to `out_error`. Any thread. */
bool listener_open(const char *host, uint16_t port, unsigned count, int *out_fds,
                   uint16_t *out_port, char *out_error, size_t error_size)
    __attribute__((warn_unused_result));

/* --- the rest is for reactor.c, on its thread --- */

/* Starts accepting on `fd`, which is taken. Returns owned. */
struct listener *listener_new(struct reactor *reactor, int fd) __attribute__((returns_nonnull));

/* Closes the listening socket and every connection that has not said what it speaks. */
void listener_stop(struct listener *listener);

/* Once a second: closes connections that were silent for too long, and accepts again after a
 * shortage of descriptors. */
void listener_sweep(struct listener *listener, uint64_t now_us);

/* After listener_stop() and after the loop has run its close callbacks. */
void listener_free(struct listener **listener);

#endif
