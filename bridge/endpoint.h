/* The endpoint that workers dial: a gRPC server on a Unix socket, and the threads that poll it. */
#ifndef SNAKEPIT_BRIDGE_ENDPOINT_H
#define SNAKEPIT_BRIDGE_ENDPOINT_H

#include "bridge/link.h"

struct endpoint;

/* Listens on "unix:/path" with `threads` polling threads. `handler` is told of every link and
 * borrowed. NULL, with one line logged, when the address cannot be bound. Signals should be
 * blocked: the threads inherit the mask. */
struct endpoint *endpoint_start(const char *address, unsigned threads,
                                const struct link_handler *handler);

/* Breaks off all links, waits for the threads and frees. Nobody may use a link any more. */
void endpoint_stop(struct endpoint **endpoint);

#endif
