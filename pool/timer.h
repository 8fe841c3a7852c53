/* A moment at which something of the pool is due. */
#ifndef SNAKEPIT_POOL_TIMER_H
#define SNAKEPIT_POOL_TIMER_H

#include "base/heap.h"

struct pool;
struct effects;

/* Embedded in what it is about. `fire` is called under the pool's lock, once it is due and out of
 * the heap. */
struct pool_timer {
    struct heap_node node;
    void (*fire)(struct pool *pool, struct pool_timer *timer, uint64_t now_us,
                 struct effects *effects);
};

#endif
