/* GET /openapi.json: the API description, compiled in. */
#include "server/exchange.h"
#include "server/handlers.h"

/* The build names the file. */
__asm__(".section .rodata\n"
        "openapi_json: .incbin \"" OPENAPI_JSON "\"\n"
        "openapi_json_end:\n"
        ".previous");
extern const char openapi_json[], openapi_json_end[];

void description_get(struct exchange *exchange)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", BYTES("application/json"));
    response_header(&response, "cache-control", BYTES("no-cache"));
    response_part(&response, bytes_from(openapi_json, (size_t)(openapi_json_end - openapi_json)));
    exchange_respond(exchange, &response);
}
