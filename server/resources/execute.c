/* POST /execute */
#include "server/calls/invocation.h"
#include "server/resources/handlers.h"

static void refuse(struct exchange *exchange, const char *name, const char *detail)
{
    struct member_fault fault;
    members_fault(&fault, exchange->arena, bytes_of(name), detail);
    members_refuse(exchange, 400, &fault);
}

/* A caller that leaves gives its call up, unless it has asked for an answer that comes later. */
void execute_post(struct exchange *exchange)
{
    struct invocation_request request;
    if (!invocation_read(exchange, &request))
        return;
    if (request.tools.len)
        refuse(exchange, "tools", "\"tools\" is for POST /stream, where the caller can be asked");
    else if (bytes_equal(request.on_disconnect, BYTES("detach")))
        refuse(exchange, "on_disconnect",
               "\"detach\" is for /stream: send prefer: respond-async, or an idempotency-key");
    else
        invocation_start(exchange, &request, RESULT_ENVELOPE);
}
