/* An invocation: an exchange that waits for a call of a tool. It submits the call, turns its
 * outcome into the answer, and cancels it when the client leaves. */
#ifndef SNAKEPIT_SERVER_CALLS_INVOCATION_H
#define SNAKEPIT_SERVER_CALLS_INVOCATION_H

#include "pool/call.h"
#include "server/calls/envelope.h"
#include "server/calls/outcome.h"
#include "server/http/exchange.h"
#include "server/requests/origin.h"

/* Reads the envelope in the exchange's body. False: it is none, and the exchange has been answered.
 */
bool invocation_read(struct exchange *exchange, struct invocation_request *out_request)
    __attribute__((warn_unused_result));

/* Adds what the headers say. Of the time limits in the request and in the headers Request-Timeout
 * and Grpc-Timeout the smallest counts; the request's priority goes before that of the header.
 * False: they are wrong, and the exchange has been answered. */
bool invocation_complete(struct exchange *exchange, struct invocation_request *request,
                         struct origin *out_origin) __attribute__((warn_unused_result));

/* The call that is asked for, not submitted, whose answer goes to the exchange's reactor; the
 * reference is the caller's. NULL: it cannot be made, and the exchange has been answered. Takes
 * over the exchange's body, in which `args` may lie. */
struct call *invocation_make(struct exchange *exchange, const struct invocation_request *request,
                             const struct origin *origin, enum result_shape shape);

/* Runs it and answers the exchange, now (a problem) or when the call has ended. */
void invocation_start(struct exchange *exchange, struct invocation_request *request,
                      enum result_shape shape);

#endif
