/* The body of POST /execute: scanned, not parsed. `args` stays the caller's bytes. */
#ifndef SNAKEPIT_SERVER_CALLS_ENVELOPE_H
#define SNAKEPIT_SERVER_CALLS_ENVELOPE_H

#include "base/arena.h"
#include "server/requests/members.h"

enum { ENVELOPE_MAX_DEPTH = MEMBERS_MAX_DEPTH };

/* What is asked for; bytes in the exchange's arena or body. Zero or empty: not given. */
struct invocation_request {
    struct bytes tool;
    struct bytes pool;
    struct bytes args;
    struct bytes content_type; /* of args; empty means JSON */
    struct bytes session_id;
    unsigned affinity; /* enum affinity */
    struct bytes affinity_key;
    struct bytes correlation_id;
    struct bytes metadata;      /* a JSON object */
    struct bytes on_disconnect; /* "cancel" or "detach" */
    struct bytes tools;         /* of the caller's, for the tool to call; JSON */
    uint64_t timeout_us;
    uint64_t queue_timeout_us;
    uint64_t run_timeout_us;
    uint64_t idle_timeout_us;
    struct member_number priority;   /* below CALL_PRIORITIES */
    struct member_number idempotent; /* 0 or 1; not given: what the tool says of itself */
};

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
