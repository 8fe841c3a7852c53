#include "base/json_equal.h"

#include "base/decimal.h"
#include "base/json_string.h"

enum { BYTES_A_UNIT = 32 };

static bool spend(uint64_t *work, size_t bytes)
{
    uint64_t cost = 1 + bytes / BYTES_A_UNIT;
    *work = *work > cost ? *work - cost : 0;
    return *work > 0;
}

bool json_equal_text(struct bytes a, struct bytes b)
{
    if (a.len == 0 || b.len == 0)
        return a.len == b.len;
    if (!memchr(a.data, '\\', a.len) && !memchr(b.data, '\\', b.len))
        return bytes_equal(a, b);
    while (a.len > 0 && b.len > 0) {
        if (json_take_character(&a) != json_take_character(&b))
            return false;
    }
    return a.len == b.len;
}

static struct bytes inside(struct json_value string)
{
    return bytes_from(string.raw.data + 1, string.raw.len - 2);
}

static bool equal_numbers(struct bytes a, struct bytes b)
{
    if (bytes_equal(a, b))
        return true;
    struct decimal left = decimal_read(a), right = decimal_read(b);
    return decimal_compare(&left, &right) == 0;
}

/* From here on recursion is as deep as the values, which the caller limits. */
/* NOLINTBEGIN(misc-no-recursion) */

static bool equal_arrays(struct bytes a, struct bytes b, uint64_t *work)
{
    struct json_cursor left = {0}, right = {0};
    struct json_value one, other;
    for (;;) {
        bool more = json_next(a, &left, NULL, &one);
        if (json_next(b, &right, NULL, &other) != more)
            return false;
        if (!more)
            return true;
        if (!json_equal(one, other, work))
            return false;
    }
}

static bool find(struct bytes object, struct bytes name, struct json_value *out_value,
                 uint64_t *work)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    while (json_next(object, &cursor, &key, out_value)) {
        if (!spend(work, out_value->raw.len))
            return false;
        if (json_equal_text(key, name))
            return true;
    }
    return false;
}

/* True when `b` has each member of `a`; `values`: with the same value. */
static bool has_all(struct bytes a, struct bytes b, bool values, size_t *out_count, uint64_t *work)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value, other;
    *out_count = 0;
    while (json_next(a, &cursor, &key, &value)) {
        if (!find(b, key, &other, work) || (values && !json_equal(value, other, work)))
            return false;
        ++*out_count;
    }
    return true;
}

static bool equal_objects(struct bytes a, struct bytes b, uint64_t *work)
{
    size_t left = 0, right = 0;
    return has_all(a, b, true, &left, work) && has_all(b, a, false, &right, work) && left == right;
}

bool json_equal(struct json_value a, struct json_value b, uint64_t *work)
{
    if (a.type != b.type || !spend(work, a.raw.len < b.raw.len ? a.raw.len : b.raw.len))
        return false;
    switch (a.type) {
    case JSON_TYPE_NULL:
        return true;
    case JSON_TYPE_BOOL:
        return a.raw.data[0] == b.raw.data[0];
    case JSON_TYPE_NUMBER:
        return equal_numbers(a.raw, b.raw);
    case JSON_TYPE_STRING:
        return json_equal_text(inside(a), inside(b));
    case JSON_TYPE_ARRAY:
        return equal_arrays(a.raw, b.raw, work);
    case JSON_TYPE_OBJECT:
        return equal_objects(a.raw, b.raw, work);
    }
    return false;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_text(struct bytes text)
{
    uint64_t hash = 1;
    while (text.len > 0)
        hash = mix(hash, json_take_character(&text));
    return hash;
}

static uint64_t hash_members(struct bytes container)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    bool object = container.data[0] == '{';
    uint64_t hash = object ? 2 : 3;
    while (json_next(container, &cursor, &key, &value)) {
        if (object)
            hash += mix(hash_text(key), json_hash(value));
        else
            hash = mix(hash, json_hash(value));
    }
    return hash;
}

uint64_t json_hash(struct json_value value)
{
    struct decimal number;
    switch (value.type) {
    case JSON_TYPE_NULL:
    case JSON_TYPE_BOOL:
        return (uint64_t)value.raw.data[0];
    case JSON_TYPE_NUMBER:
        number = decimal_read(value.raw);
        return mix(4, decimal_hash(&number));
    case JSON_TYPE_STRING:
        return mix(5, hash_text(inside(value)));
    case JSON_TYPE_ARRAY:
    case JSON_TYPE_OBJECT:
        return hash_members(value.raw);
    }
    return 0;
}

/* NOLINTEND(misc-no-recursion) */
