#include "server/http/media.h"

#include <stdio.h>
#include <stdlib.h>

enum { TYPE_MAX = 256 };

static struct bytes trim(struct bytes text)
{
    while (text.len && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_skip(text, 1);
    while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

struct bytes media_cut(struct bytes *rest, char separator)
{
    const char *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    struct bytes piece = bytes_from(rest->data, len);
    *rest = bytes_skip(*rest, at ? len + 1 : len);
    return trim(piece);
}

bool media_is_plain(struct bytes type)
{
    for (size_t i = 0; i < type.len; i++) {
        if (type.data[i] < ' ' || type.data[i] > '~')
            return false;
    }
    return type.len <= TYPE_MAX;
}

bool media_is_json(struct bytes type)
{
    struct bytes essence = media_cut(&type, ';');
    struct bytes suffix = BYTES("+json");
    if (bytes_equal_nocase(essence, BYTES("application/json")))
        return true;
    return essence.len > suffix.len && memchr(essence.data, '/', essence.len) &&
           bytes_equal_nocase(bytes_skip(essence, essence.len - suffix.len), suffix);
}

/* RFC 9110, 12.4.2: 0 to 1 with up to three digits; 1 when absent or malformed. In thousandths. */
static int quality(struct bytes parameters)
{
    while (parameters.len) {
        struct bytes parameter = media_cut(&parameters, ';');
        if (parameter.len > 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=') {
            char text[8] = {0};
            memcpy(text, parameter.data + 2, parameter.len - 2 < 6 ? parameter.len - 2 : 6);
            return (int)(strtod(text, NULL) * 1000);
        }
    }
    return 1000;
}

/* The quality that an Accept header gives to exactly this type, or -1. */
static int quality_of(struct bytes accept, const char *type)
{
    while (accept.len) {
        struct bytes range = media_cut(&accept, ',');
        if (bytes_equal_nocase(media_cut(&range, ';'), bytes_of(type)))
            return quality(range);
    }
    return -1;
}

bool media_accepts(struct bytes accept, const char *type)
{
    char group[TYPE_MAX];
    const char *slash = strchr(type, '/');
    int exact = quality_of(accept, type);
    snprintf(group, sizeof group, "%.*s/*", (int)(slash - type), type);
    if (exact >= 0)
        return exact > 0;
    int by_group = quality_of(accept, group);
    return by_group >= 0 ? by_group > 0 : quality_of(accept, "*/*") > 0;
}

bool media_prefers(struct bytes accept, const char *type, const char *other)
{
    int wanted = quality_of(accept, type);
    return wanted > 0 && wanted >= quality_of(accept, other);
}

struct bytes media_safe(struct bytes type)
{
    if (type.len == 0)
        return BYTES("application/json");
    bool good = media_is_plain(type) && memchr(type.data, '/', type.len);
    return good ? type : BYTES("application/octet-stream");
}
