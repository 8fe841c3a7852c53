/* The control socket between the gateway and a Python process (see BOOT.md): packets of JSON, with
 * descriptors now and then. */
#ifndef SNAKEPIT_BRIDGE_CONTROL_H
#define SNAKEPIT_BRIDGE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>

enum { CONTROL_MAX_BYTES = 65536, CONTROL_MAX_FDS = 5 };

/* Makes a pair of connected sockets, both close-on-exec; ours does not block. False with errno. */
bool control_pair(int *out_ours, int *out_theirs) __attribute__((warn_unused_result));

/* Sends `packet`, whose reference it takes, and copies of up to CONTROL_MAX_FDS descriptors with
 * it. False when the other end is gone or does not read. */
bool control_send(int socket, json_t *packet, const int *fds, unsigned fd_count)
    __attribute__((warn_unused_result));

/* Receives one packet, owned by the caller. NULL: nothing there; `out_end` tells whether there
 * never will be, because the other end is gone or sent something else. */
json_t *control_receive(int socket, bool *out_end);

#endif
