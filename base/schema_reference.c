/* JSON pointers in a $ref: "#/$defs/a~1b". */
#include "base/schema_compiler.h"

#include <stdlib.h>

/* Resolves %XX in place; returns the new length, or SIZE_MAX when it is malformed. */
static size_t resolve_percent(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char hex[3] = "";
        char *end = hex;
        text[to] = text[i];
        if (text[i] == '%') {
            if (len - i < 3)
                return SIZE_MAX;
            memcpy(hex, text + i + 1, 2);
            text[to] = (char)strtoul(hex, &end, 16);
            if (end != hex + 2)
                return SIZE_MAX;
            i += 2;
        }
        to++;
    }
    return to;
}

/* One step of a pointer is resolved in place: ~1 and ~0. */
static struct bytes resolve_step(char *text, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        bool tilde = text[i] == '~' && i + 1 < len && (text[i + 1] == '0' || text[i + 1] == '1');
        text[to++] = tilde ? (text[++i] == '0' ? '~' : '/') : text[i];
    }
    return bytes_from(text, to);
}

static bool step_into(struct compiler *compiler, struct json_value *value, struct bytes step)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value member;
    int64_t index = -1;
    if (value->type == JSON_TYPE_ARRAY && !json_to_int(step, &index))
        return false;
    if (value->type != JSON_TYPE_OBJECT && value->type != JSON_TYPE_ARRAY)
        return false;
    while (json_next(value->raw, &cursor, &key, &member)) {
        if (key.data ? bytes_equal(json_text(key, compiler->schema->arena), step) : index-- == 0) {
            *value = member;
            return true;
        }
    }
    return false;
}

const char *schema_find_target(struct compiler *compiler, struct bytes reference)
{
    struct bytes text = compiler->text;
    struct json_value value = json_value_at(text.data, text.data + text.len);
    char *at = arena_string(compiler->schema->arena, reference);
    size_t len = resolve_percent(at, reference.len);
    if (len == SIZE_MAX || len == 0 || *at != '#')
        return NULL;
    const char *end = at + len;
    at++;
    while (at < end) {
        if (*at++ != '/')
            return NULL;
        char *slash = memchr(at, '/', (size_t)(end - at));
        char *stop = slash ? slash : at + (end - at);
        if (!step_into(compiler, &value, resolve_step(at, (size_t)(stop - at))))
            return NULL;
        at = stop;
    }
    return value.raw.data;
}
