/* POST /execute */
#include "server/envelope.h"
#include "server/handlers.h"
#include "server/media.h"
#include "server/problem.h"

void execute_post(struct exchange *exchange)
{
    struct bytes type = exchange_header(exchange, "content-type");
    struct invocation_request request;
    struct member_fault fault;
    if (type.len && !media_is_json(type)) {
        problem_respond(exchange,
                        &(struct problem){
                            .status = 415,
                            .code = "unsupported_media_type",
                            .detail = "the body must be JSON: send content-type application/json"});
        return;
    }
    if (envelope_read(buffer_bytes(&exchange->body), exchange->arena, &request, &fault))
        invocation_start(exchange, &request, RESULT_ENVELOPE);
    else
        members_refuse(exchange, 400, &fault);
}
