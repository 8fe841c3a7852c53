/* How a pool is. */
#ifndef SNAKEPIT_POOL_STATE_H
#define SNAKEPIT_POOL_STATE_H

enum pool_state {
    POOL_STARTING, /* not all first workers have been ready yet */
    POOL_RUNNING,
    POOL_FAILED,  /* cannot start workers, or they die at once; see `reason` */
    POOL_LEAVING, /* drained or stopped */
};

const char *pool_state_name(enum pool_state state);

#endif
