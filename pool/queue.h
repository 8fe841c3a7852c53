/* The calls that wait: first come, first served within a priority, and across priorities by turn. A
 * call's turn is its arrival plus a step for each level of its priority, so that what is less
 * urgent is overtaken by what comes at most that much later, and never starves. Under the pool's
 * lock. */
#ifndef SNAKEPIT_POOL_QUEUE_H
#define SNAKEPIT_POOL_QUEUE_H

#include "pool/call.h"

struct call_queue {
    struct list levels[CALL_PRIORITIES]; /* each in the order of turns */
    unsigned depths[CALL_PRIORITIES];
    unsigned depth;
};

void queue_init(struct call_queue *queue);

/* Puts the call behind those of its priority; or, `again`, since it lost its worker, back to where
 * it was among them: in front, but for older ones that lost theirs too. call->turn_us and
 * call->priority are set. */
void queue_put(struct call_queue *queue, struct call *call, bool again);

/* Takes the call out; it must be in. */
void queue_remove(struct call_queue *queue, struct call *call);

/* The call whose turn it is, still in the queue; NULL when nobody waits. */
struct call *queue_first(const struct call_queue *queue);

/* How many of this priority, or more urgent, wait. */
unsigned queue_ahead(const struct call_queue *queue, unsigned priority);

/* Since when the call waits that waits longest; UINT64_MAX when nobody waits. */
uint64_t queue_oldest_us(const struct call_queue *queue);

#endif
