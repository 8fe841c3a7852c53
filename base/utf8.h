/* UTF-8, one character at a time. */
#ifndef SNAKEPIT_BASE_UTF8_H
#define SNAKEPIT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool utf8_is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character at the front of `left` > 0 bytes, 1 to 4; 0 when they are no UTF-8: cut
 * short, overlong, a surrogate or above U+10FFFF (RFC 3629). */
static inline size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4 || left < 2 || !utf8_is_continuation(at[1]))
        return 0;
    if (lead < 0xe0)
        return 2;
    if (left < 3 || !utf8_is_continuation(at[2]))
        return 0;
    if (lead < 0xf0)
        return (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] >= 0xa0) ? 0 : 3;
    if (left < 4 || !utf8_is_continuation(at[3]))
        return 0;
    return (lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] >= 0x90) ? 0 : 4;
}

/* Writes the character `code`, a Unicode scalar value; returns its bytes, 1 to 4. */
static inline size_t utf8_encode(uint32_t code, char out_text[4])
{
    if (code < 0x80) {
        out_text[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out_text[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    out_text[0] = (char)(marks[length] | code);
    return length;
}

#endif
