/* Workers that are taken out of service. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_REMOVAL_H
#define SNAKEPIT_POOL_REMOVAL_H

#include "pool/inside.h"

/* Takes no more calls; leaves once those it has, and those that wait for it alone, are answered. */
void removal_drain(struct pool *pool, struct worker *worker, struct effects *effects);

/* Tells the worker to leave, if it drains and nothing is left for it. Needs room for a stop in
 * `effects`. */
void removal_dismiss(struct pool *pool, struct worker *worker, struct effects *effects);

/* The worker is gone, or takes no more calls: those that wait for it alone have lost it. */
void removal_desert(struct pool *pool, struct worker *worker, struct effects *effects);

/* The worker takes no more calls, since nothing reaches it, and is about to end. */
void removal_lose(struct pool *pool, struct worker *worker, const char *why,
                  struct effects *effects);

/* The worker is killed now, which is no crash: something keeps it from leaving. Needs room for a
 * stop in `effects`. */
void removal_kill(struct pool *pool, struct worker *worker, const char *why,
                  struct effects *effects);

#endif
