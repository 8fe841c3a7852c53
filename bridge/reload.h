/* How replacing all workers goes. */
#ifndef SNAKEPIT_BRIDGE_RELOAD_H
#define SNAKEPIT_BRIDGE_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

enum reload_state {
    RELOAD_NONE,      /* there has been none */
    RELOAD_LOADING,   /* the code is being loaded */
    RELOAD_REPLACING, /* workers with older code still take calls */
    RELOAD_DONE,
    RELOAD_FAILED, /* the code cannot be loaded */
};

struct reload_view {
    enum reload_state state; /* of the last one that has begun */
    int64_t at_s;            /* since when, seconds of the epoch; 0: RELOAD_NONE */
    bool pending;            /* another one waits */
    char error[512];         /* why it failed, or empty */
};

#endif
