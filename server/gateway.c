#include "server/gateway.h"

#include "base/clock.h"
#include "server/deferral.h"
#include "server/handlers.h"

/* One byte: a body where none is expected is refused rather than read. And what is enough for a
 * small document of settings. */
enum {
    NO_BODY = 1,
    DOCUMENT_BODY = 65536,
    SESSION_BODY = SESSION_METADATA_MAX + 4096,
    TOOLS_BODY = 1 << 20
};

const struct route gateway_routes[] = {
    {"POST", "/execute", execute_post, 0, 0},
    {"POST", "/stream", stream_post, 0, 0},
    {"GET", "/stream", stream_get, NO_BODY, 0},
    {"POST", "/sessions", sessions_post, SESSION_BODY, 0},
    {"GET", "/sessions", sessions_list, NO_BODY, 0},
    {"GET", "/sessions/{id}", sessions_get, NO_BODY, 0},
    {"PATCH", "/sessions/{id}", sessions_patch, SESSION_BODY, 0},
    {"DELETE", "/sessions/{id}", sessions_delete, NO_BODY, 0},
    {"GET", "/sessions/{id}/variables", variables_get_all, NO_BODY, 0},
    {"PATCH", "/sessions/{id}/variables", variables_patch, 0, 0},
    {"GET", "/sessions/{id}/variables/{name}", variables_get, NO_BODY, 0},
    {"PUT", "/sessions/{id}/variables/{name}", variables_put, 0, 0},
    {"DELETE", "/sessions/{id}/variables/{name}", variables_delete, NO_BODY, 0},
    {"GET", "/tools", tools_list, NO_BODY, 0},
    {"POST", "/tools", registration_post, TOOLS_BODY, 0},
    {"DELETE", "/tools/{name}", registration_delete, NO_BODY, 0},
    {"GET", "/tools/{name}", tools_get, NO_BODY, 0},
    {"POST", "/tools/{name}", tools_post, 0, 0},
    {"GET", "/pools", pools_list, NO_BODY, 0},
    {"GET", "/pools/{name}", pools_get, NO_BODY, 0},
    {"PATCH", "/pools/{name}", pools_patch, DOCUMENT_BODY, 0},
    {"POST", "/pools/{name}/reload", pools_reload, NO_BODY, 0},
    {"GET", "/pools/{name}/poison", pools_poison, NO_BODY, 0},
    {"DELETE", "/pools/{name}/poison", pools_forgive, NO_BODY, 0},
    {"GET", "/workers", workers_list, NO_BODY, 0},
    {"GET", "/workers/{id}", workers_get, NO_BODY, 0},
    {"POST", "/workers/{id}/recycle", workers_recycle, NO_BODY, 0},
    {"GET", "/calls", calls_list, NO_BODY, 0},
    {"GET", "/calls/{id}", calls_get, NO_BODY, 0},
    {"DELETE", "/calls/{id}", calls_cancel, NO_BODY, 0},
    {"GET", "/calls/{id}/events", stream_events, NO_BODY, 0},
    {"POST", "/calls/{id}/tool_results/{n}", tool_results_post, 0, 0},
    {"GET", "/calls/{id}/result", calls_result, NO_BODY, 0},
    {"GET", "/livez", probes_live, NO_BODY, 0},
    {"GET", "/readyz", probes_ready, NO_BODY, 0},
    {"GET", "/startupz", probes_startup, NO_BODY, 0},
    {"GET", "/healthz", probes_ready, NO_BODY, 0},
    {"GET", "/metrics", scrape_get, NO_BODY, 0},
    {"GET", "/openapi.json", description_get, NO_BODY, 0},
    {"GET", "/docs", description_page, NO_BODY, 0},
};
const size_t gateway_route_count = sizeof gateway_routes / sizeof gateway_routes[0];

struct pool *gateway_find_pool(const struct gateway *gateway, struct bytes name)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        if (bytes_equal(bytes_of(pool_name(gateway->pools[i])), name))
            return gateway->pools[i];
    }
    return NULL;
}

struct bridge *gateway_bridge_of(const struct gateway *gateway, const struct pool *pool)
{
    unsigned i = 0;
    while (gateway->pools[i] != pool)
        i++;
    return gateway->bridges[i];
}

static unsigned index_of(const struct gateway *gateway, const struct reactor *reactor)
{
    unsigned i = 0;
    while (gateway->reactors[i] != reactor)
        i++;
    return i;
}

static void on_turn_end(struct reactor *reactor)
{
    const struct gateway *gateway = reactor_context(reactor);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_flush(gateway->pools[i]);
}

struct list *gateway_streams_of(const struct exchange *exchange)
{
    struct gateway *gateway = gateway_of(exchange);
    return &gateway->open_streams[index_of(gateway, exchange->reactor)];
}

struct list *gateway_deferrals_of(const struct exchange *exchange)
{
    struct gateway *gateway = gateway_of(exchange);
    return &gateway->deferrals[index_of(gateway, exchange->reactor)];
}

static void on_second(struct reactor *reactor)
{
    uint64_t now_us = clock_now_us();
    struct gateway *gateway = reactor_context(reactor);
    unsigned index = index_of(gateway, reactor);
    stream_sweep(&gateway->open_streams[index], now_us);
    deferral_sweep(&gateway->deferrals[index], now_us);
    if (reactor == gateway->reactors[0])
        ledger_sweep(gateway->ledger, now_us);
    session_sweep(gateway->sessions);
}

const struct reactor_hooks gateway_hooks = {.on_turn_end = on_turn_end, .on_second = on_second};
