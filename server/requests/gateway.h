/* The gateway: what the handlers need to know of the rest. One for the process, made by main.c and
 * constant afterwards but for `leaving`. Handlers find it by gateway_of(). */
#ifndef SNAKEPIT_SERVER_REQUESTS_GATEWAY_H
#define SNAKEPIT_SERVER_REQUESTS_GATEWAY_H

#include "bridge/bridge.h"
#include "pool/pool.h"
#include "pool/session.h"
#include "server/http/exchange.h"
#include "server/http/reactor.h"

#include <stdatomic.h>

struct callback_options;
struct callbacks;
struct ledger;
struct metadata_options;
struct stream_options;
struct switchboard;
struct telemetry;
struct toolbox;

enum { GATEWAY_MAX_REACTORS = 64, GATEWAY_MAX_POOLS = 16 };

struct gateway {
    struct registry *registry;
    struct session_store *sessions;
    struct pool *pools[GATEWAY_MAX_POOLS];
    struct bridge *bridges[GATEWAY_MAX_POOLS]; /* of the pools, in their order */
    unsigned pool_count;
    struct reactor *reactors[GATEWAY_MAX_REACTORS];
    struct list open_streams[GATEWAY_MAX_REACTORS]; /* each is its reactor's own; so are these: */
    struct list deferrals[GATEWAY_MAX_REACTORS];    /* exchanges that wait for a job */
    unsigned reactor_count;
    struct ledger *ledger;
    struct switchboard *switchboard;
    struct toolbox *toolbox;
    struct telemetry *telemetry;
    struct callbacks *callbacks;
    const struct callback_options *callback_options;
    const struct stream_options *streams;
    const struct metadata_options *metadata;
    unsigned depth_limit; /* of tools that call tools that call tools */
    uint64_t started_us;
    atomic_bool leaving; /* SIGTERM has come */
};

static inline struct gateway *gateway_of(const struct exchange *exchange)
{
    return reactor_context(exchange->reactor);
}

/* The streams of a reactor, and the exchanges that wait for a job there. */
struct list *gateway_streams_of(struct gateway *gateway, const struct reactor *reactor);
struct list *gateway_deferrals_of(struct gateway *gateway, const struct reactor *reactor);

/* The pool of that name, or NULL. */
struct pool *gateway_find_pool(const struct gateway *gateway, struct bytes name);

/* The bridge that runs the workers of that pool, which must be one of the gateway's. */
struct bridge *gateway_bridge_of(const struct gateway *gateway, const struct pool *pool);

#endif
