#include "server/envelope.h"

#include "base/buffer.h"
#include "pool/call.h"
#include "server/percent.h"

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
    ROW("affinity", MEMBER_AFFINITY, affinity),
    ROW("affinity_key", MEMBER_TEXT, affinity_key),
    ROW("correlation_id", MEMBER_TEXT, correlation_id),
    ROW("timeout_ms", MEMBER_MILLISECONDS, timeout_us),
    ROW("queue_timeout_ms", MEMBER_MILLISECONDS, queue_timeout_us),
    ROW("run_timeout_ms", MEMBER_MILLISECONDS, run_timeout_us),
    ROW("idle_timeout_ms", MEMBER_MILLISECONDS, idle_timeout_us),
    ROW("priority", MEMBER_NUMBER, priority),
    ROW("idempotent", MEMBER_FLAG, idempotent),
    ROW("on_disconnect", MEMBER_TEXT, on_disconnect),
    ROW("tools", MEMBER_VALUE, tools),
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
    struct bytes left = out_request->on_disconnect;
    if (left.len && !bytes_equal(left, BYTES("cancel")) && !bytes_equal(left, BYTES("detach")))
        return members_fault(out_fault, arena, BYTES("on_disconnect"),
                             "\"on_disconnect\" must be \"cancel\" or \"detach\"");
    return true;
}

static bool is_text(struct bytes name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (bytes_equal(rows[i].name, name))
            return rows[i].kind == MEMBER_TEXT;
    }
    return true;
}

bool envelope_read_query(struct bytes query, struct arena *arena,
                         struct invocation_request *out_request, struct member_fault *out_fault)
{
    struct buffer text = {0};
    struct bytes name, value;
    while (percent_next(&query, arena, &name, &value)) {
        buffer_add_string(&text, text.len ? "," : "{");
        buffer_add_json_string(&text, name);
        buffer_add_string(&text, ":");
        if (is_text(name))
            buffer_add_json_string(&text, value);
        else
            buffer_add(&text, value);
    }
    buffer_add_string(&text, text.len ? "}" : "{}");
    struct bytes body = arena_copy(arena, buffer_bytes(&text));
    buffer_deinit(&text);
    if (query.len) {
        *out_fault = (struct member_fault){.code = "invalid_request",
                                           .detail = "the query is not percent-encoded correctly"};
        return false;
    }
    return envelope_read(body, arena, out_request, out_fault);
}
