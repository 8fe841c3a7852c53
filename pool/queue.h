/* The calls that wait: first come, first served within a priority, and across priorities by turn. A
 * call's turn is its arrival plus a step for each level of its priority, so that what is less
 * urgent is overtaken by what comes at most that much later, and never starves. Under the pool's
 * lock. */
#ifndef SNAKEPIT_POOL_QUEUE_H
#define SNAKEPIT_POOL_QUEUE_H

#include "pool/call.h"

struct call_queue {
    struct list levels[CALL_PRIORITIES];
    unsigned depth;
};

void queue_init(struct call_queue *queue);

/* Puts the call behind those of its priority; or, `again`, in front of them: it had its turn and
 * lost its worker. call->turn_us and call->priority are set. */
void queue_put(struct call_queue *queue, struct call *call, bool again);

/* Takes the call out; it must be in. */
void queue_remove(struct call_queue *queue, struct call *call);

/* The call whose turn it is, still in the queue; NULL when nobody waits. */
struct call *queue_first(const struct call_queue *queue);

/* When the call that waits longest came; UINT64_MAX when nobody waits. */
uint64_t queue_oldest_us(const struct call_queue *queue);

#endif
