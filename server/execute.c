/* POST /execute */
#include "server/handlers.h"
#include "server/invocation.h"
#include "server/problem.h"

void execute_post(struct exchange *exchange)
{
    struct invocation_request request;
    if (!invocation_read(exchange, &request))
        return;
    if (request.tools.len)
        problem_respond(exchange, &(struct problem){.status = 400,
                                                    .code = "invalid_request",
                                                    .detail = "\"tools\" is for POST /stream, "
                                                              "where the caller can be asked"});
    else
        invocation_start(exchange, &request, RESULT_ENVELOPE);
}
