/* Reading JSON without building anything: checks a text against RFC 8259 and hands out the byte
 * ranges of its members, so that a caller's value can be passed on as the bytes it came in.
 *
 * Strict: UTF-8 only, no lone surrogates in \u escapes, no byte order mark, no trailing bytes,
 * nesting at most as deep as asked for. No recursion, no allocation but where said. Any thread. */
#ifndef SNAKEPIT_BASE_JSON_H
#define SNAKEPIT_BASE_JSON_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not JSON_STRING and so on: those are jansson's. */
enum json_type {
    JSON_TYPE_NULL,
    JSON_TYPE_BOOL,
    JSON_TYPE_NUMBER,
    JSON_TYPE_STRING,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT,
};

/* The reason of a text that may be JSON, but is nested too deep. */
#define JSON_TOO_DEEP "nested deeper than allowed"

/* Most levels any caller may ask for. */
enum { JSON_MAX_DEPTH = 1024 };

struct json_error {
    size_t offset;      /* byte at which the text stops being JSON */
    const char *reason; /* static, for people: "unexpected character", … */
};

/* One value inside a text. `raw` is its bytes without the white space around it. */
struct json_value {
    enum json_type type;
    struct bytes raw;
};

/* True when `text` is one JSON value and nothing else, nested at most `max_depth` levels ([] is 1
 * level); asking for more than JSON_MAX_DEPTH aborts. Writes the value's type and range to
 * `out_value`, or, when it returns false, the fault to `out_error`. Both may be NULL. */
bool json_check(struct bytes text, unsigned max_depth, struct json_value *out_value,
                struct json_error *out_error) __attribute__((warn_unused_result));

/* Walks the members of an object, or the elements of an array, that json_check() accepted;
 * `container` is its `raw`. Start with a zeroed `cursor`; returns false at the end. `out_key` gets
 * the member's name as it is in the text, between its quotes and still escaped (NULL data for
 * arrays). Does not check again. */
struct json_cursor {
    size_t offset;
};
bool json_next(struct bytes container, struct json_cursor *cursor, struct bytes *out_key,
               struct json_value *out_value);

/* The value that begins at `at`, in a text that json_check() accepted and that goes on to `end`. */
struct json_value json_value_at(const char *at, const char *end);

/* What kind of value begins with that byte. */
static inline enum json_type json_type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_TYPE_OBJECT;
    case '[':
        return JSON_TYPE_ARRAY;
    case '"':
        return JSON_TYPE_STRING;
    case 't':
    case 'f':
        return JSON_TYPE_BOOL;
    case 'n':
        return JSON_TYPE_NULL;
    default:
        return JSON_TYPE_NUMBER;
    }
}

/* The first byte from `at` on that is no white space. */
static inline const char *json_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* The text of a string value or key, escapes resolved. `raw` with quotes as in json_value, or a key
 * without them. Borrows from `raw` when there is nothing to resolve, else allocates in `arena`. */
struct bytes json_text(struct bytes raw, struct arena *arena);

/* The number as a whole number. False when it has a fraction or exponent, or does not fit. */
bool json_to_int(struct bytes raw, int64_t *out_number) __attribute__((warn_unused_result));

#endif
