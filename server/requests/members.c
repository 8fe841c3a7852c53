#include "server/requests/members.h"

#include "pool/session.h"
#include "server/http/exchange.h"
#include "server/http/percent.h"
#include "server/http/problem.h"

#include <stdlib.h>

/* Longest time that may be asked for: a day. */
enum { TIME_MAX_MS = 86400000 };

/* How much of a caller's name is repeated. */
enum { NAME_SHOWN = 64 };

static const struct member *find_member(const struct member *table, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(table[i].name, name))
            return &table[i];
    }
    return NULL;
}

/* RFC 6901: in a pointer "~" is "~0" and "/" is "~1". */
static struct bytes pointer_to(struct arena *arena, struct bytes key)
{
    size_t shown = key.len > NAME_SHOWN ? NAME_SHOWN : key.len, at = 0;
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

bool members_fault(struct member_fault *out_fault, struct arena *arena, struct bytes name,
                   const char *detail)
{
    *out_fault = (struct member_fault){
        .code = "invalid_request", .detail = detail, .pointer = pointer_to(arena, name)};
    return false;
}

bool members_fault_within(struct member_fault *fault, struct arena *arena, const char *at)
{
    fault->pointer =
        bytes_of(arena_printf(arena, "%s%.*s", at, (int)fault->pointer.len, fault->pointer.data));
    return false;
}

const char *members_not_json(struct arena *arena, const struct json_error *error)
{
    if (strcmp(error->reason, JSON_TOO_DEEP) == 0)
        return arena_printf(arena, "nested deeper than %d levels, at byte %zu", MEMBERS_MAX_DEPTH,
                            error->offset);
    return arena_printf(arena, "not JSON at byte %zu: %s", error->offset, error->reason);
}

/* --- one member: NULL, or what it must be --- */

static const char *read_text(struct json_value value, unsigned max, struct arena *arena,
                             struct bytes *out_text)
{
    if (value.type != JSON_TYPE_STRING)
        return "must be a string";
    struct bytes text = json_text(value.raw, arena);
    max = max ? max : MEMBERS_MAX_TEXT;
    if (text.len == 0 || text.len > max)
        return arena_printf(arena, "must have 1 to %u bytes", max);
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

static const char *read_number(struct json_value value, unsigned min, unsigned max,
                               struct arena *arena, struct member_number *out_number,
                               bool *out_of_range)
{
    int64_t number = -1;
    bool whole = value.type == JSON_TYPE_NUMBER && json_to_int(value.raw, &number);
    if (!whole || number < min || number > max) {
        *out_of_range = whole;
        return arena_printf(arena, "must be a whole number from %u to %u", min, max);
    }
    *out_number = (struct member_number){true, (unsigned)number};
    return NULL;
}

static const char *read_flag(struct json_value value, struct member_number *out_flag)
{
    if (value.type != JSON_TYPE_BOOL)
        return "must be true or false";
    *out_flag = (struct member_number){true, value.raw.data[0] == 't'};
    return NULL;
}

static const char *read_affinity(struct json_value value, struct arena *arena,
                                 unsigned *out_affinity)
{
    struct bytes name = value.type == JSON_TYPE_STRING ? json_text(value.raw, arena) : BYTES("");
    for (unsigned i = AFFINITY_HINT; i < AFFINITIES; i++) {
        if (bytes_equal(name, bytes_of(affinity_name((enum affinity)i)))) {
            *out_affinity = i;
            return NULL;
        }
    }
    return "must be \"hint\", \"strict_queue\" or \"strict_fail_fast\"";
}

static const char *read_object(struct json_value value, struct bytes *out_object)
{
    if (value.type != JSON_TYPE_OBJECT)
        return "must be an object";
    *out_object = value.raw;
    return NULL;
}

static const char *read_member(const struct member *member, struct json_value value,
                               struct arena *arena, void *out_struct, bool *out_of_range)
{
    void *place = (char *)out_struct + member->offset;
    switch (member->kind) {
    case MEMBER_TEXT:
        return read_text(value, member->max, arena, place);
    case MEMBER_OBJECT:
        return read_object(value, place);
    case MEMBER_VALUE:
        *(struct bytes *)place = value.raw;
        return NULL;
    case MEMBER_MILLISECONDS:
        return read_milliseconds(value, place);
    case MEMBER_NUMBER:
        return read_number(value, 0, member->max, arena, place, out_of_range);
    case MEMBER_COUNT:
        return read_number(value, 1, member->max, arena, place, out_of_range);
    case MEMBER_FLAG:
        return read_flag(value, place);
    case MEMBER_AFFINITY:
        return read_affinity(value, arena, place);
    }
    abort();
}

/* --- all of them --- */

/* What is read, and where it goes. */
struct reading {
    const struct member *table;
    size_t count;
    struct arena *arena;
    void *out_struct;
    uint32_t *out_seen;
    struct member_fault *out_fault;
};

/* The member of that name, which has not been given before, or NULL. `kind`: of thing it is called.
 */
static const struct member *claim(const struct reading *reading, const char *kind,
                                  struct bytes name)
{
    const struct member *member = find_member(reading->table, reading->count, name);
    int shown = name.len > NAME_SHOWN ? NAME_SHOWN : (int)name.len;
    uint32_t bit = member ? UINT32_C(1) << (member - reading->table) : 0;
    if (member && !(*reading->out_seen & bit)) {
        *reading->out_seen |= bit;
        return member;
    }
    members_fault(
        reading->out_fault, reading->arena, name,
        member ? arena_printf(reading->arena, "\"%.*s\" is given twice", shown, name.data)
               : arena_printf(reading->arena, "unknown %s \"%.*s\"", kind, shown, name.data));
    return NULL;
}

static bool fill(const struct reading *reading, const struct member *member,
                 struct json_value value)
{
    bool out_of_range = false;
    struct bytes name = member->name;
    const char *wrong =
        read_member(member, value, reading->arena, reading->out_struct, &out_of_range);
    if (!wrong)
        return true;
    members_fault(reading->out_fault, reading->arena, name,
                  arena_printf(reading->arena, "\"%.*s\" %s", (int)name.len, name.data, wrong));
    reading->out_fault->out_of_range = out_of_range;
    return false;
}

static bool read_all(const struct reading *reading, struct bytes object)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    while (json_next(object, &cursor, &key, &value)) {
        const struct member *member = claim(reading, "member", json_text(key, reading->arena));
        if (!member || !fill(reading, member, value))
            return false;
    }
    return true;
}

bool members_read(struct bytes body, const struct member *table, size_t count, struct arena *arena,
                  void *out_struct, uint32_t *out_seen, struct member_fault *out_fault)
{
    struct json_value whole;
    struct json_error error;
    if (!json_check(body, MEMBERS_MAX_DEPTH, &whole, &error)) {
        *out_fault = (struct member_fault){.code = "invalid_json",
                                           .detail = members_not_json(arena, &error)};
        return false;
    }
    if (whole.type != JSON_TYPE_OBJECT) {
        *out_fault = (struct member_fault){.code = "invalid_request",
                                           .detail = "the body must be an object",
                                           .pointer = BYTES("")};
        return false;
    }
    *out_seen = 0;
    const struct reading reading = {table, count, arena, out_struct, out_seen, out_fault};
    return read_all(&reading, whole.raw);
}

/* --- a query --- */

static struct json_value as_text(struct bytes text, struct arena *arena)
{
    struct buffer quoted = {0};
    buffer_add_json_string(&quoted, text);
    struct json_value value = {JSON_TYPE_STRING, arena_copy(arena, buffer_bytes(&quoted))};
    buffer_deinit(&quoted);
    return value;
}

/* What is no JSON is a text, and so no number or flag; of values that might be long it is said
 * where they stop being JSON. */
static bool read_value(const struct reading *reading, const struct member *member,
                       struct bytes text)
{
    struct json_value value = {0};
    struct json_error error;
    bool plain = member->kind == MEMBER_TEXT || member->kind == MEMBER_AFFINITY;
    if (!plain && json_check(text, MEMBERS_MAX_DEPTH, &value, &error))
        return fill(reading, member, value);
    if (member->kind != MEMBER_OBJECT && member->kind != MEMBER_VALUE)
        return fill(reading, member, as_text(text, reading->arena));
    return members_fault(reading->out_fault, reading->arena, member->name,
                         arena_printf(reading->arena, "\"%.*s\" is %s", (int)member->name.len,
                                      member->name.data, members_not_json(reading->arena, &error)));
}

bool members_read_query(struct bytes query, const struct member *table, size_t count,
                        struct arena *arena, void *out_struct, uint32_t *out_seen,
                        struct member_fault *out_fault)
{
    const struct reading reading = {table, count, arena, out_struct, out_seen, out_fault};
    struct bytes name, text;
    *out_seen = 0;
    while (percent_next(&query, arena, &name, &text)) {
        const struct member *member = claim(&reading, "parameter", name);
        if (!member || !read_value(&reading, member, text))
            return false;
    }
    if (query.len)
        *out_fault = (struct member_fault){.code = "invalid_request",
                                           .detail = "the query is not percent-encoded correctly"};
    return query.len == 0;
}

/* --- telling --- */

void members_refuse(struct exchange *exchange, unsigned status, const struct member_fault *fault)
{
    struct buffer members = {0};
    if (fault->pointer.data) {
        buffer_add_string(&members, "\"errors\":[{\"pointer\":");
        buffer_add_json_string(&members, fault->pointer);
        buffer_add_string(&members, ",\"detail\":");
        buffer_add_json_string(&members, bytes_of(fault->detail));
        buffer_add_string(&members, "}]");
    }
    problem_respond(exchange, &(struct problem){.status = status,
                                                .code = fault->code,
                                                .detail = fault->detail,
                                                .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}
