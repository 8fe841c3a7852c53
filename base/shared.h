/* Shared memory that holds one large body: a memfd, so that it can be handed to another process as
 * a descriptor instead of being copied there (see BOOT.md).
 *
 * It lives in an arena and is given back with it. Filling it is for one thread; once it is sealed
 * anybody may read it. */
#ifndef SNAKEPIT_BASE_SHARED_H
#define SNAKEPIT_BASE_SHARED_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/quota.h"

#include <stdbool.h>

/* Smaller bodies are cheaper to copy. Bytes. */
enum { SHARED_MIN = 64 << 10 };

struct shared {
    struct arena_hook hook;
    int fd;     /* -1: it cannot be handed on */
    char *data; /* the mapping; NULL until it is sealed */
    size_t len;
    struct quota *quota; /* which it counts to while its descriptor is open, or NULL */
};

/* An empty one. NULL, with errno, when the system has no memory or descriptor left. */
struct shared *shared_new(struct arena *arena);

/* Copies `source` to its end; false, with errno, when there is no memory for it. */
bool shared_append(struct shared *shared, struct bytes source) __attribute__((warn_unused_result));

/* Nobody, we included, can change it any more; from then on it can be read. False with errno. */
bool shared_seal(struct shared *shared) __attribute__((warn_unused_result));

/* The `len` bytes from the beginning of memory that another process has made, and can change no
 * more, for as long as the arena lasts. Takes `fd`, also on failure. NULL when `len` is 0, or it is
 * not what can be read without danger: such memory, sealed against writing and shrinking. */
struct shared *shared_adopt(struct arena *arena, int fd, size_t len);

/* Its descriptor, which stays open so that it can be handed on, counts to that quota until it is
 * closed. False when the quota is used up. */
bool shared_hold(struct shared *shared, struct quota *quota) __attribute__((warn_unused_result));

/* It will not be handed on: its descriptor is given back already. It can be read as before. */
void shared_close(struct shared *shared);

/* What is in a sealed one; empty for NULL. */
static inline struct bytes shared_bytes(const struct shared *shared)
{
    return shared ? bytes_from(shared->data, shared->len) : (struct bytes){0};
}

/* Whether `span` lies in it. */
static inline bool shared_holds(const struct shared *shared, struct bytes span)
{
    return shared && shared->data && span.data >= shared->data &&
           span.data + span.len <= shared->data + shared->len;
}

#endif
