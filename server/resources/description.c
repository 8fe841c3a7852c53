/* GET /openapi.json and GET /docs: the API description, and a page that shows it and runs tools.
 * Compiled in. */
#include "server/http/exchange.h"
#include "server/resources/handlers.h"

/* The build names the files. */
#define EMBED(name_, path_)                                                                        \
    __asm__(".section .rodata\n" #name_ ": .incbin \"" path_ "\"\n" #name_ "_end:\n.previous");    \
    extern const char name_[], name_##_end[]

EMBED(openapi_json, OPENAPI_JSON);
EMBED(docs_html, DOCS_HTML);
EMBED(docs_policy, DOCS_POLICY);

#define EMBEDDED(name_) bytes_from(name_, (size_t)(name_##_end - name_))

void description_get(struct exchange *exchange)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", BYTES("application/json"));
    response_header(&response, "cache-control", BYTES("no-cache"));
    response_part(&response, EMBEDDED(openapi_json));
    exchange_respond(exchange, &response);
}

void description_page(struct exchange *exchange)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", BYTES("text/html; charset=utf-8"));
    response_header(&response, "cache-control", BYTES("no-cache"));
    response_header(&response, "content-security-policy", EMBEDDED(docs_policy));
    response_header(&response, "x-content-type-options", BYTES("nosniff"));
    response_header(&response, "referrer-policy", BYTES("no-referrer"));
    response_part(&response, EMBEDDED(docs_html));
    exchange_respond(exchange, &response);
}
