/* The check is a machine of three steps over the bytes: a value begins, a value has ended, a fault.
 * Nesting is one bit a level (object or array), so there is no recursion and nothing to allocate.
 * Strings are most of what callers send: json_plain_end() runs over them eight bytes at a time and
 * stops only where there is something to decide. */
#include "base/json.h"

#include "base/json_string.h"
#include "base/utf8.h"

#include <stdlib.h>

struct scan {
    const char *at;
    const char *end;
    unsigned depth;
    unsigned max_depth;
    const char *reason;
    uint64_t objects[JSON_MAX_DEPTH / 64]; /* bit n - 1: what is open at depth n is an object */
};

enum step {
    STEP_VALUE, /* a value has to begin here, white space skipped */
    STEP_AFTER, /* a value has ended here */
    STEP_FAULT, /* `at` and `reason` say what is wrong */
};

static inline const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static inline enum step fault(struct scan *scan, const char *at, const char *reason)
{
    scan->at = at;
    scan->reason = at == scan->end ? "unexpected end" : reason;
    return STEP_FAULT;
}

static enum step string_fault(struct scan *scan, const char *at)
{
    if (*at == '\\')
        return fault(scan, at, "bad escape in a string");
    if ((unsigned char)*at < 0x20)
        return fault(scan, at, "control character in a string");
    return fault(scan, at, "string is not UTF-8");
}

/* Bytes of the escape or of the character beyond ASCII at `at`, 0 when it is neither. */
static inline size_t character_length(const char *at, const char *end)
{
    if (*at == '\\')
        return json_escape_length(at, (size_t)(end - at));
    if ((unsigned char)*at >= 0x80)
        return utf8_length(at, (size_t)(end - at));
    return 0;
}

/* `at` is the opening quote. */
static inline enum step pass_string(struct scan *scan, const char *at)
{
    at++;
    for (;;) {
        at = json_plain_end(at, scan->end);
        if (at == scan->end)
            return fault(scan, at, "");
        if (*at == '"')
            break;
        size_t length = character_length(at, scan->end);
        if (length == 0)
            return string_fault(scan, at);
        at += length;
        while (at < scan->end && (unsigned char)*at >= 0x80 && length > 0) {
            length = utf8_length(at, (size_t)(scan->end - at));
            at += length;
        }
    }
    scan->at = at + 1;
    return STEP_AFTER;
}

/* RFC 8259, section 6: -? (0 | [1-9] digits*) (. digits+)? ([eE] [+-]? digits+)? */
static inline enum step pass_number(struct scan *scan, const char *at)
{
    const char *end = scan->end;
    if (*at == '-')
        at++;
    const char *digits = at;
    at = skip_digits(at, end);
    if (at == digits)
        return fault(scan, at, "a number lacks digits");
    if (*digits == '0' && at > digits + 1)
        return fault(scan, digits + 1, "a number begins with 0");
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return fault(scan, at, "a number lacks digits");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, end);
        if (at == digits)
            return fault(scan, at, "a number lacks digits");
    }
    scan->at = at;
    return STEP_AFTER;
}

static inline enum step pass_word(struct scan *scan, const char *at, struct bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (at + i == scan->end || at[i] != word.data[i])
            return fault(scan, at + i, "unexpected character");
    }
    scan->at = at + word.len;
    return STEP_AFTER;
}

static inline bool in_object(const struct scan *scan)
{
    unsigned level = scan->depth - 1;
    return scan->objects[level / 64] >> (level % 64) & 1;
}

/* A member's name and colon; `at` is behind the brace or comma. */
static inline enum step pass_key(struct scan *scan, const char *at)
{
    at = json_skip_space(at, scan->end);
    if (at == scan->end || *at != '"')
        return fault(scan, at, "expected a member name");
    if (pass_string(scan, at) == STEP_FAULT)
        return STEP_FAULT;
    at = json_skip_space(scan->at, scan->end);
    if (at == scan->end || *at != ':')
        return fault(scan, at, "expected a colon");
    scan->at = json_skip_space(at + 1, scan->end);
    return STEP_VALUE;
}

static inline enum step open_container(struct scan *scan, const char *at)
{
    if (scan->depth == scan->max_depth)
        return fault(scan, at, JSON_TOO_DEEP);
    bool object = *at == '{';
    unsigned level = scan->depth++;
    uint64_t bit = (uint64_t)1 << (level % 64);
    if (object)
        scan->objects[level / 64] |= bit;
    else
        scan->objects[level / 64] &= ~bit;
    at = json_skip_space(at + 1, scan->end);
    if (at < scan->end && *at == (object ? '}' : ']')) {
        scan->depth--;
        scan->at = at + 1;
        return STEP_AFTER;
    }
    if (object)
        return pass_key(scan, at);
    scan->at = at;
    return STEP_VALUE;
}

static inline enum step begin_value(struct scan *scan)
{
    const char *at = scan->at;
    if (at == scan->end)
        return fault(scan, at, "");
    switch (*at) {
    case '"':
        return pass_string(scan, at);
    case '{':
    case '[':
        return open_container(scan, at);
    case 't':
        return pass_word(scan, at, BYTES("true"));
    case 'f':
        return pass_word(scan, at, BYTES("false"));
    case 'n':
        return pass_word(scan, at, BYTES("null"));
    default:
        if (*at == '-' || (*at >= '0' && *at <= '9'))
            return pass_number(scan, at);
        return fault(scan, at, "unexpected character");
    }
}

