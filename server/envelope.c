#include "server/envelope.h"

#include "base/json.h"

#include <stdint.h>

/* Longest time that may be asked for: a day. */
enum { TIME_MAX_MS = 86400000 };

enum member_kind { MEMBER_TEXT, MEMBER_OBJECT, MEMBER_MILLISECONDS };

/* The members there are, and where they go. `tool` has an older name. */
static const struct member {
    struct bytes name;
    enum member_kind kind;
    size_t offset;
} members[] = {
    {{"tool", 4}, MEMBER_TEXT, offsetof(struct invocation_request, tool)},
    {{"command", 7}, MEMBER_TEXT, offsetof(struct invocation_request, tool)},
    {{"args", 4}, MEMBER_OBJECT, offsetof(struct invocation_request, args)},
    {{"pool", 4}, MEMBER_TEXT, offsetof(struct invocation_request, pool)},
    {{"session_id", 10}, MEMBER_TEXT, offsetof(struct invocation_request, session_id)},
    {{"correlation_id", 14}, MEMBER_TEXT, offsetof(struct invocation_request, correlation_id)},
    {{"timeout_ms", 10}, MEMBER_MILLISECONDS, offsetof(struct invocation_request, timeout_us)},
    {{"queue_timeout_ms", 16},
     MEMBER_MILLISECONDS,
     offsetof(struct invocation_request, queue_timeout_us)},
};

static const struct member *find_member(struct bytes name)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (bytes_equal(members[i].name, name))
            return &members[i];
    }
    return NULL;
}

/* RFC 6901: in a pointer "~" is "~0" and "/" is "~1". */
static struct bytes pointer_to(struct arena *arena, struct bytes key)
{
    size_t shown = key.len > 64 ? 64 : key.len, at = 0;
    char *pointer = arena_alloc(arena, 2 * shown + 1);
    pointer[at++] = '/';
    for (size_t i = 0; i < shown; i++) {
        bool special = key.data[i] == '~' || key.data[i] == '/';
        pointer[at++] = special ? '~' : key.data[i];
        if (special)
            pointer[at++] = key.data[i] == '~' ? '0' : '1';
    }
    return bytes_from(pointer, at);
}

static bool fault(struct envelope_fault *out_fault, struct arena *arena, struct bytes key,
                  const char *detail)
{
    *out_fault = (struct envelope_fault){"invalid_request", detail, pointer_to(arena, key)};
    return false;
}

/* NULL, or what is wrong with the text. */
static const char *read_text(struct json_value value, struct arena *arena, struct bytes *out_text)
{
    if (value.type != JSON_TYPE_STRING)
        return "must be a string";
    struct bytes text = json_text(value.raw, arena);
    if (text.len == 0 || text.len > ENVELOPE_MAX_TEXT)
        return "must have 1 to 256 bytes";
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ')
            return "must have no control characters";
    }
    *out_text = text;
    return NULL;
}

static const char *read_milliseconds(struct json_value value, uint64_t *out_us)
{
    int64_t number = 0;
    if (value.type != JSON_TYPE_NUMBER || !json_to_int(value.raw, &number) || number < 1 ||
        number > TIME_MAX_MS)
        return "must be a whole number of milliseconds from 1 to 86400000";
    *out_us = (uint64_t)number * 1000;
    return NULL;
}

static const char *read_member(const struct member *member, struct json_value value,
                               struct arena *arena, struct invocation_request *request)
{
    void *place = (char *)request + member->offset;
    if (member->kind == MEMBER_TEXT)
        return read_text(value, arena, place);
    if (member->kind == MEMBER_MILLISECONDS)
        return read_milliseconds(value, place);
    if (value.type != JSON_TYPE_OBJECT)
        return "must be an object";
    *(struct bytes *)place = value.raw;
    return NULL;
}

static bool read_members(struct bytes object, struct arena *arena,
                         struct invocation_request *request, struct envelope_fault *out_fault)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    unsigned seen = 0;
    while (json_next(object, &cursor, &key, &value)) {
        struct bytes name = json_text(key, arena);
        const struct member *member = find_member(name);
        if (!member)
            return fault(out_fault, arena, name,
                         arena_printf(arena, "unknown member \"%.*s\"",
                                      name.len > 64 ? 64 : (int)name.len, name.data));
        unsigned bit = 1u << (member - members);
        if (seen & bit)
            return fault(out_fault, arena, name, "given twice");
        seen |= bit;
        const char *wrong = read_member(member, value, arena, request);
        if (wrong)
            return fault(out_fault, arena, name,
                         arena_printf(arena, "\"%.*s\" %s", (int)name.len, name.data, wrong));
    }
    if ((seen & 3) == 3)
        return fault(out_fault, arena, BYTES("command"),
                     "\"command\" is the older name of \"tool\": give one of them");
    if ((seen & 3) == 0)
        return fault(out_fault, arena, BYTES("tool"), "\"tool\" is missing");
    return true;
}

bool envelope_read(struct bytes body, struct arena *arena, struct invocation_request *out_request,
                   struct envelope_fault *out_fault)
{
    struct json_value whole;
    struct json_error error;
    if (!json_check(body, ENVELOPE_MAX_DEPTH, &whole, &error)) {
        *out_fault = (struct envelope_fault){
            "invalid_json",
            arena_printf(arena, "not JSON at byte %zu: %s", error.offset, error.reason),
            {0}};
        return false;
    }
    if (whole.type != JSON_TYPE_OBJECT) {
        *out_fault =
            (struct envelope_fault){"invalid_request", "the body must be an object", BYTES("")};
        return false;
    }
    *out_request = (struct invocation_request){.args = BYTES("{}")};
    return read_members(whole.raw, arena, out_request, out_fault);
}
