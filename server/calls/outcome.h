/* How a call ended, as HTTP has it: a result, or the problem that http-api.md has for it. */
#ifndef SNAKEPIT_SERVER_CALLS_OUTCOME_H
#define SNAKEPIT_SERVER_CALLS_OUTCOME_H

#include "base/buffer.h"
#include "pool/call.h"

#include <stdbool.h>

struct exchange;

/* How a result is presented. */
enum result_shape {
    RESULT_ENVELOPE, /* {"result":…,"meta":{…}} */
    RESULT_BARE,     /* the result alone; the rest in headers */
};

/* Answers `exchange` with how the call, which is DONE, has ended. The call must live until the
 * exchange ends. */
void outcome_respond(struct exchange *exchange, const struct call *call, enum result_shape shape);

/* Adds it as one JSON object: {"result":…,"meta":{…}}, bytes tagged, or the problem document, which
 * is about `instance`. Returns whether it is a result. */
bool outcome_write(const struct call *call, struct bytes instance, struct buffer *out_text);

/* What a call that gave no result tells the one that asked for it; texts in the call or the arena.
 */
struct call_failure outcome_failure(const struct call *call, struct arena *arena);

/* How the ends are called in metrics and counters; static. */
const char *outcome_end_name(enum call_end end);

#endif
