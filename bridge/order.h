/* Orders: what other threads want of the supervisor's, about one bridge. */
#ifndef SNAKEPIT_BRIDGE_ORDER_H
#define SNAKEPIT_BRIDGE_ORDER_H

#include "bridge/inside.h"

/* Its members are what the one who carries it out needs. */
struct order {
    struct worker_ref worker;
    uint64_t grace_us;
    char text[TOOL_FAULT_MAX];
};
_Static_assert((int)TOOL_FAULT_MAX >= (int)WORKER_ID_MAX, "an id fits, too");

/* Has `run` called on the supervisor's thread, after those that were sent before. Any thread. */
void order_send(struct bridge *bridge,
                void (*run)(struct bridge *bridge, const struct order *order), struct order order);

#endif
