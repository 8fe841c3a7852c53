/* W3C Trace Context: what a traceparent may be, and which one goes along to what a call calls. Pure
 * functions. */
#ifndef SNAKEPIT_SERVER_TELEMETRY_TRACE_H
#define SNAKEPIT_SERVER_TELEMETRY_TRACE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "bridge/telemetry.h"

#include <stdbool.h>

enum { TRACE_HEX_MAX = 2 * TRACE_ID_BYTES + 1 };

/* Writes an id of at most TRACE_ID_BYTES in lower-case hexadecimal; returns `room`. */
const char *trace_hex(struct bytes id, char room[TRACE_HEX_MAX]);

/* Whether it is a traceparent, of version 00 or a later one, and may be handed on. */
bool trace_is_good(struct bytes traceparent);

/* The traceparent for what is called within a span: that of the span, with the flags of `own`,
 * which is the calling call's, good or empty. A copy of `own` if these are no ids, or of a span of
 * another trace than that. */
struct bytes trace_within(struct bytes own, struct bytes trace_id, struct bytes span_id,
                          struct arena *arena);

#endif
