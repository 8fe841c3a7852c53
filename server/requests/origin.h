/* Where a request comes from: what its headers say of the work that it is a part of. */
#ifndef SNAKEPIT_SERVER_REQUESTS_ORIGIN_H
#define SNAKEPIT_SERVER_REQUESTS_ORIGIN_H

#include "server/http/exchange.h"

struct metadata_options {
    const char
        *headers; /* "name,name" of those that go to the tool; borrowed; NULL or empty: none */
    size_t limit; /* bytes of a request's metadata, as JSON */
};

/* Given in the body, or empty. */
struct origin_members {
    struct bytes correlation_id;
    struct bytes metadata; /* a JSON object */
};

/* Texts in the exchange's arena; empty: not given, or not fit to be handed on. */
struct origin {
    struct bytes correlation_id;
    struct bytes traceparent;
    struct bytes tracestate;
    struct bytes metadata; /* a JSON object: headers, and what the body says, which goes before */
    unsigned depth;        /* of tools that have called tools to get here */
};

/* Reads it; the body's correlation id goes before the header. False: so many tools have called
 * tools that this one may not be called any more, or the depth is none, or the metadata is too
 * large; the exchange has been answered. */
bool origin_read(struct exchange *exchange, const struct origin_members *members,
                 struct origin *out_origin) __attribute__((warn_unused_result));

#endif
