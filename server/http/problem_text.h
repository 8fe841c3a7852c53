/* What a problem document says (RFC 9457), and the answer that it makes. Pure. */
#ifndef SNAKEPIT_SERVER_HTTP_PROBLEM_TEXT_H
#define SNAKEPIT_SERVER_HTTP_PROBLEM_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "server/http/response.h"

#include <stdbool.h>
#include <stdint.h>

/* What is to be said. Everything is copied. NULL strings and zero numbers are left out, unless said
 * otherwise. */
struct problem {
    unsigned status;
    const char
        *code; /* "payload_too_large"; "type" becomes the relative reference "/problems/<code>" */
    const char *title;    /* NULL takes the reason phrase of the status */
    const char *detail;   /* for people; any bytes, made safe for JSON */
    const char *category; /* NULL takes "validation" below 500 and "pool" from 500 on */
    const char *executed; /* did the tool's code run: "no", "maybe", "yes"; NULL is "no" */
    bool retryable;       /* always said */
    double retry_after_s; /* > 0: a Retry-After header, rounded up to whole seconds */
    int64_t limit;        /* the limit that was passed */
    struct bytes allow;   /* an Allow header */
    struct bytes
        members; /* further members as JSON, without braces: "\"tool\":\"x\",\"pool\":\"y\"" */
};

/* Whether a code that came from somewhere else looks like one: lower case, digits and underscores.
 */
bool problem_code(struct bytes code);

/* Adds the document. `instance`: the path it is about, or empty. */
void problem_write(const struct problem *problem, struct bytes instance, struct bytes request_id,
                   struct buffer *out_text);

/* The answer to the request of that id for `instance`; in the arena. */
void problem_answer(const struct problem *problem, struct bytes instance, struct bytes request_id,
                    struct arena *arena, struct response *out_response);

#endif
