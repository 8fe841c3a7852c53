/* A span of bytes that somebody else owns. */
#ifndef SNAKEPIT_BASE_BYTES_H
#define SNAKEPIT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Borrowed bytes, not terminated. `data` may be NULL only when `len` is 0. */
struct bytes {
    const char *data;
    size_t len;
};

#define BYTES(literal) ((struct bytes){.data = (literal), .len = sizeof(literal) - 1})

static inline struct bytes bytes_from(const void *data, size_t len)
{
    return (struct bytes){.data = data, .len = len};
}

/* Borrows a C string; NULL gives empty bytes. */
static inline struct bytes bytes_of(const char *string)
{
    return (struct bytes){.data = string, .len = string ? strlen(string) : 0};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_starts_with(struct bytes whole, struct bytes prefix)
{
    return whole.len >= prefix.len &&
           (prefix.len == 0 || memcmp(whole.data, prefix.data, prefix.len) == 0);
}

/* `whole` without its first `count` bytes; `count` must not exceed its length. */
static inline struct bytes bytes_skip(struct bytes whole, size_t count)
{
    return (struct bytes){.data = whole.data + count, .len = whole.len - count};
}

#endif
