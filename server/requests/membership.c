#include "server/requests/membership.h"

#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/members.h"

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Ids that the gateway makes. */
static bool is_ours(struct bytes id)
{
    return bytes_starts_with(id, BYTES("s-"));
}

const char *membership_fault(struct bytes id)
{
    bool good = id.len && id.len <= SESSION_ID_MAX && is_letter_or_digit(id.data[0]);
    for (size_t i = 1; good && i < id.len; i++)
        good = is_letter_or_digit(id.data[i]) || memchr("_.:-", id.data[i], 4);
    if (!good)
        return "must have 1 to 128 letters, digits, or _ . : - but for the first";
    return is_ours(id) ? "must not begin with \"s-\", as those do that the gateway makes" : NULL;
}

void membership_refuse_full(struct exchange *exchange, enum session_verdict verdict)
{
    struct session_counts counts;
    session_count(gateway_of(exchange)->sessions, &counts);
    bool full = verdict == SESSION_FULL;
    problem_respond(exchange,
                    &(struct problem){
                        .status = 429,
                        .code = "session_quota_exceeded",
                        .category = "limit",
                        .detail = full ? "there are as many sessions as there may be"
                                       : "the sessions keep as much as they may",
                        .limit = full ? (int64_t)counts.limit : (int64_t)counts.memory_limit,
                        .retryable = true,
                        .retry_after_s = counts.retry_after_s,
                    });
}

void membership_refuse_unknown(struct exchange *exchange, struct bytes id)
{
    struct buffer members = {0};
    buffer_add_string(&members, "\"session_id\":");
    buffer_add_json_string(&members, id.len > SESSION_ID_MAX ? (struct bytes){0} : id);
    problem_respond(exchange, &(struct problem){.status = 404,
                                                .code = "session_not_found",
                                                .category = "pool",
                                                .detail = "there is no session of that id; it may "
                                                          "have expired",
                                                .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}

static void refuse_id(struct exchange *exchange, const char *why)
{
    struct member_fault fault;
    members_fault(&fault, exchange->arena, BYTES("session_id"),
                  arena_printf(exchange->arena, "\"session_id\" %s", why));
    members_refuse(exchange, 400, &fault);
}

bool membership_join(struct exchange *exchange, struct bytes id, struct session **out_session)
{
    struct session_store *store = gateway_of(exchange)->sessions;
    const char *why = id.len && !is_ours(id) ? membership_fault(id) : NULL;
    *out_session = NULL;
    if (id.len == 0)
        return true;
    if (why) {
        refuse_id(exchange, why);
        return false;
    }
    if (is_ours(id)) {
        *out_session = session_find(store, id);
        if (!*out_session)
            membership_refuse_unknown(exchange, id);
        return *out_session != NULL;
    }
    enum session_verdict verdict =
        session_open(store, &(struct session_wish){.id = id}, out_session);
    if (!*out_session)
        membership_refuse_full(exchange, verdict);
    return *out_session != NULL;
}
