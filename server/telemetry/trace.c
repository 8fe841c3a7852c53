#include "server/telemetry/trace.h"

/* Where the parts are: "00-<trace id>-<parent id>-<flags>". */
enum {
    TRACE_AT = 3,
    TRACE_LENGTH = 2 * TRACE_ID_BYTES,
    PARENT_AT = TRACE_AT + TRACE_LENGTH + 1,
    PARENT_LENGTH = 2 * SPAN_ID_BYTES,
    FLAGS_AT = PARENT_AT + PARENT_LENGTH + 1,
    FLAGS_LENGTH = 2,
    LENGTH = FLAGS_AT + FLAGS_LENGTH
};

/* Without a trace of the caller's it is ours, which tells of its spans. */
#define RECORDED BYTES("01")

const char *trace_hex(struct bytes id, char room[TRACE_HEX_MAX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < id.len; i++) {
        room[2 * i] = digits[(unsigned char)id.data[i] >> 4];
        room[2 * i + 1] = digits[(unsigned char)id.data[i] & 15];
    }
    room[2 * id.len] = '\0';
    return room;
}

static bool is_hex(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static bool is_all(struct bytes text, char c)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != c)
            return false;
    }
    return true;
}

static struct bytes trace_of(struct bytes traceparent)
{
    return bytes_from(traceparent.data + TRACE_AT, TRACE_LENGTH);
}

static struct bytes parent_of(struct bytes traceparent)
{
    return bytes_from(traceparent.data + PARENT_AT, PARENT_LENGTH);
}

static struct bytes flags_of(struct bytes traceparent)
{
    return bytes_from(traceparent.data + FLAGS_AT, FLAGS_LENGTH);
}

/* Trace Context, 3.2.2: ids are not all zero; a version above 00, but ff, may say more after a
 * dash. */
bool trace_is_good(struct bytes traceparent)
{
    if (traceparent.len < LENGTH)
        return false;
    const char *text = traceparent.data;
    struct bytes version = bytes_from(text, 2);
    struct bytes trace = trace_of(traceparent), parent = parent_of(traceparent);
    bool cut = text[TRACE_AT - 1] == '-' && text[PARENT_AT - 1] == '-' && text[FLAGS_AT - 1] == '-';
    bool ends = traceparent.len == LENGTH || (text[LENGTH] == '-' && !is_all(version, '0'));
    return cut && ends && is_hex(version) && !is_all(version, 'f') && is_hex(trace) &&
           !is_all(trace, '0') && is_hex(parent) && !is_all(parent, '0') &&
           is_hex(flags_of(traceparent));
}

static bool is_id(struct bytes id, size_t size)
{
    return id.len == size && !is_all(id, '\0');
}

struct bytes trace_within(struct bytes own, struct bytes trace_id, struct bytes span_id,
                          struct arena *arena)
{
    char trace[TRACE_HEX_MAX], span[TRACE_HEX_MAX];
    if (!is_id(trace_id, TRACE_ID_BYTES) || !is_id(span_id, SPAN_ID_BYTES))
        return arena_copy(arena, own);
    trace_hex(trace_id, trace);
    if (own.len && !bytes_equal(trace_of(own), bytes_of(trace)))
        return arena_copy(arena, own);
    struct bytes flags = own.len ? flags_of(own) : RECORDED;
    return bytes_of(arena_printf(arena, "00-%s-%s-%.*s", trace, trace_hex(span_id, span),
                                 (int)flags.len, flags.data));
}
