/* The body of POST /execute: scanned, not parsed. `args` stays the caller's bytes. */
#ifndef SNAKEPIT_SERVER_ENVELOPE_H
#define SNAKEPIT_SERVER_ENVELOPE_H

#include "base/arena.h"
#include "server/invocation.h"

enum { ENVELOPE_MAX_DEPTH = 128, ENVELOPE_MAX_TEXT = 256 };

/* What is wrong with an envelope. */
struct envelope_fault {
    const char *code;     /* "invalid_json" or "invalid_request" */
    const char *detail;   /* in the arena or static */
    struct bytes pointer; /* JSON pointer to the member, or empty data NULL */
};

/* Reads `body` into `out_request`, whose bytes then lie in `body` or in `arena`. False: it is
 * wrong, and out_fault says how. A pure function. */
bool envelope_read(struct bytes body, struct arena *arena, struct invocation_request *out_request,
                   struct envelope_fault *out_fault) __attribute__((warn_unused_result));

#endif
