#include "base/json_string.h"

#include "base/utf8.h"

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
