/* Answers that are made in one buffer. */
#ifndef SNAKEPIT_SERVER_HTTP_DOCUMENT_H
#define SNAKEPIT_SERVER_HTTP_DOCUMENT_H

#include "base/buffer.h"
#include "server/http/exchange.h"

/* Answers 200 with a copy of `text`, which it frees. `content_type` is static. */
void document_respond(struct exchange *exchange, const char *content_type, struct buffer *text);

/* Answers with that status and a copy of the JSON `text`, which it frees. */
void document_respond_json(struct exchange *exchange, unsigned status, struct buffer *text);

/* Whether the body may be JSON. False: its content type is another, and 415 has been answered. */
bool document_is_json(struct exchange *exchange) __attribute__((warn_unused_result));

#endif
