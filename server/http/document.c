#include "server/http/document.h"

#include "server/http/media.h"
#include "server/http/problem.h"

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

/* A format of patches says how they are applied (RFC 7386), which is not how we do it. */
static bool is_patch(struct bytes type)
{
    return bytes_equal_nocase(media_cut(&type, ';'), BYTES("application/merge-patch+json"));
}

bool document_is_json(struct exchange *exchange)
{
    struct bytes type = exchange_header(exchange, "content-type");
    if (!type.len || (media_is_json(type) && !is_patch(type)))
        return true;
    problem_respond(exchange, &(struct problem){.status = 415,
                                                .code = "unsupported_media_type",
                                                .detail = "the body must be JSON: send "
                                                          "content-type application/json"});
    return false;
}
