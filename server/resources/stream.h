/* Streams: an exchange whose answer is the events of a job, as they come. */
#ifndef SNAKEPIT_SERVER_RESOURCES_STREAM_H
#define SNAKEPIT_SERVER_RESOURCES_STREAM_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

struct stream_options {
    uint64_t window;        /* what a tool may emit before its reader has taken it, bytes */
    size_t keep;            /* of its events, for readers that come back or are several, bytes */
    size_t result_limit;    /* of what the tool returns in the end, bytes */
    uint64_t keepalive_us;  /* of silence, after which a comment is sent */
    uint64_t head_after_us; /* that a worker may have it in silence before the answer begins */
};

/* Looks after the streams of one reactor, on its thread; once a second. `streams`: the list of
 * them. */
void stream_sweep(struct list *streams, uint64_t now_us);

#endif
