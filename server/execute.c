/* POST /execute */
#include "server/handlers.h"
#include "server/invocation.h"

void execute_post(struct exchange *exchange)
{
    struct invocation_request request;
    if (invocation_read(exchange, &request))
        invocation_start(exchange, &request, RESULT_ENVELOPE);
}
