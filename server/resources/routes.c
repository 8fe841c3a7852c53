#include "server/resources/routes.h"

#include "base/clock.h"
#include "server/calls/deferral.h"
#include "server/calls/ledger.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"
#include "server/resources/stream.h"

/* DOCUMENT_BODY is enough for a small document of settings. */
enum { DOCUMENT_BODY = 65536, SESSION_BODY = SESSION_METADATA_MAX + 4096, TOOLS_BODY = 1 << 20 };

const struct route routes[] = {
    {"POST", "/execute", execute_post, 0, ROUTE_NO_QUERY},
    {"POST", "/stream", stream_post, 0, ROUTE_NO_QUERY},
    {"GET", "/stream", stream_get, ROUTE_NO_BODY, ROUTE_ACTS},
    {"POST", "/sessions", sessions_post, SESSION_BODY, ROUTE_NO_QUERY},
    {"GET", "/sessions", sessions_list, ROUTE_NO_BODY, 0},
    {"GET", "/sessions/{id}", sessions_get, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"PATCH", "/sessions/{id}", sessions_patch, SESSION_BODY, ROUTE_NO_QUERY},
    {"DELETE", "/sessions/{id}", sessions_delete, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/sessions/{id}/variables", variables_get_all, ROUTE_NO_BODY, 0},
    {"PATCH", "/sessions/{id}/variables", variables_patch, 0, ROUTE_NO_QUERY},
    {"GET", "/sessions/{id}/variables/{name}", variables_get, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"PUT", "/sessions/{id}/variables/{name}", variables_put, 0, ROUTE_NO_QUERY},
    {"DELETE", "/sessions/{id}/variables/{name}", variables_delete, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/tools", tools_list, ROUTE_NO_BODY, 0},
    {"POST", "/tools", registration_post, TOOLS_BODY, ROUTE_NO_QUERY},
    {"DELETE", "/tools/{name}", registration_delete, ROUTE_NO_BODY, 0},
    {"GET", "/tools/{name}", tools_get, ROUTE_NO_BODY, 0},
    {"POST", "/tools/{name}", tools_post, 0, 0},
    {"GET", "/pools", pools_list, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/pools/{name}", pools_get, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"PATCH", "/pools/{name}", pools_patch, DOCUMENT_BODY, ROUTE_NO_QUERY},
    {"POST", "/pools/{name}/reload", pools_reload, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/pools/{name}/poison", pools_poison, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"DELETE", "/pools/{name}/poison", pools_forgive, ROUTE_NO_BODY, 0},
    {"GET", "/workers", workers_list, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/workers/{id}", workers_get, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"POST", "/workers/{id}/recycle", workers_recycle, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/calls", calls_list, ROUTE_NO_BODY, 0},
    {"GET", "/calls/{id}", calls_get, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"DELETE", "/calls/{id}", calls_cancel, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/calls/{id}/events", stream_events, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"POST", "/calls/{id}/tool_results/{n}", tool_results_post, 0, ROUTE_NO_QUERY},
    {"GET", "/calls/{id}/result", calls_result, ROUTE_NO_BODY, ROUTE_NO_QUERY},
    {"GET", "/livez", probes_live, ROUTE_NO_BODY, 0},
    {"GET", "/readyz", probes_ready, ROUTE_NO_BODY, 0},
    {"GET", "/startupz", probes_startup, ROUTE_NO_BODY, 0},
    {"GET", "/healthz", probes_ready, ROUTE_NO_BODY, 0},
    {"GET", "/metrics", scrape_get, ROUTE_NO_BODY, 0},
    {"GET", "/openapi.json", description_get, ROUTE_NO_BODY, 0},
    {"GET", "/docs", description_page, ROUTE_NO_BODY, 0},
};
const size_t route_count = sizeof routes / sizeof routes[0];

static void on_turn_end(struct reactor *reactor)
{
    const struct gateway *gateway = reactor_context(reactor);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_flush(gateway->pools[i]);
}

static void on_second(struct reactor *reactor)
{
    uint64_t now_us = clock_now_us();
    struct gateway *gateway = reactor_context(reactor);
    stream_sweep(gateway_streams_of(gateway, reactor), now_us);
    deferral_sweep(gateway_deferrals_of(gateway, reactor), now_us);
    if (reactor == gateway->reactors[0])
        ledger_sweep(gateway->ledger, now_us);
    session_sweep(gateway->sessions);
}

const struct reactor_hooks route_hooks = {.on_turn_end = on_turn_end, .on_second = on_second};
