/* Which handler a request belongs to: a table of methods and path patterns, compiled once, then
 * only read. */
#ifndef SNAKEPIT_SERVER_HTTP_ROUTER_H
#define SNAKEPIT_SERVER_HTTP_ROUTER_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

/* One row of the route table. The table belongs to the caller and outlives the router. */
struct route {
    const char *method;  /* "GET"; a GET row that does not act answers HEAD as well */
    const char *pattern; /* "/tools/{name}"; a placeholder is one whole, non-empty segment */
    void (*handle)(struct exchange *exchange); /* called with the body complete */
    size_t body_limit; /* bytes; 0 takes http_options.body_limit; ROUTE_NO_BODY: it has none */
    unsigned flags;    /* of the following */
};

#define ROUTE_NO_BODY SIZE_MAX

enum {
    ROUTE_ACTS = 1,     /* something happens, though it is a GET */
    ROUTE_NO_QUERY = 2, /* whoever sends one means something else */
};

enum route_verdict {
    ROUTE_FOUND,
    ROUTE_UNKNOWN_PATH,   /* 404 */
    ROUTE_UNKNOWN_METHOD, /* 405: the path is known, but not with this method */
    ROUTE_OPTIONS,        /* OPTIONS on a known path that has no row for it: 204 */
    ROUTE_BAD_ENCODING,   /* 400: a captured segment is not percent-encoded correctly */
};

struct router;

/* Returns owned. Aborts on a pattern that does not start with '/' or has a placeholder in part of a
 * segment. */
struct router *router_new(const struct route *routes, size_t count)
    __attribute__((returns_nonnull));
void router_free(struct router **router);

/* Finds the first row of the table that fits. `path` is as sent, without the query; a trailing
 * slash makes another path. With ROUTE_FOUND writes the row to `out_route`; with
 * ROUTE_UNKNOWN_METHOD and ROUTE_OPTIONS the value of an Allow header, which lives as long as the
 * router, to `out_allow`. Any thread. */
enum route_verdict router_find(const struct router *router, struct bytes method, struct bytes path,
                               const struct route **out_route, struct bytes *out_allow);

/* Rows in the table, and the row number of a route from it; NULL gives the count. For metrics. */
size_t router_count(const struct router *router);
size_t router_index(const struct router *router, const struct route *route);

/* The route of that number, or NULL. */
const struct route *router_route(const struct router *router, size_t index);

/* The text that the placeholder number `index`, counted from 0, stands for in a path which
 * router_find() gave this route for, percent-decoded; it may hold any byte, NUL and '/' too.
 * Borrows from `path` when there is nothing to decode, else allocates in `arena`. Aborts when the
 * pattern has no such placeholder. */
struct bytes route_param(const struct route *route, struct bytes path, unsigned index,
                         struct arena *arena);

#endif
