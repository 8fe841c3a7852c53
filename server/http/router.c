#include "server/http/router.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "server/http/percent.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Rows with the same pattern share one Allow header, which is written when the router is made. */
struct row {
    struct bytes pattern;
    size_t literal; /* bytes before the first placeholder; all of it if there is none */
    unsigned slashes;
    struct bytes allow;
};

struct router {
    const struct route *routes;
    size_t count;
    struct row rows[];
};

static unsigned count_slashes(struct bytes path)
{
    unsigned slashes = 0;
    for (size_t i = 0; i < path.len; i++)
        slashes += path.data[i] == '/';
    return slashes;
}

/* The part of `path` up to the next slash, which is dropped from `path` together with that slash.
 */
static struct bytes next_segment(struct bytes *path)
{
    const char *slash = path->len > 0 ? memchr(path->data, '/', path->len) : NULL;
    size_t len = slash ? (size_t)(slash - path->data) : path->len;
    struct bytes segment = bytes_from(path->data, len);
    *path = bytes_skip(*path, slash ? len + 1 : len);
    return segment;
}

static bool is_placeholder(struct bytes segment)
{
    return segment.len > 0 && segment.data[0] == '{';
}

static bool fits(const struct row *row, struct bytes path, unsigned slashes)
{
    if (row->slashes != slashes || path.len < row->literal ||
        memcmp(path.data, row->pattern.data, row->literal) != 0)
        return false;
    struct bytes pattern = bytes_skip(row->pattern, row->literal);
    if (pattern.len == 0)
        return path.len == row->literal;
    path = bytes_skip(path, row->literal);
    for (unsigned left = count_slashes(pattern) + 1; left > 0; left--) {
        struct bytes wanted = next_segment(&pattern), given = next_segment(&path);
        if (is_placeholder(wanted) ? given.len == 0 : !bytes_equal(wanted, given))
            return false;
    }
    return true;
}

static bool captures_are_good(const struct row *row, struct bytes path)
{
    return row->literal == row->pattern.len || percent_is_good(bytes_skip(path, row->literal));
}

/* What acts is not done for its head. */
static bool has_head(const struct route *route)
{
    return strcmp(route->method, "GET") == 0 && !(route->flags & ROUTE_ACTS);
}

static bool serves(const struct route *route, struct bytes method)
{
    return bytes_equal(bytes_of(route->method), method) ||
           (has_head(route) && bytes_equal(method, BYTES("HEAD")));
}

enum route_verdict router_find(const struct router *router, struct bytes method, struct bytes path,
                               const struct route **out_route, struct bytes *out_allow)
{
    const struct row *known = NULL;
    unsigned slashes = count_slashes(path);
    for (size_t i = 0; i < router->count; i++) {
        const struct row *row = &router->rows[i];
        if (!fits(row, path, slashes))
            continue;
        if (serves(&router->routes[i], method)) {
            *out_route = &router->routes[i];
            return captures_are_good(row, path) ? ROUTE_FOUND : ROUTE_BAD_ENCODING;
        }
        known = known ? known : row;
    }
    if (!known)
        return ROUTE_UNKNOWN_PATH;
    *out_allow = known->allow;
    return bytes_equal(method, BYTES("OPTIONS")) ? ROUTE_OPTIONS : ROUTE_UNKNOWN_METHOD;
}

struct bytes route_param(const struct route *route, struct bytes path, unsigned index,
                         struct arena *arena)
{
    struct bytes pattern = bytes_of(route->pattern);
    while (pattern.len > 0) {
        struct bytes wanted = next_segment(&pattern), given = next_segment(&path);
        if (is_placeholder(wanted) && index-- == 0)
            return percent_decode(given, arena);
    }
    abort();
}

static size_t literal_length(struct bytes pattern)
{
    const char *brace = memchr(pattern.data, '{', pattern.len);
    if (pattern.data[0] != '/' || (brace && brace[-1] != '/'))
        abort();
    return brace ? (size_t)(brace - pattern.data) : pattern.len;
}

static void add_method(struct buffer *allow, const char *method)
{
    if (allow->len > 0)
        buffer_add(allow, BYTES(", "));
    buffer_add_string(allow, method);
}

/* "GET, HEAD, OPTIONS" for all rows that share the pattern of `like`. Owned. */
static struct bytes allow_header(const struct route *routes, size_t count, const char *like)
{
    struct buffer allow = {0};
    bool has_options = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].pattern, like) != 0)
            continue;
        add_method(&allow, routes[i].method);
        if (has_head(&routes[i]))
            add_method(&allow, "HEAD");
        has_options |= strcmp(routes[i].method, "OPTIONS") == 0;
    }
    if (!has_options)
        add_method(&allow, "OPTIONS");
    return buffer_bytes(&allow);
}

struct router *router_new(const struct route *routes, size_t count)
{
    struct router *router = mem_zalloc(sizeof(*router) + count * sizeof(router->rows[0]));
    router->routes = routes;
    router->count = count;
    for (size_t i = 0; i < count; i++) {
        struct bytes pattern = bytes_of(routes[i].pattern);
        router->rows[i] = (struct row){
            .pattern = pattern,
            .literal = literal_length(pattern),
            .slashes = count_slashes(pattern),
            .allow = allow_header(routes, count, routes[i].pattern),
        };
    }
    return router;
}

void router_free(struct router **router)
{
    if (!*router)
        return;
    for (size_t i = 0; i < (*router)->count; i++)
        free((void *)(uintptr_t)(*router)->rows[i].allow.data);
    free(*router);
    *router = NULL;
}

size_t router_count(const struct router *router)
{
    return router->count;
}

size_t router_index(const struct router *router, const struct route *route)
{
    return route ? (size_t)(route - router->routes) : router->count;
}

const struct route *router_route(const struct router *router, size_t index)
{
    return index < router->count ? &router->routes[index] : NULL;
}