/* Inside a container: a comma, or its end. */
static inline enum step after_value(struct scan *scan)
{
    const char *at = json_skip_space(scan->at, scan->end);
    bool object = in_object(scan);
    if (at == scan->end)
        return fault(scan, at, "");
    if (*at == ',') {
        if (object)
            return pass_key(scan, at + 1);
        scan->at = json_skip_space(at + 1, scan->end);
        return STEP_VALUE;
    }
    if (*at != (object ? '}' : ']'))
        return fault(scan, at, "expected a comma or the end");
    scan->depth--;
    scan->at = at + 1;
    return STEP_AFTER;
}

static bool pass_value(struct scan *scan)
{
    enum step step = STEP_VALUE;
    do {
        step = step == STEP_VALUE ? begin_value(scan) : after_value(scan);
    } while (step == STEP_VALUE || (step == STEP_AFTER && scan->depth > 0));
    return step == STEP_AFTER;
}

bool json_check(struct bytes text, unsigned max_depth, struct json_value *out_value,
                struct json_error *out_error)
{
    if (max_depth > JSON_MAX_DEPTH)
        abort();
    if (text.len == 0)
        text.data = "";
    struct scan scan = {.end = text.data + text.len, .max_depth = max_depth};
    const char *start = scan.at = json_skip_space(text.data, scan.end);
    bool good = pass_value(&scan);
    const char *stop = scan.at;
    if (good && json_skip_space(stop, scan.end) != scan.end) {
        fault(&scan, json_skip_space(stop, scan.end), "something follows the value");
        good = false;
    }
    if (good && out_value)
        *out_value =
            (struct json_value){json_type_of(*start), bytes_from(start, (size_t)(stop - start))};
    if (!good && out_error)
        *out_error = (struct json_error){(size_t)(scan.at - text.data), scan.reason};
    return good;
}

/* From here on texts are known to be JSON; `end` bounds every step all the same. */

/* `at` is the opening quote; returns what follows the closing one, the first with an even number of
 * backslashes before it. */
static const char *string_end(const char *at, const char *end)
{
    const char *start = at;
    for (;;) {
        at++;
        at = memchr(at, '"', (size_t)(end - at));
        if (!at)
            return end;
        const char *escape = at;
        while (escape - 1 > start && escape[-1] == '\\')
            escape--;
        if ((at - escape) % 2 == 0)
            return at + 1;
    }
}

static const char *container_end(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        char byte = *at;
        if (byte == '"') {
            at = string_end(at, end);
            continue;
        }
        at++;
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            break;
    }
    return at;
}

static const char *scalar_end(const char *at, const char *end)
{
    while (at < end && *at != ',' && *at != '}' && *at != ']' && json_skip_space(at, end) == at)
        at++;
    return at;
}

struct json_value json_value_at(const char *at, const char *end)
{
    enum json_type type = json_type_of(*at);
    const char *stop;
    if (type == JSON_TYPE_STRING)
        stop = string_end(at, end);
    else if (type == JSON_TYPE_OBJECT || type == JSON_TYPE_ARRAY)
        stop = container_end(at, end);
    else
        stop = scalar_end(at, end);
    return (struct json_value){type, bytes_from(at, (size_t)(stop - at))};
}

bool json_next(struct bytes container, struct json_cursor *cursor, struct bytes *out_key,
               struct json_value *out_value)
{
    const char *end = container.data + container.len;
    const char *at = json_skip_space(container.data + cursor->offset, end);
    if (at < end && cursor->offset == 0)
        at = json_skip_space(at + 1, end);
    else if (at < end && *at == ',')
        at = json_skip_space(at + 1, end);
    if (at == end || *at == '}' || *at == ']')
        return false;
    struct bytes key = {NULL, 0};
    if (container.data[0] == '{') {
        struct json_value name = json_value_at(at, end);
        key = bytes_from(name.raw.data + 1, name.raw.len - 2);
        at = json_skip_space(json_skip_space(at + name.raw.len, end) + 1, end);
    }
    *out_value = json_value_at(at, end);
    if (out_key)
        *out_key = key;
    cursor->offset = (size_t)(at - container.data) + out_value->raw.len;
    return true;
}

bool json_to_int(struct bytes raw, int64_t *out_number)
{
    bool negative = raw.len > 0 && raw.data[0] == '-';
    int64_t number = 0;
    if (raw.len == (size_t)negative)
        return false;
    for (size_t i = negative; i < raw.len; i++) {
        int digit = raw.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, number, &number))
        return false;
    *out_number = number;
    return true;
}

struct bytes json_text(struct bytes raw, struct arena *arena)
{
    if (raw.len >= 2 && raw.data[0] == '"')
        raw = bytes_from(raw.data + 1, raw.len - 2);
    if (raw.len == 0 || !memchr(raw.data, '\\', raw.len))
        return raw;
    char *text = arena_alloc(arena, raw.len);
    size_t len = 0;
    while (raw.len > 0) {
        const char *escape = memchr(raw.data, '\\', raw.len);
        size_t plain = escape ? (size_t)(escape - raw.data) : raw.len;
        memcpy(text + len, raw.data, plain);
        len += plain;
        raw = bytes_skip(raw, plain);
        if (raw.len > 0)
            len += utf8_encode(json_take_character(&raw), text + len);
    }
    return bytes_from(text, len);
}
