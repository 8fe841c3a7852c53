/* The way in: takes connections in on a reactor, looks at their first bytes, and hands them to
 * HTTP/1 or HTTP/2. */
#ifndef SNAKEPIT_SERVER_HTTP_LISTENER_H
#define SNAKEPIT_SERVER_HTTP_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reactor;

/* Opens `count` listening sockets on one address, one for each reactor; the kernel spreads
 * connections over them (SO_REUSEPORT). `host` is a name or an IPv4 or IPv6 address; NULL, "" and
 * "*" are all addresses of the machine. Port 0 takes a free one. On success writes the descriptors,
 * which the caller owns, and the port. On failure, a port taken by someone else included, returns
 * false and writes a sentence for people to `out_error`. Any thread. */
bool listener_open(const char *host, uint16_t port, unsigned count, int *out_fds,
                   uint16_t *out_port, char *out_error, size_t error_size)
    __attribute__((warn_unused_result));

/* Has a reactor serve HTTP, before reactor_start(): on `fd`, which is taken. The reactor frees what
 * it takes. */
void listener_start(struct reactor *reactor, int fd);

#endif
