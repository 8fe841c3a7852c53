/* Values that JSON lacks travel as objects that say so: {"__type__": "datetime", "value": …}. They
 * are held against a schema as what they stand for, by what they hold; the worker makes it of them
 * (tags.py). One that is not well formed stands for nothing, and fits nowhere. */
#include "base/json_equal.h"
#include "base/schema_check.h"

enum member { MEMBER_KIND, VALUE, DATA, ELEMENTS, PAIRS, REAL, IMAG, MEMBERS };

static const struct bytes member_names[MEMBERS] = {
    BYTES("__type__"), BYTES("value"), BYTES("data"), BYTES("elements"),
    BYTES("pairs"),    BYTES("real"),  BYTES("imag"),
};

static const struct tag_kind kinds[] = {
    {"atom", TAG_TEXT, 0, VALUE, VALUE, 0},
    {"binary", TAG_BYTES, FORMAT_BINARY, DATA, VALUE, 0},
    {"bytes", TAG_BYTES, FORMAT_BINARY, DATA, VALUE, 0},
    {"complex", TAG_COMPLEX, 0, REAL, IMAG, 0},
    {"date", TAG_TEXT, FORMAT_DATE, VALUE, VALUE, 0},
    {"datetime", TAG_TEXT, FORMAT_DATETIME, VALUE, VALUE, 0},
    {"dict", TAG_PAIRS, 0, PAIRS, PAIRS, 0},
    {"frozenset", TAG_ELEMENTS, 0, ELEMENTS, VALUE, 0},
    {"infinity", TAG_NUMBER, 0, 0, 0, 1},
    {"nan", TAG_NUMBER, 0, 0, 0, 0},
    {"neg_infinity", TAG_NUMBER, 0, 0, 0, -1},
    {"set", TAG_ELEMENTS, 0, ELEMENTS, VALUE, 0},
    {"special_float", TAG_NUMBER, 0, VALUE, VALUE, 0},
    {"time", TAG_TEXT, FORMAT_TIME, VALUE, VALUE, 0},
    {"tuple", TAG_ELEMENTS, 0, ELEMENTS, VALUE, 0},
};

static const unsigned types_of[] = {
    [TAG_TEXT] = 1 << JSON_TYPE_STRING,    [TAG_BYTES] = 1 << JSON_TYPE_STRING,
    [TAG_ELEMENTS] = 1 << JSON_TYPE_ARRAY, [TAG_PAIRS] = 1 << JSON_TYPE_OBJECT,
    [TAG_NUMBER] = 1 << JSON_TYPE_NUMBER,  [TAG_COMPLEX] = 0,
};

/* --- reading one --- */

static struct bytes inside(struct json_value string)
{
    return bytes_from(string.raw.data + 1, string.raw.len - 2);
}

static const struct tag_kind *find_kind(struct bytes name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (json_equal_text(name, bytes_of(kinds[i].name)))
            return &kinds[i];
    }
    return NULL;
}

/* Of a name that is given twice the last one counts, as for Python. */
static void read_members(struct run *run, struct bytes object, struct json_value values[MEMBERS],
                         struct bytes names[MEMBERS])
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value value;
    while (json_next(object, &cursor, &name, &value) && run_spend(run, 1 + value.raw.len / 32)) {
        for (enum member i = 0; i < MEMBERS; i++) {
            if (json_equal_text(name, member_names[i])) {
                values[i] = value;
                names[i] = name;
            }
        }
    }
}

static bool is_part(struct json_value value) /* of a complex number */
{
    return value.raw.data && (value.type == JSON_TYPE_NUMBER || value.type == JSON_TYPE_OBJECT);
}

static bool read_number(const struct tag_kind **kind, struct json_value word)
{
    if ((*kind)->member == 0)
        return true;
    if (!word.raw.data || word.type != JSON_TYPE_STRING)
        return false;
    *kind = find_kind(inside(word));
    return *kind && (*kind)->stands_for == TAG_NUMBER && (*kind)->member == 0;
}

static bool is_well_formed(struct tag *tag, const struct json_value values[MEMBERS])
{
    switch (tag->kind->stands_for) {
    case TAG_NUMBER:
        return read_number(&tag->kind, tag->content);
    case TAG_COMPLEX:
        return is_part(values[REAL]) && is_part(values[IMAG]);
    case TAG_TEXT:
    case TAG_BYTES:
        return tag->content.raw.data && tag->content.type == JSON_TYPE_STRING;
    case TAG_ELEMENTS:
    case TAG_PAIRS:
        break;
    }
    return tag->content.raw.data && tag->content.type == JSON_TYPE_ARRAY;
}

bool schema_tag_read(struct run *run, const struct place *place, const char *at,
                     struct tag *out_tag)
{
    struct json_value values[MEMBERS] = {0};
    struct bytes names[MEMBERS] = {0};
    if (!run->tagged || !place || *at != '{')
        return false;
    read_members(run, run_value(run, at).raw, values, names);
    if (run->work == 0 || !values[MEMBER_KIND].raw.data ||
        values[MEMBER_KIND].type != JSON_TYPE_STRING)
        return false;
    const struct tag_kind *kind = find_kind(inside(values[MEMBER_KIND]));
    if (!kind)
        return false;
    enum member held = values[kind->member].raw.data ? kind->member : kind->other;
    struct tag tag = {.kind = kind, .content = values[held], .member = names[held]};
    tag.name = kind->name;
    tag.types = types_of[kind->stands_for];
    if (!is_well_formed(&tag, values))
        tag.kind = NULL;
    *out_tag = tag;
    return true;
}

struct json_value schema_tag_value(const struct tag *tag, struct json_value object)
{
    bool is_content =
        tag->kind && (tag->kind->stands_for == TAG_TEXT || tag->kind->stands_for == TAG_ELEMENTS);
    return is_content ? tag->content : object;
}

/* --- checking one --- */

/* Bytes and times are strings of their own format: a plain one is not what they become. */
static bool fits_type(const struct node *node, const struct tag *tag)
{
    if (node->types == TYPE_ALL)
        return true;
    return (node->types & tag->types) &&
           (!tag->kind->format || (node->formats & tag->kind->format));
}

static bool check_content(struct run *run, const struct node *node, const struct place *place,
                          const struct tag *tag)
{
    struct place inner = {.up = place, .name = tag->member};
    const char *end;
    switch (tag->kind->stands_for) {
    case TAG_TEXT:
        return !node->strings ||
               schema_check_string(run, node->strings, place, inside(tag->content));
    case TAG_BYTES:
        return !node->strings ||
               schema_check_base64(run, node->strings, place, inside(tag->content));
    case TAG_ELEMENTS:
        return !node->arrays ||
               schema_check_array(run, node->arrays, &inner, tag->content.raw.data, &end);
    case TAG_PAIRS:
        return !node->objects || schema_check_pairs(run, node->objects, &inner, tag->content.raw);
    case TAG_NUMBER:
        return !node->numbers ||
               schema_check_unbounded(run, node->numbers, place, tag->kind->name, tag->kind->order);
    case TAG_COMPLEX:
        break;
    }
    return true;
}

bool schema_check_tag(struct run *run, const struct node *node, const struct place *place,
                      const struct tag *tag)
{
    char expected[SCHEMA_SHOWN_BYTES];
    if (!tag->kind)
        return RUN_FAULT(run, place, "type", "a tagged %s that is not well formed", tag->name);
    if (!fits_type(node, tag))
        return !run_stops(run) &&
               RUN_FAULT(run, place, "type", "expected %s, found a tagged %s",
                         schema_describe_types(node->types, expected), tag->name);
    return check_content(run, node, place, tag);
}
