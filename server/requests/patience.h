/* How long a caller waits and how urgent its call is, as headers say it. Pure functions. */
#ifndef SNAKEPIT_SERVER_REQUESTS_PATIENCE_H
#define SNAKEPIT_SERVER_REQUESTS_PATIENCE_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* Request-Timeout: seconds, "2.5", more than 0 and at most a day; what is finer than a microsecond
 * is rounded up. False: it is none. */
bool patience_read_seconds(struct bytes text, uint64_t *out_us) __attribute__((warn_unused_result));

/* Grpc-Timeout: one to eight digits and a unit of H, M, S, m, u, n; "100m" is 100 milliseconds.
 * More than a day becomes a day, since "99999999H" is how gRPC says "for ever". False: it is none,
 * or 0. */
bool patience_read_grpc(struct bytes text, uint64_t *out_us) __attribute__((warn_unused_result));

/* Priority (RFC 9218): the urgency "u=N", 0 to 7. False: it says nothing of that, or nothing that
 * makes sense, which by that standard is to be ignored. */
bool patience_read_urgency(struct bytes text, unsigned *out_urgency)
    __attribute__((warn_unused_result));

#endif
