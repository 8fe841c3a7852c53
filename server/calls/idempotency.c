#include "server/calls/idempotency.h"

#include "pool/pool.h"
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

bool idempotency_read(struct exchange *exchange, struct bytes *out_key)
{
    *out_key = exchange_header(exchange, "idempotency-key");
    if (!out_key->data)
        return true;
    if (!is_good(*out_key))
        return refuse(exchange, 400, "invalid_request",
                      "idempotency-key must have 1 to 255 visible characters");
    return exchange_header_count(exchange, "idempotency-key") == 1 ||
           refuse(exchange, 400, "invalid_request", "idempotency-key must be given once");
}

void idempotency_name(struct exchange *exchange, struct job *made, struct bytes key,
                      struct bytes tools)
{
    const struct ledger *ledger = gateway_of(exchange)->ledger;
    const struct call *call = made->call;
    const struct pool *pool = call->tool->pool;
    const struct bytes content[] = {call->tool->spec.name,
                                    bytes_of(pool ? pool_name(pool) : ""),
                                    call->content_type,
                                    call->session_id,
                                    call->args,
                                    call->metadata,
                                    tools};
    made->key = arena_copy(exchange->arena, key);
    made->fingerprint = made->is_stream;
    for (size_t i = 0; i < sizeof content / sizeof content[0]; i++)
        made->fingerprint = made->fingerprint * 31 + ledger_fingerprint(ledger, content[i]);
}

/* Takes both references, and returns that to the older if it is for the same. */
static struct job *join(struct exchange *exchange, struct job *made, struct job *older)
{
    bool same = older->fingerprint == made->fingerprint;
    job_unref(&made);
    if (same) {
        exchange->remark = (struct header){BYTES("idempotency-replayed"), BYTES("true")};
    } else {
        job_unref(&older);
        refuse(exchange, 422, "idempotency_mismatch",
               "another request came with that idempotency key");
    }
    return older;
}

struct job *idempotency_enter(struct exchange *exchange, struct job *made, bool *out_joined)
{
    struct job *older = ledger_add(gateway_of(exchange)->ledger, made);
    *out_joined = older;
    return older ? join(exchange, made, older) : made;
}

struct job *idempotency_find(struct exchange *exchange, struct job *made)
{
    struct job *older = ledger_find_key(gateway_of(exchange)->ledger, made->key);
    if (older)
        return join(exchange, made, older);
    job_unref(&made);
    refuse(exchange, 404, "call_not_found",
           "no stream with that idempotency key runs or is kept, of which the rest could come");
    return NULL;
}
