/* POST /execute */
#include "server/envelope.h"
#include "server/handlers.h"
#include "server/media.h"
#include "server/problem.h"

static void refuse_envelope(struct exchange *exchange, const struct envelope_fault *fault)
{
    struct buffer members = {0};
    if (fault->pointer.data) {
        buffer_add_string(&members, "\"errors\":[{\"pointer\":");
        buffer_add_json_string(&members, fault->pointer);
        buffer_add_string(&members, ",\"detail\":");
        buffer_add_json_string(&members, bytes_of(fault->detail));
        buffer_add_string(&members, "}]");
    }
    problem_respond(exchange, &(struct problem){.status = 400,
                                                .code = fault->code,
                                                .detail = fault->detail,
                                                .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}

void execute_post(struct exchange *exchange)
{
    struct bytes type = exchange_header(exchange, "content-type");
    struct invocation_request request;
    struct envelope_fault fault;
    if (type.len && !media_is_json(type)) {
        problem_respond(exchange,
                        &(struct problem){
                            .status = 415,
                            .code = "unsupported_media_type",
                            .detail = "the body must be JSON: send content-type application/json"});
        return;
    }
    if (envelope_read(buffer_bytes(&exchange->body), exchange->arena, &request, &fault))
        invocation_start(exchange, &request, INVOCATION_ENVELOPE);
    else
        refuse_envelope(exchange, &fault);
}
