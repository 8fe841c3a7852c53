#include "server/document.h"

void document_respond(struct exchange *exchange, const char *content_type, struct buffer *text)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", bytes_of(content_type));
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(text)));
    buffer_deinit(text);
    exchange_respond(exchange, &response);
}
