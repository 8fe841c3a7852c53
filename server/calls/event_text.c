#include "server/calls/event_text.h"

#include <string.h>

enum { HEAD_MAX = 96, DIGITS_MAX = 20 };

static char *put(char *at, struct bytes text)
{
    memcpy(at, text.data, text.len);
    return at + text.len;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[DIGITS_MAX], *first = digits + DIGITS_MAX;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    return put(at, bytes_from(first, (size_t)(digits + DIGITS_MAX - first)));
}

/* What stands before the data; `name` is one of ours and short. */
static size_t write_head(enum event_format format, uint64_t id, const char *name, char *room)
{
    char *at = room;
    at = put(at, format == EVENT_SSE ? BYTES("id: ") : BYTES("{\"id\":"));
    at = put_number(at, id);
    at = put(at, format == EVENT_SSE ? BYTES("\nevent: ") : BYTES(",\"event\":\""));
    at = put(at, bytes_of(name));
    at = put(at, format == EVENT_SSE ? BYTES("\ndata: ") : BYTES("\",\"data\":"));
    return (size_t)(at - room);
}

size_t event_text_piece(enum event_format format, uint64_t id, const char *name, struct bytes data,
                        size_t offset, char *room, size_t size, bool *out_end)
{
    char head[HEAD_MAX];
    struct bytes parts[] = {
        bytes_from(head, write_head(format, id, name, head)),
        data,
        format == EVENT_SSE ? BYTES("\n\n") : BYTES("}\n"),
    };
    size_t filled = 0;
    *out_end = false;
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (offset >= parts[i].len) {
            offset -= parts[i].len;
            continue;
        }
        size_t left = parts[i].len - offset, room_left = size - filled;
        size_t count = left < room_left ? left : room_left;
        memcpy(room + filled, parts[i].data + offset, count);
        filled += count;
        offset = 0;
        if (count < left)
            return filled;
    }
    *out_end = true;
    return filled;
}
