/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request that is to be run once. A
 * second one with the same key and content gets what comes, or came, of the first. */
#ifndef SNAKEPIT_SERVER_CALLS_IDEMPOTENCY_H
#define SNAKEPIT_SERVER_CALLS_IDEMPOTENCY_H

#include "server/calls/envelope.h"
#include "server/calls/job.h"
#include "server/http/exchange.h"

/* What a request says of that. */
struct idempotency {
    struct bytes key;     /* or empty: none */
    uint64_t fingerprint; /* of what it asks for */
};

/* The key that the request has. False: it is no good one, and the exchange has been answered. */
bool idempotency_read(struct exchange *exchange, struct idempotency *out_once)
    __attribute__((warn_unused_result));

/* Takes the fingerprint of what the request asks for, as it stands there: what became of its
 * session or of its tool since does not matter. `metadata`: what goes to the tool. */
void idempotency_print(struct exchange *exchange, const struct invocation_request *request,
                       struct bytes metadata, bool is_stream, struct idempotency *once);

/* The job that has the key already, with a reference, which the answer then says; NULL: none has.
 * False: that is for something else, and the exchange has been answered. */
bool idempotency_recall(struct exchange *exchange, const struct idempotency *once,
                        struct job **out_older) __attribute__((warn_unused_result));

/* Gives the key to a job that was made for the request, and not entered. */
void idempotency_name(struct job *made, const struct idempotency *once);

/* Enters the job that was made and returns it, to be started; or the one that has its key already,
 * which the answer then says: `out_joined`. Takes the reference to the one, returns one to the
 * other. NULL: that is for something else, and the exchange has been answered. */
struct job *idempotency_enter(struct exchange *exchange, struct job *made, bool *out_joined)
    __attribute__((warn_unused_result));

#endif
