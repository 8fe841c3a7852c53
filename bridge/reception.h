/* The reception: workers attach, say what they have to say, and are gone. */
#ifndef SNAKEPIT_BRIDGE_RECEPTION_H
#define SNAKEPIT_BRIDGE_RECEPTION_H

#include "bridge/inside.h"

/* What hears of all links of the bridge. */
struct link_handler reception_handler(struct bridge *bridge);

#endif
