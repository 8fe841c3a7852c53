/* Values that JSON lacks travel as objects that say so: {"__type__": "datetime", "value": …}. To a
 * schema they are what they stand for. */
#include "base/json_equal.h"
#include "base/schema_run.h"

/* The types that such an object may be taken for; a reference may be to anything. */
static unsigned types_of_tag(struct bytes kind)
{
    static const struct {
        struct bytes kind;
        unsigned types;
    } tags[] = {
        {BYTES("atom"), 1 << JSON_TYPE_STRING},
        {BYTES("binary"), 1 << JSON_TYPE_STRING},
        {BYTES("bytes"), 1 << JSON_TYPE_STRING},
        {BYTES("callback"), TYPE_ALL},
        {BYTES("date"), 1 << JSON_TYPE_STRING},
        {BYTES("datetime"), 1 << JSON_TYPE_STRING},
        {BYTES("dict"), 1 << JSON_TYPE_OBJECT},
        {BYTES("frozenset"), 1 << JSON_TYPE_ARRAY},
        {BYTES("infinity"), 1 << JSON_TYPE_NUMBER},
        {BYTES("nan"), 1 << JSON_TYPE_NUMBER},
        {BYTES("neg_infinity"), 1 << JSON_TYPE_NUMBER},
        {BYTES("ref"), TYPE_ALL},
        {BYTES("set"), 1 << JSON_TYPE_ARRAY},
        {BYTES("special_float"), 1 << JSON_TYPE_NUMBER},
        {BYTES("stream_ref"), TYPE_ALL},
        {BYTES("time"), 1 << JSON_TYPE_STRING},
        {BYTES("tuple"), 1 << JSON_TYPE_ARRAY},
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (json_equal_text(kind, tags[i].kind))
            return tags[i].types;
    }
    return 0;
}

bool schema_stands_for(struct run *run, unsigned types, struct bytes object)
{
    struct json_cursor cursor = {0};
    struct bytes name;
    struct json_value value;
    while (json_next(object, &cursor, &name, &value)) {
        if (!run_spend(run, 1 + value.raw.len / 32))
            return false;
        if (json_equal_text(name, BYTES("__type__")))
            return value.type == JSON_TYPE_STRING &&
                   (types & types_of_tag(bytes_from(value.raw.data + 1, value.raw.len - 2)));
    }
    return false;
}
