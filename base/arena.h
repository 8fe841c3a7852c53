/* A bump allocator that a request or a frame owns: everything about it is allocated here and dies
 * with it.
 *
 * Counted, because a call may outlive the HTTP exchange that made it. Only the count may be touched
 * from several threads; allocating is for the one thread that owns the object at that time. Under
 * AddressSanitizer memory that was not handed out is poisoned. */
#ifndef SNAKEPIT_BASE_ARENA_H
#define SNAKEPIT_BASE_ARENA_H

#include "base/bytes.h"

#include <stddef.h>

struct arena;

/* Returns owned, with one reference. `size_hint`: bytes expected in all; 0 takes the default of
 * 4 KiB. */
struct arena *arena_new(size_t size_hint) __attribute__((returns_nonnull));
struct arena *arena_ref(struct arena *arena);

/* Drops the caller's reference and clears the pointer; the last one frees all memory. NULL inside
 * is accepted. */
void arena_unref(struct arena **arena);

/* Something that an arena's owner keeps beside it. */
struct arena_hook {
    struct arena_hook *next;
    void (*run)(struct arena_hook *hook);
};

/* Calls hook->run() once, on the thread that drops the last reference, before the memory goes. The
 * hook may lie in the arena. The last one added runs first. */
void arena_add_hook(struct arena *arena, struct arena_hook *hook);

/* Uninitialised and zeroed memory, aligned for any type. Large sizes get a block of their own. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* A copy that ends with a zero byte which `len` does not count. */
struct bytes arena_copy(struct arena *arena, struct bytes source);
char *arena_string(struct arena *arena, struct bytes source);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull));

#endif
