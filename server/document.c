#include "server/document.h"

static void respond(struct exchange *exchange, unsigned status, const char *content_type,
                    struct buffer *text)
{
    struct response response = {.status = status};
    response_header(&response, "content-type", bytes_of(content_type));
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(text)));
    buffer_deinit(text);
    exchange_respond(exchange, &response);
}

void document_respond(struct exchange *exchange, const char *content_type, struct buffer *text)
{
    respond(exchange, 200, content_type, text);
}

void document_respond_json(struct exchange *exchange, unsigned status, struct buffer *text)
{
    respond(exchange, status, "application/json", text);
}
