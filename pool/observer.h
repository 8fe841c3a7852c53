/* The observer port: told of what happens to workers, for logs and start-up. Called without the
 * pool's lock, on the thread that made the change; events of one worker come in order. All members
 * may be NULL. */
#ifndef SNAKEPIT_POOL_OBSERVER_H
#define SNAKEPIT_POOL_OBSERVER_H

#include "pool/runtime.h"

struct observer_ops {
    /* A worker takes calls now. */
    void (*worker_ready)(void *context, const char *id, int pid, uint64_t start_us);
    /* A worker has left; `lost` calls were answered with worker_crash. */
    void (*worker_gone)(void *context, const char *id, int pid, const struct worker_exit *exit,
                        unsigned lost);
    /* Every worker asked for at the start is ready. Once. */
    void (*pool_started)(void *context, struct pool *pool);
    /* The pool cannot start workers, and why. */
    void (*pool_failed)(void *context, struct pool *pool, const char *reason);
};

struct observer {
    const struct observer_ops *ops;
    void *context;
};

#endif
