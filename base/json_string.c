#include "base/json_string.h"

#include "base/utf8.h"

#include <stdlib.h>

const bool json_plain[256] = {
    [0x20 ... 0x21] = true,
    [0x23 ... 0x5b] = true,
    [0x5d ... 0x7f] = true,
};

static size_t escape_control(unsigned char byte, char *out_escaped)
{
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char digits[] = "0123456789abcdef";
    if (shorts[byte]) {
        out_escaped[0] = '\\';
        out_escaped[1] = shorts[byte];
        return 2;
    }
    memcpy(out_escaped, "\\u00", 4);
    out_escaped[4] = digits[byte >> 4];
    out_escaped[5] = digits[byte & 15];
    return 6;
}

size_t json_escape(struct bytes *text, char out_escaped[JSON_ESCAPED_MAX])
{
    unsigned char byte = (unsigned char)text->data[0];
    size_t length = utf8_length(text->data, text->len);
    const char *character = text->data;
    *text = bytes_skip(*text, length ? length : 1);
    if (length == 0)
        return utf8_encode(0xfffd, out_escaped);
    if (byte < 0x20)
        return escape_control(byte, out_escaped);
    if (byte == '"' || byte == '\\') {
        out_escaped[0] = '\\';
        out_escaped[1] = (char)byte;
        return 2;
    }
    memcpy(out_escaped, character, length);
    return length;
}

/* The code unit of \uXXXX, or -1. */
static int32_t code_unit(const char *at, size_t left)
{
    if (left < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        char letter = (char)(at[i] | 0x20);
        if (at[i] >= '0' && at[i] <= '9')
            unit = unit * 16 + (at[i] - '0');
        else if (letter >= 'a' && letter <= 'f')
            unit = unit * 16 + (letter - 'a' + 10);
        else
            return -1;
    }
    return unit;
}

static char short_escape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '"':
    case '\\':
    case '/':
        return letter;
    default:
        return 0;
    }
}

/* Resolves the escape at the front; returns its bytes, 0 when it is none. */
static size_t resolve(const char *at, size_t left, uint32_t *out_code)
{
    if (left >= 2 && short_escape(at[1])) {
        *out_code = (uint32_t)short_escape(at[1]);
        return 2;
    }
    int32_t unit = code_unit(at, left);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    *out_code = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    int32_t low = code_unit(at + 6, left - 6);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *out_code = (uint32_t)(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
    return 12;
}

size_t json_escape_length(const char *at, size_t left)
{
    uint32_t code;
    return resolve(at, left, &code);
}

uint32_t json_take_character(struct bytes *raw)
{
    const unsigned char *at = (const unsigned char *)raw->data;
    uint32_t code = at[0];
    size_t length = 1;
    if (code == '\\') {
        length = resolve(raw->data, raw->len, &code);
    } else if (code >= 0x80) {
        length = utf8_length(raw->data, raw->len);
        code &= 0x7fu >> length;
        for (size_t i = 1; i < length; i++)
            code = code << 6 | (at[i] & 0x3fu);
    }
    if (length == 0)
        abort();
    *raw = bytes_skip(*raw, length);
    return code;
}
