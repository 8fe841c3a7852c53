/* The call that a path under /calls/{id} means. Callers may choose request ids, so that several
 * calls may have one; then nobody's is looked at or ended. */
#ifndef SNAKEPIT_SERVER_CALLS_LOOKUP_H
#define SNAKEPIT_SERVER_CALLS_LOOKUP_H

#include "pool/pool.h"
#include "server/http/exchange.h"

struct job;

struct lookup {
    struct pool *pool;     /* where it waits or runs; or NULL */
    bool is_callback;      /* it is a tool's that was registered, and runs */
    struct call_view view; /* as it waits or runs, then */
    struct job *job;       /* that it is, with a reference; or NULL */
};

/* Finds it; `out_lookup` is to be deinited. False: there is none of the id in the path, or several,
 * and the exchange has been answered. */
bool lookup_call(struct exchange *exchange, struct lookup *out_lookup)
    __attribute__((warn_unused_result));
void lookup_deinit(struct lookup *lookup);

/* The job that a path under /calls/{id} means, with a reference for the caller; NULL: there is
 * none. Jobs have ids of their own, so that a plain call of the same id does not hide one. */
struct job *lookup_job(struct exchange *exchange);

/* Answers that there is no such call. */
void lookup_refuse_unknown(struct exchange *exchange);

#endif
