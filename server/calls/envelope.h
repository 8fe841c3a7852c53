/* The body of POST /execute: scanned, not parsed. `args` stays the caller's bytes. */
#ifndef SNAKEPIT_SERVER_CALLS_ENVELOPE_H
#define SNAKEPIT_SERVER_CALLS_ENVELOPE_H

#include "base/arena.h"
#include "server/calls/invocation.h"
#include "server/requests/members.h"

enum { ENVELOPE_MAX_DEPTH = MEMBERS_MAX_DEPTH };

/* Reads `body` into `out_request`, whose bytes then lie in `body` or in `arena`. False: it is
 * wrong, and out_fault says how. A pure function. */
bool envelope_read(struct bytes body, struct arena *arena, struct invocation_request *out_request,
                   struct member_fault *out_fault) __attribute__((warn_unused_result));

/* The same from a query, see members_read_query(): tool=…&args={…}&timeout_ms=…. */
bool envelope_read_query(struct bytes query, struct arena *arena,
                         struct invocation_request *out_request, struct member_fault *out_fault)
    __attribute__((warn_unused_result));

/* Adds what a query says of a call whose tool and arguments are known: pool=…&session_id=…. */
bool envelope_read_options(struct bytes query, struct arena *arena,
                           struct invocation_request *request, struct member_fault *out_fault)
    __attribute__((warn_unused_result));

#endif
