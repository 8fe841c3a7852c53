#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif

/* REDZONE: bytes that stay poisoned behind each allocation, so that running over its end is seen.
 */
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
enum { REDZONE = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
enum { REDZONE = 0 };
#endif

enum { DEFAULT_SIZE = 4096, LARGEST_BLOCK = 65536, ALIGNMENT = _Alignof(max_align_t) };

/* Memory added after the first block, which lies behind the arena itself. */
struct block {
    struct block *next;
    _Alignas(max_align_t) char data[];
};

struct arena {
    atomic_uint references;
    size_t next_size; /* of the next block; doubles up to LARGEST_BLOCK */
    char *free;
    size_t left; /* bytes from `free` to the end of its block */
    struct block *blocks;
    struct arena_hook *hooks;
    _Alignas(max_align_t) char data[];
};

struct arena *arena_new(size_t size_hint)
{
    size_t size = size_hint ? size_hint : DEFAULT_SIZE - sizeof(struct arena);
    struct arena *arena = mem_alloc(sizeof(*arena) + size);
    atomic_init(&arena->references, 1);
    arena->next_size = DEFAULT_SIZE;
    arena->free = arena->data;
    arena->left = size;
    arena->blocks = NULL;
    arena->hooks = NULL;
    ASAN_POISON_MEMORY_REGION(arena->data, size);
    return arena;
}

struct arena *arena_ref(struct arena *arena)
{
    atomic_fetch_add_explicit(&arena->references, 1, memory_order_relaxed);
    return arena;
}

void arena_add_hook(struct arena *arena, struct arena_hook *hook)
{
    hook->next = arena->hooks;
    arena->hooks = hook;
}

static void destroy(struct arena *arena)
{
    struct arena_hook *hook = arena->hooks;
    while (hook) {
        struct arena_hook *next = hook->next; /* it may free itself */
        hook->run(hook);
        hook = next;
    }
    struct block *block = arena->blocks;
    while (block) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

void arena_unref(struct arena **slot)
{
    struct arena *arena = *slot;
    *slot = NULL;
    if (arena && atomic_fetch_sub_explicit(&arena->references, 1, memory_order_acq_rel) == 1)
        destroy(arena);
}

static char *add_block(struct arena *arena, size_t size)
{
    struct block *block = mem_alloc(sizeof(*block) + size);
    block->next = arena->blocks;
    arena->blocks = block;
    ASAN_POISON_MEMORY_REGION(block->data, size);
    return block->data;
}

/* Memory for `step` bytes that the current block has no room for. What a block still has is given
 * up only for a step that is small against the next block; a large one gets its own. */
static char *take_from_new_block(struct arena *arena, size_t step)
{
    if (step > arena->next_size / 4)
        return add_block(arena, step);
    arena->left = arena->next_size - sizeof(struct block);
    arena->free = add_block(arena, arena->left);
    if (arena->next_size < LARGEST_BLOCK)
        arena->next_size *= 2;
    char *memory = arena->free;
    arena->free += step;
    arena->left -= step;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > PTRDIFF_MAX / 2)
        abort();
    size_t step = ((size + REDZONE + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
    char *memory = arena->free;
    if (step <= arena->left) {
        arena->free += step;
        arena->left -= step;
    } else {
        memory = take_from_new_block(arena, step);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

char *arena_string(struct arena *arena, struct bytes source)
{
    char *copy = arena_alloc(arena, source.len + 1);
    if (source.len > 0)
        memcpy(copy, source.data, source.len);
    copy[source.len] = '\0';
    return copy;
}

struct bytes arena_copy(struct arena *arena, struct bytes source)
{
    return bytes_from(arena_string(arena, source), source.len);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        abort();
    char *text = arena_alloc(arena, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
