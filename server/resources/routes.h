/* The routes and what reactors do beside them: the top of what serves requests, of which handlers
 * know nothing. */
#ifndef SNAKEPIT_SERVER_RESOURCES_ROUTES_H
#define SNAKEPIT_SERVER_RESOURCES_ROUTES_H

#include "server/http/reactor.h"
#include "server/http/router.h"

/* The routes, in the order of design/http-api.md. */
extern const struct route routes[];
extern const size_t route_count;

/* The hooks of the reactors, whose context is the gateway: frames leave at the end of a turn, and
 * once a second what waits is looked after, and what is old goes. */
extern const struct reactor_hooks route_hooks;

#endif
