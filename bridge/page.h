/* A worker's page (see BOOT.md): memory shared with the worker, in which it notes what it starts
 * and what came of it. */
#ifndef SNAKEPIT_BRIDGE_PAGE_H
#define SNAKEPIT_BRIDGE_PAGE_H

#include "bridge/channel.h"
#include "pool/runtime.h"

/* Its layout, in bytes from its beginning; started.py has the same numbers. */
enum {
    PAGE_RUNNING_AT = 0,   /* a word for each slot */
    PAGE_PONG_AT = 8192,   /* sequence of the last ping whose answer was sent, 0: none */
    PAGE_INDEX_AT = 32768, /* of the journal: four words for each of STARTED_MAX calls */
    PAGE_RING_AT = 65536,  /* the journal's answers */
    PAGE_RING_BYTES = 1024 << 10,
    PAGE_ANSWER_MAX = 68 << 10, /* longer ones are not in the journal */
    PAGE_BYTES = PAGE_RING_AT + PAGE_RING_BYTES,
};

/* What an entry of the journal's index says of its bytes in the ring. */
enum page_kind {
    PAGE_RESULT, /* the body of a result, in JSON */
    PAGE_FRAME,  /* a worker's frame that holds the answer alone */
    PAGE_NO_ANSWER,
};

/* Makes a page. Returns the mapping, and in `out_fd` a close-on-exec descriptor to hand to the
 * worker, which the caller closes; NULL with errno when there is no memory. */
const void *page_new(int *out_fd);
void page_free(const void **page);

/* The sequence of the last ping that the worker, which may live, has answered as far as it knows.
 */
uint64_t page_pong(const void *page);

/* Whether the worker is in the code of that call's tool, as far as it says at this moment. */
bool page_shows_running(const void *page, uint64_t call_id);

/* What the page says. To be called once its worker is dead; the worker may have written anything.
 * What the answers consist of is copied into the arena; large bodies have come by the channel,
 * which may be NULL. */
void page_read(const void *page, struct channel *channel, struct arena *arena,
               struct started_calls *out_started);

#endif
