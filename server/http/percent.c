#include "server/http/percent.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_is_good(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%')
            continue;
        if (i + 2 >= text.len || hex_digit(text.data[i + 1]) < 0 || hex_digit(text.data[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

struct bytes percent_decode(struct bytes text, struct arena *arena)
{
    if (text.len == 0 || !memchr(text.data, '%', text.len))
        return text;
    char *room = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            c = (char)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]));
            i += 2;
        }
        room[len++] = c;
    }
    return bytes_from(room, len);
}

/* RFC 3986, 2.3. */
static bool is_unreserved(char c)
{
    char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void percent_add(struct buffer *buffer, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.data[i]))
            buffer_add(buffer, bytes_from(&text.data[i], 1));
        else
            buffer_printf(buffer, "%%%02X", (unsigned char)text.data[i]);
    }
}

static struct bytes cut(struct bytes *rest, char separator)
{
    const char *at = memchr(rest->data, separator, rest->len);
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    struct bytes piece = bytes_from(rest->data, len);
    *rest = bytes_skip(*rest, at ? len + 1 : len);
    return piece;
}

static struct bytes read_part(struct bytes part, struct arena *arena)
{
    if (part.len == 0 || !memchr(part.data, '+', part.len))
        return percent_decode(part, arena);
    char *room = arena_alloc(arena, part.len);
    for (size_t i = 0; i < part.len; i++)
        room[i] = part.data[i] == '+' ? ' ' : part.data[i];
    return percent_decode(bytes_from(room, part.len), arena);
}

bool percent_next(struct bytes *rest, struct arena *arena, struct bytes *out_name,
                  struct bytes *out_value)
{
    struct bytes before = *rest;
    if (rest->len == 0)
        return false;
    struct bytes value = cut(rest, '&'), name = value.len ? cut(&value, '=') : value;
    if (!percent_is_good(name) || !percent_is_good(value)) {
        *rest = before;
        return false;
    }
    *out_name = read_part(name, arena);
    *out_value = read_part(value, arena);
    return true;
}
