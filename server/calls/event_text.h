/* An event of a stream as text: a block of Server-Sent Events (WHATWG HTML, 9.2.6) or a line of
 * NDJSON. Pure functions. */
#ifndef SNAKEPIT_SERVER_CALLS_EVENT_TEXT_H
#define SNAKEPIT_SERVER_CALLS_EVENT_TEXT_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_format {
    EVENT_SSE,    /* id: 1\nevent: chunk\ndata: …\n\n */
    EVENT_NDJSON, /* {"id":1,"event":"chunk","data":…}\n */
};

/* Writes the bytes of the text from `offset` on, as many as fit into `size`, and returns how many;
 * `out_end`: they were the last. `data` is JSON without line breaks. */
size_t event_text_piece(enum event_format format, uint64_t id, const char *name, struct bytes data,
                        size_t offset, char *room, size_t size, bool *out_end);

#endif
