/* How a turn in the pool's monitor ends. */
#ifndef SNAKEPIT_POOL_TURN_H
#define SNAKEPIT_POOL_TURN_H

#include "pool/inside.h"

/* Leaves, and comes back as often as there is more to dispatch than one set of effects holds. */
void turn_end_pumping(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Lets the number of workers follow, as often as there is more to do than one set of effects holds,
 * and leaves likewise. */
void turn_end_balancing(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Whether this is the moment at which all first workers are ready. Within the monitor. */
bool turn_note_started(struct pool *pool);

/* The observer hears of it. Without the lock. */
void turn_tell_started(struct pool *pool);
void turn_tell_failed(struct pool *pool, const char *reason);

#endif
