/* Bytes that grow at the end, up to a ceiling. */
#ifndef SNAKEPIT_BASE_BUFFER_H
#define SNAKEPIT_BASE_BUFFER_H

#include "base/bytes.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* The caller owns the struct; `data` is heap memory. A zeroed struct is an empty buffer with no
 * ceiling. */
struct buffer {
    char *data;
    size_t len;
    size_t capacity;
    size_t ceiling; /* most bytes it may hold; 0 = none */
};

void buffer_init(struct buffer *buffer, size_t ceiling);
void buffer_deinit(struct buffer *buffer);

/* Makes room for `more` bytes behind `len`; false, and nothing changed, when that would pass the
 * ceiling. */
bool buffer_reserve(struct buffer *buffer, size_t more) __attribute__((warn_unused_result));

/* Copies `source` to the end; false, and nothing changed, past the ceiling. */
bool buffer_append(struct buffer *buffer, struct bytes source) __attribute__((warn_unused_result));

/* The same for buffers without a ceiling, which cannot fail: passing a ceiling here aborts. */
void buffer_add(struct buffer *buffer, struct bytes source);
void buffer_add_string(struct buffer *buffer, const char *string);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void buffer_add_json_string(struct buffer *buffer, struct bytes text);

/* Adds bytes as base64 (RFC 4648, 4), with padding. */
void buffer_add_base64(struct buffer *buffer, struct bytes data);

/* Drops `count` bytes from the front. */
void buffer_consume(struct buffer *buffer, size_t count);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_from(buffer->data, buffer->len);
}

#endif
