#include "server/calls/envelope.h"

#include "pool/call.h"
#include "pool/session.h"

/* `name` and `place` as they are written, without the noise. */
#define ROW_UP_TO(name_, kind_, place_, max_)                                                      \
    {                                                                                              \
        .name = {name_, sizeof name_ - 1}, .kind = (kind_),                                        \
        .offset = offsetof(struct invocation_request, place_), .max = (max_)                       \
    }
#define ROW(name_, kind_, place_) ROW_UP_TO(name_, kind_, place_, 0)

/* The members there are, and where they go; first those that are neither tool nor arguments.
 * `tool` has an older name. */
static const struct member rows[] = {
    ROW("pool", MEMBER_TEXT, pool),
    ROW_UP_TO("session_id", MEMBER_TEXT, session_id, SESSION_ID_MAX),
    ROW("affinity", MEMBER_AFFINITY, affinity),
    ROW("affinity_key", MEMBER_TEXT, affinity_key),
    ROW("correlation_id", MEMBER_TEXT, correlation_id),
    ROW("timeout_ms", MEMBER_MILLISECONDS, timeout_us),
    ROW("queue_timeout_ms", MEMBER_MILLISECONDS, queue_timeout_us),
    ROW("run_timeout_ms", MEMBER_MILLISECONDS, run_timeout_us),
    ROW_UP_TO("priority", MEMBER_NUMBER, priority, CALL_PRIORITIES - 1),
    ROW("idempotent", MEMBER_FLAG, idempotent),
    ROW("tool", MEMBER_TEXT, tool),
    ROW("command", MEMBER_TEXT, tool),
    ROW("args", MEMBER_OBJECT, args),
    ROW("metadata", MEMBER_OBJECT, metadata),
    ROW("idle_timeout_ms", MEMBER_MILLISECONDS, idle_timeout_us),
    ROW("on_disconnect", MEMBER_TEXT, on_disconnect),
    ROW("tools", MEMBER_VALUE, tools),
};
enum {
    ROWS = sizeof rows / sizeof rows[0],
    OPTION_ROWS = 10,
    SEEN_TOOL = 1 << OPTION_ROWS,
    SEEN_COMMAND = SEEN_TOOL << 1
};

/* Whether the members that were read make an envelope. */
static bool is_whole(const struct invocation_request *request, uint32_t seen, struct arena *arena,
                     struct member_fault *out_fault)
{
    struct bytes left = request->on_disconnect;
    if ((seen & SEEN_TOOL) && (seen & SEEN_COMMAND))
        return members_fault(out_fault, arena, BYTES("command"),
                             "\"command\" is the older name of \"tool\": give one of them");
    if (!(seen & (SEEN_TOOL | SEEN_COMMAND)))
        return members_fault(out_fault, arena, BYTES("tool"), "\"tool\" is missing");
    if (left.len && !bytes_equal(left, BYTES("cancel")) && !bytes_equal(left, BYTES("detach")))
        return members_fault(out_fault, arena, BYTES("on_disconnect"),
                             "\"on_disconnect\" must be \"cancel\" or \"detach\"");
    return true;
}

bool envelope_read(struct bytes body, struct arena *arena, struct invocation_request *out_request,
                   struct member_fault *out_fault)
{
    uint32_t seen = 0;
    *out_request = (struct invocation_request){.args = BYTES("{}")};
    return members_read(body, rows, ROWS, arena, out_request, &seen, out_fault) &&
           is_whole(out_request, seen, arena, out_fault);
}

bool envelope_read_query(struct bytes query, struct arena *arena,
                         struct invocation_request *out_request, struct member_fault *out_fault)
{
    uint32_t seen = 0;
    *out_request = (struct invocation_request){.args = BYTES("{}")};
    return members_read_query(query, rows, ROWS, arena, out_request, &seen, out_fault) &&
           is_whole(out_request, seen, arena, out_fault);
}

bool envelope_read_options(struct bytes query, struct arena *arena,
                           struct invocation_request *request, struct member_fault *out_fault)
{
    uint32_t seen = 0;
    return members_read_query(query, rows, OPTION_ROWS, arena, request, &seen, out_fault);
}
