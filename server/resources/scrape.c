/* GET /metrics */
#include "base/metrics.h"
#include "server/calls/outcome.h"
#include "server/http/document.h"
#include "server/http/media.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"
#include "server/telemetry/tally.h"
#include "server/telemetry/telemetry.h"
#include "server/tool_calls/switchboard.h"
#include "server/tools/callbacks.h"

#include <stdio.h>

#ifndef SNAKEPIT_VERSION
#define SNAKEPIT_VERSION "unknown"
#endif

static const struct router *router_of(const struct gateway *gateway)
{
    return reactor_router(gateway->reactors[0]);
}

/* The route of that number, or what stands for requests that found none. */
static const struct route *route_of(const struct gateway *gateway, size_t index)
{
    static const struct route unknown = {.method = "unknown", .pattern = "unknown"};
    const struct route *route = router_route(router_of(gateway), index);
    return route ? route : &unknown;
}

static uint64_t load(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- what the reactors counted --- */

static void add_requests(struct metrics_writer *writer, const struct gateway *gateway)
{
    metrics_family(writer, "snakepit_http_requests", METRICS_COUNTER,
                   "HTTP requests that have ended.");
    for (size_t route = 0; route <= router_count(router_of(gateway)); route++) {
        for (unsigned status = 0; status < HTTP_STATUS_END - HTTP_STATUS_FIRST; status++) {
            uint64_t sum = 0;
            for (unsigned i = 0; i < gateway->reactor_count; i++)
                sum += load(&reactor_stats(gateway->reactors[i])->routes[route].by_status[status]);
            if (sum == 0)
                continue;
            char code[8];
            snprintf(code, sizeof code, "%u", status + HTTP_STATUS_FIRST);
            metrics_sample(writer,
                           METRICS_LABELS({"method", route_of(gateway, route)->method},
                                          {"route", route_of(gateway, route)->pattern},
                                          {"code", code}),
                           (double)sum);
        }
    }
}

static void sum_durations(const struct gateway *gateway, size_t route,
                          struct histogram *out_histogram)
{
    histogram_init(out_histogram, http_bucket_bounds, HTTP_BUCKETS);
    for (unsigned i = 0; i < gateway->reactor_count; i++) {
        struct http_route_stats *stats = &reactor_stats(gateway->reactors[i])->routes[route];
        for (unsigned bucket = 0; bucket <= HTTP_BUCKETS; bucket++)
            out_histogram->counts[bucket] += load(&stats->buckets[bucket]);
        out_histogram->sum += (double)load(&stats->duration_us) / 1e6;
    }
}

static void add_durations(struct metrics_writer *writer, const struct gateway *gateway)
{
    metrics_family(writer, "snakepit_http_request_duration_seconds", METRICS_HISTOGRAM,
                   "From the request's head to the end of the answer.");
    for (size_t route = 0; route <= router_count(router_of(gateway)); route++) {
        struct histogram histogram;
        sum_durations(gateway, route, &histogram);
        if (histogram_total(&histogram))
            metrics_histogram(writer,
                              METRICS_LABELS({"method", route_of(gateway, route)->method},
                                             {"route", route_of(gateway, route)->pattern}),
                              &histogram);
    }
}

static void add_protocol_gauge(struct metrics_writer *writer, const struct gateway *gateway,
                               const char *name, const char *help, size_t offset)
{
    static const char *const protocols[] = {[HTTP_1] = "1.1", [HTTP_2] = "2"};
    metrics_family(writer, name, METRICS_GAUGE, help);
    for (unsigned protocol = 0; protocol < HTTP_PROTOCOLS; protocol++) {
        int64_t sum = 0;
        for (unsigned i = 0; i < gateway->reactor_count; i++) {
            void *gauges = (char *)reactor_stats(gateway->reactors[i]) + offset;
            sum += atomic_load_explicit((_Atomic int64_t *)gauges + protocol, memory_order_relaxed);
        }
        metrics_sample(writer, METRICS_LABELS({"protocol", protocols[protocol]}), (double)sum);
    }
}

static void add_connections(struct metrics_writer *writer, const struct gateway *gateway)
{
    uint64_t accepted = 0, refused = 0;
    for (unsigned i = 0; i < gateway->reactor_count; i++) {
        accepted += load(&reactor_stats(gateway->reactors[i])->accepted);
        refused += load(&reactor_stats(gateway->reactors[i])->refused);
    }
    add_protocol_gauge(writer, gateway, "snakepit_http_connections", "Open connections.",
                       offsetof(struct http_stats, connections));
    add_protocol_gauge(writer, gateway, "snakepit_http_requests_in_flight",
                       "Requests being handled.", offsetof(struct http_stats, exchanges));
    metrics_family(writer, "snakepit_http_connections_accepted", METRICS_COUNTER,
                   "Connections accepted.");
    metrics_sample(writer, NULL, (double)accepted);
    metrics_family(writer, "snakepit_http_connections_refused", METRICS_COUNTER,
                   "Connections above the limit.");
    metrics_sample(writer, NULL, (double)refused);
}

/* --- what the pools counted --- */

struct pools {
    unsigned count;
    const char *names[GATEWAY_MAX_POOLS];
    struct pool_view views[GATEWAY_MAX_POOLS];
};

static void add_ends(struct metrics_writer *writer, const struct pools *pools)
{
    metrics_family(writer, "snakepit_calls", METRICS_COUNTER, "Calls that have ended.");
    for (unsigned i = 0; i < pools->count; i++) {
        for (unsigned end = 0; end < CALL_ENDS; end++)
            metrics_sample(
                writer, METRICS_LABELS({"pool", pools->names[i]}, {"end", outcome_end_name(end)}),
                (double)pools->views[i].ends[end]);
    }
}

static void add_workers(struct metrics_writer *writer, const struct pools *pools)
{
    metrics_family(writer, "snakepit_workers", METRICS_GAUGE, "Workers by state.");
    for (unsigned i = 0; i < pools->count; i++) {
        for (unsigned state = WORKER_STARTING; state < WORKER_STATES; state++)
            metrics_sample(
                writer,
                METRICS_LABELS({"pool", pools->names[i]}, {"state", worker_state_name(state)}),
                pools->views[i].workers[state]);
    }
}

static void add_breakers(struct metrics_writer *writer, const struct pools *pools)
{
    metrics_family(writer, "snakepit_breaker_state", METRICS_GAUGE,
                   "Circuit breaker of the pool: 1 for the state it is in.");
    for (unsigned i = 0; i < pools->count; i++) {
        for (unsigned state = BREAKER_CLOSED; state <= BREAKER_HALF_OPEN; state++)
            metrics_sample(
                writer,
                METRICS_LABELS({"pool", pools->names[i]}, {"state", breaker_state_name(state)}),
                pools->views[i].breaker == state);
    }
}

struct pool_number {
    const char *name;
    const char *help;
    enum metrics_type type;
    double (*read)(const struct pool_view *view);
};

static double read_queue_depth(const struct pool_view *view)
{
    return view->queue_depth;
}

static double read_inflight(const struct pool_view *view)
{
    return view->inflight;
}

static double read_starts(const struct pool_view *view)
{
    return (double)view->starts;
}

static double read_crashes(const struct pool_view *view)
{
    return (double)view->crashes;
}

static double read_recovered(const struct pool_view *view)
{
    return (double)view->recovered;
}

static double read_requeued(const struct pool_view *view)
{
    return (double)view->requeued;
}

static double read_recalled(const struct pool_view *view)
{
    return (double)view->recalled;
}

static double read_late(const struct pool_view *view)
{
    return (double)view->late_answers;
}

static double read_retries(const struct pool_view *view)
{
    return (double)view->retries;
}

static double read_recycled(const struct pool_view *view)
{
    return (double)view->recycled;
}

static double read_opened(const struct pool_view *view)
{
    return (double)view->breaker_opened;
}

static double read_wanted(const struct pool_view *view)
{
    return view->workers_wanted;
}

static double read_poisoned(const struct pool_view *view)
{
    return view->poisoned;
}

static double read_oldest(const struct pool_view *view)
{
    return (double)view->queue_oldest_us / 1e6;
}

static double read_wait(const struct pool_view *view)
{
    return (double)view->queue_wait_us / 1e6;
}

static double read_limit(const struct pool_view *view)
{
    return view->queue_limit;
}

static const struct pool_number pool_numbers[] = {
    {"snakepit_queue_depth", "Calls waiting for a worker.", METRICS_GAUGE, read_queue_depth},
    {"snakepit_calls_in_flight", "Calls that workers have.", METRICS_GAUGE, read_inflight},
    {"snakepit_worker_starts", "Worker processes asked for.", METRICS_COUNTER, read_starts},
    {"snakepit_worker_crashes", "Workers that left without being told.", METRICS_COUNTER,
     read_crashes},
    {"snakepit_answers_recovered", "Answers that dead workers left behind.", METRICS_COUNTER,
     read_recovered},
    {"snakepit_calls_requeued", "Calls taken back from dead workers.", METRICS_COUNTER,
     read_requeued},
    {"snakepit_calls_recalled", "Calls taken back from workers to which they had been sent ahead.",
     METRICS_COUNTER, read_recalled},
    {"snakepit_late_answers", "Answers that came too late for their calls.", METRICS_COUNTER,
     read_late},
    {"snakepit_calls_retried", "Calls run again after their worker died.", METRICS_COUNTER,
     read_retries},
    {"snakepit_workers_recycled", "Workers replaced or dismissed on purpose.", METRICS_COUNTER,
     read_recycled},
    {"snakepit_workers_wanted", "Workers that the pool keeps at the moment.", METRICS_GAUGE,
     read_wanted},
    {"snakepit_breaker_opened", "Times that the circuit breaker has opened.", METRICS_COUNTER,
     read_opened},
    {"snakepit_poisoned_requests", "Requests refused because they have killed workers.",
     METRICS_GAUGE, read_poisoned},
    {"snakepit_queue_limit", "Calls that may wait for a worker.", METRICS_GAUGE, read_limit},
    {"snakepit_queue_oldest_seconds", "How long the oldest of those that wait has waited.",
     METRICS_GAUGE, read_oldest},
    {"snakepit_queue_wait_seconds", "Moving average of the wait, alpha 0.2.", METRICS_GAUGE,
     read_wait},
};

static void add_pool_numbers(struct metrics_writer *writer, const struct pools *pools)
{
    for (unsigned n = 0; n < sizeof pool_numbers / sizeof pool_numbers[0]; n++) {
        metrics_family(writer, pool_numbers[n].name, pool_numbers[n].type, pool_numbers[n].help);
        for (unsigned i = 0; i < pools->count; i++)
            metrics_sample(writer, METRICS_LABELS({"pool", pools->names[i]}),
                           pool_numbers[n].read(&pools->views[i]));
    }
}

static void add_pool_times(struct metrics_writer *writer, const struct pools *pools)
{
    metrics_family(writer, "snakepit_queue_seconds", METRICS_HISTOGRAM,
                   "Time calls waited for a worker.");
    for (unsigned i = 0; i < pools->count; i++)
        metrics_histogram(writer, METRICS_LABELS({"pool", pools->names[i]}),
                          &pools->views[i].queue_seconds);
    metrics_family(writer, "snakepit_run_seconds", METRICS_HISTOGRAM, "Time tools ran.");
    for (unsigned i = 0; i < pools->count; i++)
        metrics_histogram(writer, METRICS_LABELS({"pool", pools->names[i]}),
                          &pools->views[i].run_seconds);
}

static void add_number(struct metrics_writer *writer, const char *name, enum metrics_type type,
                       const char *help, double value)
{
    metrics_family(writer, name, type, help);
    metrics_sample(writer, NULL, value);
}

static void add_sessions(struct metrics_writer *writer, const struct gateway *gateway)
{
    struct session_counts counts;
    session_count(gateway->sessions, &counts);
    add_number(writer, "snakepit_sessions", METRICS_GAUGE, "Sessions there are.", counts.current);
    add_number(writer, "snakepit_session_limit", METRICS_GAUGE, "Sessions there may be.",
               counts.limit);
    add_number(writer, "snakepit_session_memory_bytes", METRICS_GAUGE, "What sessions keep.",
               (double)counts.memory);
    add_number(writer, "snakepit_sessions_created", METRICS_COUNTER, "Sessions begun.",
               (double)counts.created);
    add_number(writer, "snakepit_sessions_deleted", METRICS_COUNTER, "Sessions ended by request.",
               (double)counts.deleted);
    add_number(writer, "snakepit_sessions_expired", METRICS_COUNTER,
               "Sessions ended since nobody used them.", (double)counts.expired);
    add_number(writer, "snakepit_sessions_refused", METRICS_COUNTER,
               "Sessions that could not begin, or grow, for the limits.", (double)counts.refused);
}

static void add_tool_calls(struct metrics_writer *writer, const struct gateway *gateway)
{
    static const char *const names[SWITCHBOARD_ENDS] = {
        [SWITCHBOARD_RESULT] = "result",
        [SWITCHBOARD_FAILURE] = "failure",
        [SWITCHBOARD_REFUSED] = "refused",
    };
    metrics_family(writer, "snakepit_tool_calls", METRICS_COUNTER,
                   "Calls of tools by tools, by how they ended.");
    for (unsigned i = 0; i < SWITCHBOARD_ENDS; i++)
        metrics_sample(writer, METRICS_LABELS({"end", names[i]}),
                       (double)switchboard_count(gateway->switchboard, i));
}

static void add_callbacks(struct metrics_writer *writer, const struct gateway *gateway)
{
    static const char *const askers[CALLBACK_ASKERS] = {
        [CALLBACK_OF_CLIENT] = "client", [CALLBACK_OF_TOOL] = "tool"};
    static const char *const ends[CALLBACK_ENDS] = {
        [CALLBACK_RESULT] = "result",           [CALLBACK_FAILURE] = "failure",
        [CALLBACK_UNREACHABLE] = "unreachable", [CALLBACK_TIMEOUT] = "timeout",
        [CALLBACK_CANCELLED] = "cancelled",
    };
    metrics_family(writer, "snakepit_callbacks", METRICS_COUNTER,
                   "Runs of registered tools, by who asked and how they ended.");
    for (unsigned asker = 0; asker < CALLBACK_ASKERS; asker++) {
        for (unsigned end = 0; end < CALLBACK_ENDS; end++)
            metrics_sample(writer, METRICS_LABELS({"asker", askers[asker]}, {"end", ends[end]}),
                           (double)callbacks_count(gateway->callbacks, asker, end));
    }
    add_number(writer, "snakepit_callbacks_in_flight", METRICS_GAUGE,
               "Runs of registered tools that clients wait for.",
               callbacks_running(gateway->callbacks));
}

void scrape_get(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    bool open = media_prefers(exchange_header(exchange, "accept"), "application/openmetrics-text",
                              "text/plain");
    struct buffer text = {0};
    struct metrics_writer writer = {.out = &text,
                                    .format = open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS};
    struct pools pools = {.count = gateway->pool_count};
    for (unsigned i = 0; i < pools.count; i++) {
        pools.names[i] = pool_name(gateway->pools[i]);
        pool_look(gateway->pools[i], &pools.views[i]);
    }
    metrics_family(&writer, "snakepit_build_info", METRICS_GAUGE, "The version that runs.");
    metrics_sample(&writer, METRICS_LABELS({"version", SNAKEPIT_VERSION}), 1);
    add_requests(&writer, gateway);
    add_durations(&writer, gateway);
    add_connections(&writer, gateway);
    add_ends(&writer, &pools);
    add_workers(&writer, &pools);
    add_breakers(&writer, &pools);
    add_pool_numbers(&writer, &pools);
    add_pool_times(&writer, &pools);
    add_sessions(&writer, gateway);
    add_tool_calls(&writer, gateway);
    add_callbacks(&writer, gateway);
    tally_write(telemetry_tally(gateway->telemetry), &writer);
    metrics_end(&writer);
    document_respond(exchange,
                     open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                          : "text/plain; version=0.0.4; charset=utf-8",
                     &text);
}
