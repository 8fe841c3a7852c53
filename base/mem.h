/* Heap memory that cannot fail: running out aborts in one place. What a client can size is bounded
 * before it gets here. */
#ifndef SNAKEPIT_BASE_MEM_H
#define SNAKEPIT_BASE_MEM_H

#include <stddef.h>

/* Return owned memory, never NULL (a size of 0 counts as 1). Free it with free(). */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *string) __attribute__((malloc, returns_nonnull));

/* `count` elements of `size` bytes, zeroed; aborts when the product overflows. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))

#endif
