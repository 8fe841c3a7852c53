/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request that is to be run once. A
 * second one with the same key and content gets what comes, or came, of the first. */
#ifndef SNAKEPIT_SERVER_CALLS_IDEMPOTENCY_H
#define SNAKEPIT_SERVER_CALLS_IDEMPOTENCY_H

#include "server/calls/job.h"
#include "server/http/exchange.h"

/* The key that the request has; empty: none. False: it is no good one, and the exchange has been
 * answered. */
bool idempotency_read(struct exchange *exchange, struct bytes *out_key)
    __attribute__((warn_unused_result));

/* Gives the key to a job that was made for the request, and not entered; `tools`: of the caller's,
 * or empty. */
void idempotency_name(struct exchange *exchange, struct job *made, struct bytes key,
                      struct bytes tools);

/* Enters the job that was made and returns it, to be started; or the one that has its key already,
 * which the answer then says: `out_joined`. Takes the reference to the one, returns one to the
 * other. NULL: that is for something else, and the exchange has been answered. */
struct job *idempotency_enter(struct exchange *exchange, struct job *made, bool *out_joined)
    __attribute__((warn_unused_result));

/* The same for a request that must not be run again: NULL, too, when there is none of that key. */
struct job *idempotency_find(struct exchange *exchange, struct job *made)
    __attribute__((warn_unused_result));

#endif
