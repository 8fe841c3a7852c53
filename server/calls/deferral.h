/* Calls whose outcome outlives the exchange: `Prefer: respond-async` (RFC 7240) answers before the
 * call has ended, and an `Idempotency-Key` gives a second request the answer of the first. */
#ifndef SNAKEPIT_SERVER_CALLS_DEFERRAL_H
#define SNAKEPIT_SERVER_CALLS_DEFERRAL_H

#include "server/calls/idempotency.h"
#include "server/calls/job.h"
#include "server/calls/outcome.h"
#include "server/http/exchange.h"

struct deferral_wish {
    bool is_async;
    uint64_t wait_us;  /* for the outcome, before the answer says that it will come later */
    uint64_t limit_us; /* of who joins a call that another began, and may wait longer; 0: none */
    struct idempotency once;
};

/* What the headers ask for, if anything. False: they are wrong, and the exchange has been answered.
 */
bool deferral_read(struct exchange *exchange, struct deferral_wish *out_wish)
    __attribute__((warn_unused_result));

/* Answers with what comes, or came, of a job that another request began. Takes the reference. */
void deferral_join(struct exchange *exchange, struct job *job, const struct deferral_wish *wish,
                   enum result_shape shape);

/* Runs the call as a job, unless one with the same key runs or has run, and answers the exchange.
 * Takes the reference. */
void deferral_start(struct exchange *exchange, struct call *call, const struct deferral_wish *wish,
                    enum result_shape shape);

/* Looks after the exchanges of one reactor that wait, on its thread; once a second. */
void deferral_sweep(struct list *waiting, uint64_t now_us);

/* Answers with the job's outcome, or 202 if it has not ended. Takes the reference. */
void deferral_fetch(struct exchange *exchange, struct job *job);

#endif
