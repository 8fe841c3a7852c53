#include "base/buffer.h"

#include "base/json_string.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

void buffer_init(struct buffer *buffer, size_t ceiling)
{
    *buffer = (struct buffer){.ceiling = ceiling};
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.ceiling = buffer->ceiling};
}

static size_t limit_of(const struct buffer *buffer)
{
    return buffer->ceiling ? buffer->ceiling : PTRDIFF_MAX;
}

static void grow(struct buffer *buffer, size_t wanted)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > limit_of(buffer))
        capacity = limit_of(buffer);
    buffer->data = mem_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more > limit_of(buffer) - buffer->len)
        return false;
    if (more > buffer->capacity - buffer->len)
        grow(buffer, buffer->len + more);
    return true;
}

bool buffer_append(struct buffer *buffer, struct bytes source)
{
    if (source.len == 0)
        return true;
    if (!buffer_reserve(buffer, source.len))
        return false;
    memcpy(buffer->data + buffer->len, source.data, source.len);
    buffer->len += source.len;
    return true;
}

void buffer_add(struct buffer *buffer, struct bytes source)
{
    if (!buffer_append(buffer, source))
        abort();
}

void buffer_add_string(struct buffer *buffer, const char *string)
{
    buffer_add(buffer, bytes_of(string));
}

__attribute__((format(printf, 2, 0))) static void buffer_vprintf(struct buffer *buffer,
                                                                 const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len < 0 || !buffer_reserve(buffer, (size_t)len + 1))
        abort();
    (void)vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, again);
    va_end(again);
    buffer->len += (size_t)len;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buffer_vprintf(buffer, format, args);
    va_end(args);
}

void buffer_add_json_string(struct buffer *buffer, struct bytes text)
{
    buffer_add(buffer, BYTES("\""));
    while (text.len > 0) {
        size_t plain = (size_t)(json_plain_end(text.data, text.data + text.len) - text.data);
        buffer_add(buffer, bytes_from(text.data, plain));
        text = bytes_skip(text, plain);
        if (text.len == 0)
            break;
        char escaped[JSON_ESCAPED_MAX];
        size_t length = json_escape(&text, escaped);
        buffer_add(buffer, bytes_from(escaped, length));
    }
    buffer_add(buffer, BYTES("\""));
}

void buffer_add_base64(struct buffer *buffer, struct bytes data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (!buffer_reserve(buffer, (data.len + 2) / 3 * 4))
        abort();
    char *out = buffer->data + buffer->len;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)(unsigned char)data.data[i] << 16;
        bits |= left > 1 ? (uint32_t)(unsigned char)data.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned char)data.data[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[bits & 63] : '=';
    }
    buffer->len = (size_t)(out - buffer->data);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    if (count > buffer->len)
        abort();
    buffer->len -= count;
    if (buffer->len > 0)
        memmove(buffer->data, buffer->data + count, buffer->len);
}
