/* The inside of JSON strings: what is plain, what has to be escaped, and how. Shared by the reader,
 * by struct buffer and by the log. Any thread. */
#ifndef SNAKEPIT_BASE_JSON_STRING_H
#define SNAKEPIT_BASE_JSON_STRING_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

/* Most bytes that one character takes in a JSON string: \u0000. */
enum { JSON_ESCAPED_MAX = 6 };

/* True for the bytes that json_plain_end() runs over. */
extern const bool json_plain[256];

/* The first byte from `at` on that is a quote, a backslash, a control character or not ASCII; `end`
 * when there is none.
 *
 * Eight bytes at a time. Each of the four terms sets the top bit of a byte that stops us;
 * subtraction may carry a false hit into bytes above (later than) a true one, so the lowest hit is
 * always true. */
static inline const char *json_plain_end(const char *at, const char *end)
{
    const uint64_t ones = 0x0101010101010101;
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
            word = __builtin_bswap64(word);
        uint64_t stops = word | (word - ones * 0x20) | ((word ^ ones * '"') - ones) |
                         ((word ^ ones * '\\') - ones);
        stops &= ones * 0x80;
        if (stops)
            return at + __builtin_ctzll(stops) / 8;
        at += 8;
    }
    while (at < end && json_plain[(unsigned char)*at])
        at++;
    return at;
}

/* Bytes of the escape that begins at the backslash `at`, of `left` > 0 bytes: 2, 6, or 12 for a
 * surrogate pair. 0 when it is none of RFC 8259, section 7, or half a pair. */
size_t json_escape_length(const char *at, size_t left);

/* Takes the first character, escape or not, off the front of `raw`, which must not be empty and lie
 * inside the quotes of a string that json_check() accepted. Returns its code point. */
uint32_t json_take_character(struct bytes *raw);

/* Writes the first character of `text`, which must not be empty, as it stands in a JSON string, and
 * moves `text` past it. A byte that is not UTF-8 becomes U+FFFD. Returns the bytes written. */
size_t json_escape(struct bytes *text, char out_escaped[JSON_ESCAPED_MAX]);

#endif
