#include "pool/state.h"

static const char *const state_names[] = {
    [POOL_STARTING] = "starting",
    [POOL_RUNNING] = "running",
    [POOL_FAILED] = "failed",
    [POOL_LEAVING] = "leaving",
};

const char *pool_state_name(enum pool_state state)
{
    return state_names[state];
}
