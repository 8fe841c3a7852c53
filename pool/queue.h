/* The calls that wait: first come, first served within a priority, and across priorities by turn. A
 * call's turn is its arrival plus a step for each level of its priority, so that what is less
 * urgent is overtaken by what comes at most that much later, and never starves. A nested call has
 * the turn of the call that all began with: who waits for it keeps a worker, which what came later
 * might take for more of the same. Under the pool's lock. */
#ifndef SNAKEPIT_POOL_QUEUE_H
#define SNAKEPIT_POOL_QUEUE_H

#include "pool/call.h"

struct call_queue {
    struct list levels[CALL_PRIORITIES]; /* each in the order of turns */
    unsigned depths[CALL_PRIORITIES];
    unsigned depth;
    uint64_t pace_since_us;   /* the last answer while calls waited, or when they began to */
    uint64_t pace_span_us;    /* how long calls waited since answer_every_us was last moved */
    uint64_t pace_answers;    /* and how many answers came meanwhile */
    uint64_t answer_every_us; /* moving average of the time between answers while calls wait */
};

void queue_init(struct call_queue *queue);

/* Puts the call where its turn is among those of its priority: mostly behind them; in front if it
 * has lost its worker, or is nested. call->turn_us, call->number and call->priority are set. */
void queue_put(struct call_queue *queue, struct call *call, uint64_t now_us);

/* Takes the call out; it must be in. */
void queue_remove(struct call_queue *queue, struct call *call);

/* The call whose turn it is, still in the queue; NULL when nobody waits. */
struct call *queue_first(const struct call_queue *queue);

/* Answers have come from those for whom the calls wait: notes their pace, if calls wait. */
void queue_pace(struct call_queue *queue, size_t answers, uint64_t now_us);

/* How long those of this priority, or more urgent, that wait will take at the pace of the last
 * answers; 0 when there are none, or nothing is known. */
uint64_t queue_ahead_us(const struct call_queue *queue, unsigned priority);

/* Since when the call waits that waits longest; UINT64_MAX when nobody waits. */
uint64_t queue_oldest_us(const struct call_queue *queue);

#endif
