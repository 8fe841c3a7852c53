#include "server/resources/variable_request.h"

#include "base/json.h"

struct write_members {
    struct bytes value;
    struct bytes type;
    struct bytes constraints;
    struct bytes expected_version;
};

static const struct member write_rows[] = {
    {{"value", 5}, MEMBER_VALUE, offsetof(struct write_members, value), 0},
    {{"type", 4}, MEMBER_TEXT, offsetof(struct write_members, type), 0},
    {{"constraints", 11}, MEMBER_OBJECT, offsetof(struct write_members, constraints), 0},
    {{"expected_version", 16}, MEMBER_VALUE, offsetof(struct write_members, expected_version), 0},
};

bool variable_request_read(struct bytes body, struct arena *arena, struct variable_write *write,
                           struct member_fault *out_fault)
{
    struct write_members members = {0};
    uint32_t seen;
    int64_t version = 0;
    if (!members_read(body, write_rows, sizeof write_rows / sizeof write_rows[0], arena, &members,
                      &seen, out_fault))
        return false;
    struct bytes expected = members.expected_version;
    if (!members.value.len)
        return members_fault(out_fault, arena, BYTES("value"), "\"value\" is missing");
    if (expected.len && (json_type_of(expected.data[0]) != JSON_TYPE_NUMBER ||
                         !json_to_int(expected, &version) || version < 0))
        return members_fault(out_fault, arena, BYTES("expected_version"),
                             "\"expected_version\" must be a whole number from 0 on");
    write->value = members.value;
    write->type = members.type;
    write->constraints = members.constraints;
    write->expects = expected.len > 0;
    write->expected_version = (uint64_t)version;
    return true;
}

/* --- batches --- */

struct batch_members {
    struct bytes set;
    struct bytes remove;
    struct member_number atomic;
};

static const struct member batch_rows[] = {
    {{"set", 3}, MEMBER_OBJECT, offsetof(struct batch_members, set), 0},
    {{"delete", 6}, MEMBER_VALUE, offsetof(struct batch_members, remove), 0},
    {{"atomic", 6}, MEMBER_FLAG, offsetof(struct batch_members, atomic), 0},
};

/* How many there are, up to one more than `limit`. */
static size_t count_items(struct bytes container, size_t limit)
{
    struct json_cursor cursor = {0};
    struct json_value value;
    size_t count = 0;
    while (count <= limit && json_next(container, &cursor, NULL, &value))
        count++;
    return count;
}

static const char name_detail[] =
    "a variable's name must have 1 to 128 letters, digits, or _ . : - "
    "of which the last three do not come first";

static bool read_set(struct bytes set, struct arena *arena, struct variable_batch *batch,
                     struct member_fault *out_fault)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    while (json_next(set, &cursor, &key, &value)) {
        struct variable_write *write = &batch->writes[batch->count++];
        *write = (struct variable_write){.name = json_text(key, arena)};
        if (!variable_is_name(write->name)) {
            members_fault(out_fault, arena, write->name, name_detail);
            return members_fault_within(out_fault, arena, "/set");
        }
        if (!variable_request_read(value.raw, arena, write, out_fault))
            return members_fault_within(
                out_fault, arena,
                arena_printf(arena, "/set/%.*s", (int)write->name.len, write->name.data));
    }
    return true;
}

static bool read_remove(struct bytes names, struct arena *arena, struct variable_batch *batch,
                        struct member_fault *out_fault)
{
    struct json_cursor cursor = {0};
    struct json_value value;
    for (unsigned i = 0; json_next(names, &cursor, NULL, &value); i++) {
        struct variable_write *write = &batch->writes[batch->count++];
        bool is_text = value.type == JSON_TYPE_STRING;
        *write = (struct variable_write){.remove = true};
        if (is_text)
            write->name = json_text(value.raw, arena);
        if (is_text && variable_is_name(write->name))
            continue;
        members_fault(out_fault, arena, bytes_of(arena_printf(arena, "%u", i)), name_detail);
        return members_fault_within(out_fault, arena, "/delete");
    }
    return true;
}

bool variable_request_read_batch(struct bytes body, size_t limit, struct arena *arena,
                                 struct variable_batch *out_batch, struct member_fault *out_fault)
{
    struct batch_members members = {.set = BYTES("{}"), .remove = BYTES("[]"), .atomic.value = 1};
    uint32_t seen;
    if (!members_read(body, batch_rows, sizeof batch_rows / sizeof batch_rows[0], arena, &members,
                      &seen, out_fault))
        return false;
    if (json_type_of(members.remove.data[0]) != JSON_TYPE_ARRAY)
        return members_fault(out_fault, arena, BYTES("delete"),
                             "\"delete\" must be a list of names");
    size_t removed = count_items(members.remove, limit);
    size_t count = removed + count_items(members.set, limit);
    if (count > limit)
        return members_fault(out_fault, arena, removed > limit ? BYTES("delete") : BYTES("set"),
                             arena_printf(arena, "at most %zu variables may be written", limit));
    *out_batch = (struct variable_batch){
        .atomic = members.atomic.value,
        .writes = arena_alloc(arena, count * sizeof(struct variable_write))};
    return read_set(members.set, arena, out_batch, out_fault) &&
           read_remove(members.remove, arena, out_batch, out_fault);
}
