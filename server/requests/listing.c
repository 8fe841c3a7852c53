#include "server/requests/listing.h"

#include "server/requests/members.h"

struct query {
    struct member_number limit;
    struct bytes after;
};

bool listing_read(struct exchange *exchange, unsigned usual, unsigned after_max,
                  struct listing *out_listing)
{
    const struct member rows[] = {
        {{"limit", 5}, MEMBER_COUNT, offsetof(struct query, limit), LISTING_MAX},
        {{"after", 5}, MEMBER_TEXT, offsetof(struct query, after), after_max},
    };
    uint32_t seen;
    struct member_fault fault;
    struct query query = {.limit.value = usual};
    if (!members_read_query(exchange->query, rows, sizeof rows / sizeof rows[0], exchange->arena,
                            &query, &seen, &fault)) {
        members_refuse(exchange, 400, &fault);
        return false;
    }
    *out_listing = (struct listing){query.limit.value, query.after};
    return true;
}

bool listing_refuse_after(struct exchange *exchange)
{
    struct member_fault fault;
    members_fault(&fault, exchange->arena, BYTES("after"),
                  "\"after\" must be the \"next\" of the page before");
    members_refuse(exchange, 400, &fault);
    return false;
}
