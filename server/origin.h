/* Where a request comes from: what its headers say of the work that it is a part of. */
#ifndef SNAKEPIT_SERVER_ORIGIN_H
#define SNAKEPIT_SERVER_ORIGIN_H

#include "server/exchange.h"

/* Texts in the exchange's arena; empty: not given, or not fit to be handed on. */
struct origin {
    struct bytes correlation_id;
    struct bytes traceparent;
    struct bytes tracestate;
    unsigned depth; /* of tools that have called tools to get here */
};

/* Reads it; `correlation_id` in the request goes before the header of that name. False: so many
 * tools have called tools that this one may not be called any more, or the depth is none; the
 * exchange has been answered. */
bool origin_read(struct exchange *exchange, struct bytes correlation_id, struct origin *out_origin)
    __attribute__((warn_unused_result));

#endif
