/* Properties of the JSON reader, for any bytes: it accepts what jansson accepts; all ranges it
 * hands out lie inside the text and are JSON themselves; strings and whole numbers read as jansson
 * reads them; what buffer_add_json_string() writes can be read back. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/utf8.h"

#include "fuzz.h"

#include <jansson.h>

enum verdict { REFUSED, ACCEPTED, NOT_COMPARABLE };

/* Jansson 2.14 takes a zero byte behind the value for the end of the text; there is none in any
 * JSON. It also refuses numbers that do not fit its types, NUL in member names, and more than 2048
 * levels; there it says nothing about the text as JSON. */
static enum verdict ask_jansson(struct bytes text, json_t **out_value)
{
    json_error_t error;
    *out_value = NULL;
    if (text.len > 0 && memchr(text.data, '\0', text.len))
        return REFUSED;
    *out_value = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (*out_value)
        return ACCEPTED;
    switch (json_error_code(&error)) {
    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_stack_overflow:
        return NOT_COMPARABLE;
    default:
        return REFUSED;
    }
}

static bool lies_within(struct bytes inner, struct bytes outer)
{
    return inner.data >= outer.data && inner.data + inner.len <= outer.data + outer.len;
}

static bool is_utf8(struct bytes text)
{
    while (text.len > 0) {
        size_t length = utf8_length(text.data, text.len);
        if (length == 0)
            return false;
        text = bytes_skip(text, length);
    }
    return true;
}

static void check_writing(struct bytes text, bool exact)
{
    struct buffer written = {0};
    struct json_value value;
    struct arena *arena = arena_new(0);
    buffer_add_json_string(&written, text);
    fuzz_require(json_check(buffer_bytes(&written), 0, &value, NULL), "a written string is JSON");
    fuzz_require(value.type == JSON_TYPE_STRING, "a written string is a string");
    if (exact)
        fuzz_require(bytes_equal(json_text(value.raw, arena), text),
                     "it reads as what was written");
    arena_unref(&arena);
    buffer_deinit(&written);
}

/* `raw` with its quotes, or a member name without. */
static void check_text(struct bytes raw, const json_t *wanted)
{
    struct arena *arena = arena_new(0);
    struct bytes text = json_text(raw, arena);
    fuzz_require(is_utf8(text), "the text of a string is UTF-8");
    if (wanted)
        fuzz_require(
            bytes_equal(text, bytes_from(json_string_value(wanted), json_string_length(wanted))),
            "jansson reads the same text");
    check_writing(text, true);
    arena_unref(&arena);
}

static void check_number(struct bytes raw, const json_t *wanted)
{
    int64_t number = 0;
    bool whole = json_to_int(raw, &number);
    if (!wanted)
        return;
    fuzz_require(whole == json_is_integer(wanted), "jansson agrees on what is a whole number");
    fuzz_require(!whole || number == json_integer_value(wanted), "jansson reads the same number");
}

static void check_scalar(struct json_value value)
{
    if (value.type != JSON_TYPE_STRING && value.type != JSON_TYPE_NUMBER)
        return;
    json_t *wanted;
    enum verdict verdict = ask_jansson(value.raw, &wanted);
    fuzz_require(verdict != REFUSED, "jansson accepts the member");
    if (value.type == JSON_TYPE_STRING)
        check_text(value.raw, wanted);
    else
        check_number(value.raw, wanted);
    json_decref(wanted);
}

static void check_member(struct bytes text, struct bytes key, struct json_value value)
{
    struct json_value again;
    fuzz_require(lies_within(value.raw, text), "a member lies inside the text");
    fuzz_require(json_check(value.raw, JSON_MAX_DEPTH, &again, NULL), "a member is JSON");
    fuzz_require(again.type == value.type && bytes_equal(again.raw, value.raw),
                 "a member's type and range are right");
    if (key.data) {
        fuzz_require(lies_within(key, text), "a name lies inside the text");
        check_text(key, NULL);
    }
    check_scalar(value);
}

/* Walks all members of all containers; those that are open stand on a stack. */
static void walk(struct json_value whole)
{
    static struct {
        struct bytes container;
        struct json_cursor cursor;
    } open[JSON_MAX_DEPTH + 1];
    size_t depth = 0;
    struct bytes key;
    struct json_value value = whole;
    for (;;) {
        if (value.type == JSON_TYPE_ARRAY || value.type == JSON_TYPE_OBJECT) {
            fuzz_require(depth < JSON_MAX_DEPTH, "nesting is limited");
            open[depth].container = value.raw;
            open[depth++].cursor = (struct json_cursor){0};
        }
        while (depth > 0 &&
               !json_next(open[depth - 1].container, &open[depth - 1].cursor, &key, &value))
            depth--;
        if (depth == 0)
            return;
        check_member(open[depth - 1].container, key, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_from(data, size);
    struct json_value value;
    struct json_error error = {0, NULL};
    bool good = json_check(text, JSON_MAX_DEPTH, &value, &error);
    json_t *oracle;
    enum verdict verdict = ask_jansson(text, &oracle);
    if (oracle)
        json_decref(oracle);
    check_writing(text, is_utf8(text));
    if (good) {
        fuzz_require(verdict != REFUSED, "jansson accepts what we accept");
        fuzz_require(lies_within(value.raw, text), "the value lies inside the text");
        check_scalar(value);
        walk(value);
        return 0;
    }
    fuzz_require(error.reason && error.offset <= size, "a fault lies inside the text");
    fuzz_require(verdict != ACCEPTED || strcmp(error.reason, "nested deeper than allowed") == 0,
                 "we accept what jansson accepts");
    return 0;
}
