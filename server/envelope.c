#include "server/envelope.h"

#include "pool/call.h"

/* `name` and `place` as they are written, without the noise. */
#define ROW(name_, kind_, place_)                                                                  \
    {                                                                                              \
        .name = {name_, sizeof name_ - 1}, .kind = (kind_),                                        \
        .offset = offsetof(struct invocation_request, place_), .max = CALL_PRIORITIES - 1          \
    }

/* The members there are, and where they go. `tool` has an older name. */
static const struct member rows[] = {
    ROW("tool", MEMBER_TEXT, tool),
    ROW("command", MEMBER_TEXT, tool),
    ROW("args", MEMBER_OBJECT, args),
    ROW("pool", MEMBER_TEXT, pool),
    ROW("session_id", MEMBER_TEXT, session_id),
    ROW("correlation_id", MEMBER_TEXT, correlation_id),
    ROW("timeout_ms", MEMBER_MILLISECONDS, timeout_us),
    ROW("queue_timeout_ms", MEMBER_MILLISECONDS, queue_timeout_us),
    ROW("run_timeout_ms", MEMBER_MILLISECONDS, run_timeout_us),
    ROW("priority", MEMBER_NUMBER, priority),
    ROW("idempotent", MEMBER_FLAG, idempotent),
};
enum { SEEN_TOOL = 1, SEEN_COMMAND = 2 };

bool envelope_read(struct bytes body, struct arena *arena, struct invocation_request *out_request,
                   struct member_fault *out_fault)
{
    uint32_t seen = 0;
    *out_request = (struct invocation_request){.args = BYTES("{}")};
    if (!members_read(body, rows, sizeof rows / sizeof rows[0], arena, out_request, &seen,
                      out_fault))
        return false;
    if ((seen & SEEN_TOOL) && (seen & SEEN_COMMAND))
        return members_fault(out_fault, arena, BYTES("command"),
                             "\"command\" is the older name of \"tool\": give one of them");
    if (!(seen & (SEEN_TOOL | SEEN_COMMAND)))
        return members_fault(out_fault, arena, BYTES("tool"), "\"tool\" is missing");
    return true;
}
