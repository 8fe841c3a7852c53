/* How a call ended, as an HTTP answer: a result, or the problem that http-api.md has for it. */
#ifndef SNAKEPIT_SERVER_OUTCOME_H
#define SNAKEPIT_SERVER_OUTCOME_H

#include "server/invocation.h"

/* In the exchange's arena; holds the caller's reference to the call until the exchange ends. */
struct invocation {
    struct exchange *exchange;
    struct call *call;
    enum invocation_shape shape;
};

/* Answers the exchange of a call that is DONE. */
void outcome_respond(struct invocation *invocation);

/* How the ends are called in metrics and counters; static. */
const char *outcome_end_name(enum call_end end);

#endif
