/* The body of POST /execute: what is accepted has a tool and object arguments that lie in the body;
 * what is not has a reason. */
#include "base/json.h"
#include "fuzz.h"
#include "server/calls/envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct invocation_request request;
    struct member_fault fault;
    struct json_value args;
    if (envelope_read(bytes_from(data, size), arena, &request, &fault)) {
        if (request.tool.len == 0 || !json_check(request.args, ENVELOPE_MAX_DEPTH, &args, NULL) ||
            args.type != JSON_TYPE_OBJECT)
            abort();
    } else if (!fault.code || !fault.detail) {
        abort();
    }
    arena_unref(&arena);
    return 0;
}
