/* An answer, as a handler makes it. */
#ifndef SNAKEPIT_SERVER_HTTP_RESPONSE_H
#define SNAKEPIT_SERVER_HTTP_RESPONSE_H

#include "base/bytes.h"

#include <stdbool.h>

struct exchange;

/* A body that is produced while it is sent. */
struct body_source {
    /* Writes up to `size` (1 and more) bytes to `room` and returns how many. It is asked only when
     * the peer can take them, so a slow reader slows the source. 0 without `out_end`: nothing now,
     * and exchange_more() will be called when there is something. `out_end`: these were the last.
     */
    size_t (*read)(struct exchange *exchange, char *room, size_t size, bool *out_end);
};

struct header {
    struct bytes name; /* any case in requests; lower case in responses */
    struct bytes value;
};

enum { RESPONSE_MAX_HEADERS = 16, RESPONSE_MAX_PARTS = 4 };

/* What is sent. All memory it points to stays valid until the exchange ends: take it from the
 * exchange's arena, from static storage, or from something that `on_end` releases. */
struct response {
    unsigned status;
    unsigned header_count;
    unsigned part_count;
    struct header headers[RESPONSE_MAX_HEADERS]; /* content-type among them; content-length, date
                                                    and connection are the protocol's */
    struct bytes parts[RESPONSE_MAX_PARTS]; /* the body, in order; the protocol leaves it out for
                                               HEAD and keeps its length */
    const struct body_source *source; /* the body instead of parts, or NULL; for answers with a body
                                         to complete requests; not asked for HEAD */
};

/* Adds a header; aborts above RESPONSE_MAX_HEADERS. `name` is lower case and static. */
void response_header(struct response *response, const char *name, struct bytes value);

/* Adds a part to the body. */
void response_part(struct response *response, struct bytes part);

/* Bytes of all parts. */
size_t response_size(const struct response *response);

#endif
