/* Members of messages as protobuf writes them. Sizes are asked for first, so that one reservation
 * is enough for a message; the functions that write return where they ended. */
#ifndef SNAKEPIT_BRIDGE_WIRE_H
#define SNAKEPIT_BRIDGE_WIRE_H

#include "base/bytes.h"

#include <stdint.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, VARINT_MAX = 10 };

static inline char *put_varint(char *at, uint64_t value)
{
    while (value > 0x7f) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

/* proto3 leaves out what is zero or empty. Field numbers below 16 take one byte. */
static inline char *put_number(char *at, unsigned field, uint64_t value)
{
    if (value == 0)
        return at;
    *at++ = (char)(field << 3 | WIRE_VARINT);
    return put_varint(at, value);
}

static inline char *put_bytes(char *at, unsigned field, struct bytes value)
{
    if (value.len == 0)
        return at;
    *at++ = (char)(field << 3 | WIRE_BYTES);
    at = put_varint(at, value.len);
    memcpy(at, value.data, value.len);
    return at + value.len;
}

/* Bytes of a varint, from the number of its significant bits. */
static inline size_t varint_size(uint64_t value)
{
    return (size_t)(64 - __builtin_clzll(value | 1) + 6) / 7;
}

static inline size_t number_size(uint64_t value)
{
    return value ? 1 + varint_size(value) : 0;
}

static inline size_t bytes_size(struct bytes value)
{
    return value.len ? 1 + varint_size(value.len) + value.len : 0;
}

/* A member that is text or bytes. */
struct wire_field {
    unsigned number;
    struct bytes value;
};

static inline size_t fields_size(const struct wire_field *fields, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += bytes_size(fields[i].value);
    return size;
}

static inline char *put_fields(char *at, const struct wire_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        at = put_bytes(at, fields[i].number, fields[i].value);
    return at;
}

#endif
