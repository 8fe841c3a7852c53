/* Faults, for people: where, what was expected, what was found. */
#include "base/json_string.h"
#include "base/schema_inside.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* Most bytes of a value that are repeated. */
enum { VALUE_SHOWN = 60, CHOICES_SHOWN = 160 };

/* `len` or a little less, so that no character is cut in two. */
static size_t whole_characters(const char *text, size_t len)
{
    while (len > 0 && utf8_is_continuation((unsigned char)text[len]))
        len--;
    return len;
}

/* A step of a pointer, as far as there is room. */
static bool add_text(char *pointer, size_t *at, struct bytes text)
{
    if (text.len > SCHEMA_POINTER_BYTES - *at)
        return false;
    memcpy(pointer + *at, text.data, text.len);
    *at += text.len;
    return true;
}

static bool add_name(char *pointer, size_t *at, struct bytes name)
{
    while (name.len > 0) {
        char character[4];
        uint32_t code = json_take_character(&name);
        struct bytes text = bytes_from(character, utf8_encode(code, character));
        if (code == '~' || code == '/')
            text = code == '~' ? BYTES("~0") : BYTES("~1");
        if (!add_text(pointer, at, text))
            return false;
    }
    return true;
}

static bool add_step(char *pointer, size_t *at, const struct place *place)
{
    char number[24];
    if (!add_text(pointer, at, BYTES("/")))
        return false;
    if (place->name.data)
        return add_name(pointer, at, place->name);
    int length = snprintf(number, sizeof number, "%zu", place->index);
    return add_text(pointer, at, bytes_from(number, (size_t)length));
}

/* The places lie the wrong way round: each round writes the one that is `left` steps up. No text
 * that passes is deep enough for this to matter. */
static void write_pointer(char *pointer, const struct place *place)
{
    size_t depth = 0, at = 0;
    for (const struct place *step = place; step; step = step->up)
        depth++;
    for (size_t left = depth; left > 0; left--) {
        const struct place *step = place;
        for (size_t up = 1; up < left; up++)
            step = step->up;
        if (!add_step(pointer, &at, step))
            break;
    }
    pointer[at] = '\0';
}

bool schema_fault_add(struct schema_faults *faults, const struct place *place, const char *keyword,
                      const char *format, ...)
{
    if (faults->count == SCHEMA_MAX_FAULTS) {
        faults->more = true;
        return false;
    }
    struct schema_fault *fault = &faults->list[faults->count++];
    fault->keyword = keyword;
    write_pointer(fault->pointer, place);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(fault->detail, sizeof fault->detail, format, args);
    va_end(args);
    if (length > SCHEMA_DETAIL_BYTES) {
        size_t end = whole_characters(fault->detail, SCHEMA_DETAIL_BYTES - 4);
        memcpy(fault->detail + end, "…", sizeof "…");
    }
    return false;
}

struct bytes schema_shown(struct bytes text)
{
    if (text.len > SCHEMA_NAME_BYTES)
        text.len = whole_characters(text.data, SCHEMA_NAME_BYTES);
    return text;
}

static void show(struct bytes raw, const char *kind, char out_text[SCHEMA_SHOWN_BYTES])
{
    bool cut = raw.len > VALUE_SHOWN;
    size_t len = cut ? whole_characters(raw.data, VALUE_SHOWN) : raw.len;
    (void)snprintf(out_text, SCHEMA_SHOWN_BYTES, "%s%.*s%s", kind, (int)len, raw.data,
                   cut ? "…" : "");
}

const char *schema_describe(struct json_value value, char out_text[SCHEMA_SHOWN_BYTES])
{
    switch (value.type) {
    case JSON_TYPE_ARRAY:
        return "an array";
    case JSON_TYPE_OBJECT:
        return "an object";
    case JSON_TYPE_STRING:
        show(value.raw, "the string ", out_text);
        return out_text;
    case JSON_TYPE_NUMBER:
        show(value.raw, "the number ", out_text);
        return out_text;
    case JSON_TYPE_NULL:
    case JSON_TYPE_BOOL:
        break;
    }
    show(value.raw, "", out_text);
    return out_text;
}

const char *schema_describe_types(unsigned types, char out_text[SCHEMA_SHOWN_BYTES])
{
    static const char *const names[] = {
        [JSON_TYPE_BOOL] = "true or false", [JSON_TYPE_NUMBER] = "a number",
        [JSON_TYPE_STRING] = "a string",    [JSON_TYPE_ARRAY] = "an array",
        [JSON_TYPE_OBJECT] = "an object",   [JSON_TYPE_OBJECT + 1] = "an integer",
        [JSON_TYPE_OBJECT + 2] = "null",
    };
    size_t at = 0;
    if (types & 1 << JSON_TYPE_NUMBER)
        types &= ~(unsigned)TYPE_INTEGER_BIT;
    if (types & 1 << JSON_TYPE_NULL) /* comes last */
        types |= 1 << (JSON_TYPE_OBJECT + 2);
    out_text[0] = '\0';
    for (unsigned i = JSON_TYPE_BOOL; i < sizeof names / sizeof names[0]; i++) {
        if (types & 1u << i)
            at += (size_t)snprintf(out_text + at, SCHEMA_SHOWN_BYTES - at, "%s%s", at ? " or " : "",
                                   names[i]);
    }
    return out_text;
}

const char *schema_describe_choices(const struct value_list *choices,
                                    char out_text[SCHEMA_DETAIL_BYTES])
{
    size_t at = 0;
    (void)snprintf(out_text, SCHEMA_DETAIL_BYTES, "nothing");
    for (size_t i = 0; i < choices->count; i++) {
        struct bytes raw = choices->values[i].raw;
        if (at + raw.len > CHOICES_SHOWN) {
            (void)snprintf(out_text + at, SCHEMA_DETAIL_BYTES - at, "%s…", i ? ", " : "");
            break;
        }
        at += (size_t)snprintf(out_text + at, SCHEMA_DETAIL_BYTES - at, "%s%.*s", i ? ", " : "",
                               (int)raw.len, raw.data);
    }
    return out_text;
}
