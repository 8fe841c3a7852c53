#include "server/http/etag.h"

#include <string.h>

static struct bytes skip_spaces(struct bytes text)
{
    while (text.len && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_skip(text, 1);
    return text;
}

/* Cuts one tag off the front, without the mark of a weak one. */
static bool cut_tag(struct bytes *text, struct bytes *out_tag, bool *out_weak)
{
    *out_weak = bytes_starts_with(*text, BYTES("W/"));
    struct bytes rest = bytes_skip(*text, *out_weak ? 2 : 0);
    if (rest.len < 2 || rest.data[0] != '"')
        return false;
    const char *end = memchr(rest.data + 1, '"', rest.len - 1);
    if (!end)
        return false;
    *out_tag = bytes_from(rest.data, (size_t)(end + 1 - rest.data));
    *text = skip_spaces(bytes_skip(rest, out_tag->len));
    return true;
}

enum etag_verdict etag_match(struct bytes header, struct bytes etag, bool weak)
{
    enum etag_verdict verdict = ETAG_DIFFERS;
    struct bytes rest = skip_spaces(header), tag;
    bool is_weak;
    if (bytes_equal(rest, BYTES("*")))
        return etag.len ? ETAG_MATCHES : ETAG_DIFFERS;
    for (;;) {
        if (!cut_tag(&rest, &tag, &is_weak))
            return ETAG_MALFORMED;
        if (bytes_equal(tag, etag) && (weak || !is_weak))
            verdict = ETAG_MATCHES;
        if (rest.len == 0)
            return verdict;
        if (rest.data[0] != ',')
            return ETAG_MALFORMED;
        rest = skip_spaces(bytes_skip(rest, 1));
    }
}
