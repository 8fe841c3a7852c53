#include "server/tools/offer.h"

#include "base/json.h"
#include "pool/tool.h"
#include "server/tools/arguments.h"

struct offer_members {
    struct bytes name;
    struct bytes description;
    struct bytes schema;
    struct bytes callback;
};

static const struct member rows[] = {
    {{"name", 4}, MEMBER_TEXT, offsetof(struct offer_members, name), 0},
    {{"description", 11}, MEMBER_VALUE, offsetof(struct offer_members, description), 0},
    {{"schema", 6}, MEMBER_OBJECT, offsetof(struct offer_members, schema), 0},
    {{"callback", 8}, MEMBER_OBJECT, offsetof(struct offer_members, callback), 0},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

bool offers_fault(const struct offers *offers, size_t index, struct arena *arena,
                  struct member_fault *fault)
{
    const char *at = offers->member ? arena_printf(arena, "/%s/%zu", offers->member, index) : "";
    return members_fault_within(fault, arena, at);
}

static bool check(const struct offer_members *members, bool callbacks, struct arena *arena,
                  struct member_fault *out_fault)
{
    struct bytes description = members->description;
    if (!tool_name_valid(members->name))
        return members_fault(out_fault, arena, BYTES("name"),
                             "\"name\" must be 1 to 64 of A-Z a-z 0-9 _ . - and begin with a "
                             "letter or digit");
    if (description.len && (json_type_of(description.data[0]) != JSON_TYPE_STRING ||
                            description.len > OFFER_DESCRIPTION_MAX))
        return members_fault(out_fault, arena, BYTES("description"),
                             "\"description\" must be a text of at most 4096 bytes");
    if (members->schema.len > SCHEMA_MAX_BYTES)
        return members_fault(out_fault, arena, BYTES("schema"),
                             "\"schema\" has more than 65536 bytes");
    return !callbacks || members->callback.len ||
           members_fault(out_fault, arena, BYTES("callback"), "\"callback\" is missing");
}

static bool read_one(struct bytes text, bool callbacks, struct arena *arena,
                     struct offer *out_offer, struct member_fault *out_fault)
{
    struct offer_members members = {0};
    struct schema_faults problems;
    uint32_t seen;
    if (!members_read(text, rows, callbacks ? ROWS : ROWS - 1, arena, &members, &seen, out_fault))
        return false;
    if (!check(&members, callbacks, arena, out_fault))
        return false;
    struct bytes schema = members.schema.len ? members.schema : BYTES("{\"type\":\"object\"}");
    struct schema *compiled = schema_compile(schema, &problems);
    if (!compiled)
        return members_fault(out_fault, arena, BYTES("schema"),
                             arena_printf(arena, "nothing of \"schema\" can be checked: %s",
                                          problems.list[0].detail));
    *out_offer = (struct offer){
        .name = members.name,
        .description =
            members.description.len ? json_text(members.description, arena) : members.description,
        .schema_text = schema,
        .callback = members.callback,
        .schema = compiled,
    };
    if (problems.count)
        out_offer->problems = arguments_errors(arena, "", &problems);
    return true;
}

const struct offer *offers_find(const struct offers *offers, struct bytes name)
{
    for (size_t i = 0; i < offers->count; i++) {
        if (bytes_equal(offers->list[i].name, name))
            return &offers->list[i];
    }
    return NULL;
}

void offers_write_problems(const struct offers *offers, struct buffer *out_text)
{
    const char *before = ",\"schema_problems\":{";
    for (size_t i = 0; i < offers->count; i++) {
        const struct offer *offer = &offers->list[i];
        if (!offer->problems.len)
            continue;
        buffer_add_string(out_text, before);
        buffer_add_json_string(out_text, offer->name);
        buffer_add_string(out_text, ":");
        buffer_add(out_text, offer->problems);
        before = ",";
    }
    if (before[1] == '\0')
        buffer_add_string(out_text, "}");
}

void offers_free(struct offers **offers)
{
    struct offers *gone = *offers;
    *offers = NULL;
    for (size_t i = 0; gone && i < gone->count; i++)
        schema_free(&gone->list[i].schema);
}

static bool add(struct offers *offers, struct bytes text, bool callbacks, struct arena *arena,
                struct member_fault *out_fault)
{
    struct offer offer = {0};
    *out_fault =
        (struct member_fault){.code = "invalid_request", .detail = "there may be 64 tools at most"};
    if (offers->count == OFFERS_MAX || !read_one(text, callbacks, arena, &offer, out_fault))
        return offers_fault(offers, offers->count, arena, out_fault);
    if (offers_find(offers, offer.name)) {
        schema_free(&offer.schema);
        members_fault(out_fault, arena, BYTES("name"), "two of the tools have that name");
        return offers_fault(offers, offers->count, arena, out_fault);
    }
    offers->list[offers->count++] = offer;
    return true;
}

bool offers_read_single(struct bytes object, struct arena *arena, struct offers **out_offers,
                        struct member_fault *out_fault)
{
    struct offers *offers = arena_zalloc(arena, sizeof *offers);
    bool good = add(offers, object, true, arena, out_fault);
    *out_offers = good ? offers : NULL;
    return good;
}

bool offers_read(struct bytes array, const char *member, bool callbacks, struct arena *arena,
                 struct offers **out_offers, struct member_fault *out_fault)
{
    struct offers *offers = arena_zalloc(arena, sizeof *offers);
    struct json_cursor cursor = {0};
    struct json_value value;
    struct bytes key;
    *out_offers = NULL;
    offers->member = member;
    if (json_type_of(array.data[0]) != JSON_TYPE_ARRAY)
        return members_fault(out_fault, arena, bytes_of(member),
                             arena_printf(arena, "\"%s\" must be an array of tools", member));
    while (json_next(array, &cursor, &key, &value)) {
        if (add(offers, value.raw, callbacks, arena, out_fault))
            continue;
        offers_free(&offers);
        return false;
    }
    *out_offers = offers;
    return true;
}
