#include "server/gateway.h"

#include "server/handlers.h"
#include "server/invocation.h"

/* One byte: a body where none is expected is refused rather than read. */
enum { NO_BODY = 1 };

const struct route gateway_routes[] = {
    {"POST", "/execute", execute_post, 0, 0},
    {"GET", "/tools", tools_list, NO_BODY, 0},
    {"GET", "/tools/{name}", tools_get, NO_BODY, 0},
    {"POST", "/tools/{name}", tools_post, 0, 0},
    {"GET", "/pools", state_pools, NO_BODY, 0},
    {"GET", "/workers", state_workers, NO_BODY, 0},
    {"GET", "/livez", probes_live, NO_BODY, 0},
    {"GET", "/readyz", probes_ready, NO_BODY, 0},
    {"GET", "/startupz", probes_startup, NO_BODY, 0},
    {"GET", "/healthz", probes_ready, NO_BODY, 0},
    {"GET", "/metrics", scrape_get, NO_BODY, 0},
    {"GET", "/openapi.json", description_get, NO_BODY, 0},
};
const size_t gateway_route_count = sizeof gateway_routes / sizeof gateway_routes[0];

static void on_mail(struct reactor *reactor, struct mail *mail)
{
    (void)reactor;
    invocation_finish(MAIL_OWNER(mail, struct call, mail));
}

static void on_turn_end(struct reactor *reactor)
{
    const struct gateway *gateway = reactor_context(reactor);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_flush(gateway->pools[i]);
}

const struct reactor_hooks gateway_hooks = {.on_mail = on_mail, .on_turn_end = on_turn_end};
