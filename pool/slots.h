/* Workers that can be given a call now: the list of those with a free slot, and busy ones to which
 * a call may be sent ahead. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_SLOTS_H
#define SNAKEPIT_POOL_SLOTS_H

#include "pool/inside.h"

/* The worker's number of calls, or its state, has changed: puts it into, or takes it out of, the
 * list of free ones. */
void slots_reconsider(struct pool *pool, struct worker *worker);

/* Whether the worker can be given a call of the tool now, be it ahead. */
bool slots_can_give(const struct pool *pool, const struct worker *worker, const struct tool *tool);

/* Whether the worker can be given this call now, which waits for it alone. */
bool slots_can_have(const struct pool *pool, const struct worker *worker, const struct call *call);

/* The worker with a free slot that is chosen first; else the busy one where the call would wait
 * least, if that is short; else NULL. */
struct worker *slots_choose(const struct pool *pool, const struct call *call);

#endif
