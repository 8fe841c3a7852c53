#include "server/calls/idempotency.h"

#include "server/calls/ledger.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"

enum { KEY_MAX = 255 };

static bool is_good(struct bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.data[i] < ' ' || key.data[i] > '~')
            return false;
    }
    return key.len > 0 && key.len <= KEY_MAX;
}

static bool refuse(struct exchange *exchange, unsigned status, const char *code, const char *detail)
{
    problem_respond(exchange, &(struct problem){.status = status, .code = code, .detail = detail});
    return false;
}

bool idempotency_read(struct exchange *exchange, struct idempotency *out_once)
{
    *out_once = (struct idempotency){.key = exchange_header(exchange, "idempotency-key")};
    if (!out_once->key.data)
        return true;
    if (!is_good(out_once->key))
        return refuse(exchange, 400, "invalid_request",
                      "idempotency-key must have 1 to 255 visible characters");
    return exchange_header_count(exchange, "idempotency-key") == 1 ||
           refuse(exchange, 400, "invalid_request", "idempotency-key must be given once");
}

void idempotency_print(struct exchange *exchange, const struct invocation_request *request,
                       struct bytes metadata, bool is_stream, struct idempotency *once)
{
    const struct ledger *ledger = gateway_of(exchange)->ledger;
    const struct bytes content[] = {
        request->tool, request->pool, request->content_type, request->session_id,
        request->args, metadata,      request->tools,
    };
    if (!once->key.len)
        return;
    once->fingerprint = is_stream;
    for (size_t i = 0; i < sizeof content / sizeof content[0]; i++)
        once->fingerprint = once->fingerprint * 31 + ledger_fingerprint(ledger, content[i]);
}

void idempotency_name(struct job *made, const struct idempotency *once)
{
    made->key = arena_copy(made->call->arena, once->key);
    made->fingerprint = once->fingerprint;
}

/* Drops the reference of one that is for something else. */
static bool is_its(struct exchange *exchange, uint64_t fingerprint, struct job **older)
{
    if ((*older)->fingerprint == fingerprint) {
        exchange->remark = (struct header){BYTES("idempotency-replayed"), BYTES("true")};
        return true;
    }
    job_unref(older);
    return refuse(exchange, 422, "idempotency_mismatch",
                  "another request came with that idempotency key");
}

bool idempotency_recall(struct exchange *exchange, const struct idempotency *once,
                        struct job **out_older)
{
    struct ledger *ledger = gateway_of(exchange)->ledger;
    *out_older = once->key.len ? ledger_find_key(ledger, once->key) : NULL;
    return !*out_older || is_its(exchange, once->fingerprint, out_older);
}

struct job *idempotency_enter(struct exchange *exchange, struct job *made, bool *out_joined)
{
    struct job *older = ledger_add(gateway_of(exchange)->ledger, made);
    *out_joined = older;
    if (!older)
        return made;
    uint64_t fingerprint = made->fingerprint;
    job_unref(&made);
    return is_its(exchange, fingerprint, &older) ? older : NULL;
}
