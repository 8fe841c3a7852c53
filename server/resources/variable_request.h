/* What a request wants of variables. */
#ifndef SNAKEPIT_SERVER_RESOURCES_VARIABLE_REQUEST_H
#define SNAKEPIT_SERVER_RESOURCES_VARIABLE_REQUEST_H

#include "pool/variables.h"
#include "server/requests/members.h"

/* Reads {"value", "type", "constraints", "expected_version"} into the rest of a write that has a
 * name. What it points to lies in `body` or the arena. Pure, as the others. */
bool variable_request_read(struct bytes body, struct arena *arena, struct variable_write *write,
                           struct member_fault *out_fault) __attribute__((warn_unused_result));

/* Several writes, in the arena. */
struct variable_batch {
    struct variable_write *writes;
    size_t count;
    bool atomic;
};

/* Reads {"set": {name: …}, "delete": [name, …], "atomic": true}; `limit` writes at most. */
bool variable_request_read_batch(struct bytes body, size_t limit, struct arena *arena,
                                 struct variable_batch *out_batch, struct member_fault *out_fault)
    __attribute__((warn_unused_result));

#endif
