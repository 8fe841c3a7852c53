/* /livez, /readyz (also /healthz), /startupz: plain "ok", or a problem that says why not. With
 * ?verbose, what was looked at. */
#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"

static bool is_verbose(const struct exchange *exchange)
{
    struct bytes word = BYTES("verbose"), rest = exchange->query;
    return bytes_starts_with(rest, word) &&
           (rest.len == word.len || rest.data[word.len] == '=' || rest.data[word.len] == '&');
}

/* Adds a line for each pool; returns how many pass. */
static unsigned check_pools(const struct gateway *gateway,
                            bool (*passes)(const struct pool_view *view), struct buffer *lines)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct pool_view view;
        pool_look(gateway->pools[i], &view);
        bool good = passes(&view);
        passed += good;
        buffer_printf(lines,
                      "[%c] pool %s: %s, %u of %u workers ready, %u of them stalled, circuit "
                      "breaker %s%s%s\n",
                      good ? '+' : '-', pool_name(gateway->pools[i]), pool_state_name(view.state),
                      view.workers[WORKER_READY], view.workers_wanted, view.stalled,
                      breaker_state_name(view.breaker), view.reason[0] ? ": " : "", view.reason);
    }
    return passed;
}

static void respond(struct exchange *exchange, bool good, const char *code, struct buffer *lines)
{
    struct buffer text = {0};
    if (!good) {
        problem_respond(exchange, &(struct problem){
                                      .status = 503,
                                      .code = code,
                                      .category = "pool",
                                      .detail = arena_string(exchange->arena, buffer_bytes(lines)),
                                      .retryable = true,
                                      .retry_after_s = 1});
        buffer_deinit(lines);
        return;
    }
    if (is_verbose(exchange))
        buffer_add(&text, buffer_bytes(lines));
    buffer_add_string(&text, "ok\n");
    buffer_deinit(lines);
    document_respond(exchange, "text/plain; charset=utf-8", &text);
}

/* That this runs is the proof: the loop is alive. Never depends on workers. */
void probes_live(struct exchange *exchange)
{
    struct buffer lines = {0};
    buffer_add_string(&lines, "[+] reactor\n");
    respond(exchange, true, NULL, &lines);
}

/* An open circuit breaker does not count: it closes again only by calls, which would not come any
 * more. A pool that may have no worker starts one for the first call, and one whose workers are all
 * stalled starts another, if it may. */
static bool can_take_calls(const struct pool_view *view)
{
    unsigned ready = view->workers[WORKER_READY];
    bool starts_more = view->state == POOL_RUNNING && ready < view->max_workers &&
                       (view->min_workers == 0 || view->stalled);
    return view->state != POOL_LEAVING && (ready > view->stalled || starts_more);
}

void probes_ready(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct buffer lines = {0};
    bool leaving = atomic_load_explicit(&gateway->leaving, memory_order_relaxed);
    bool good = check_pools(gateway, can_take_calls, &lines) > 0 && !leaving;
    respond(exchange, good, leaving ? "shutting_down" : "pool_not_ready", &lines);
}

static bool has_started(const struct pool_view *view)
{
    return view->state != POOL_STARTING;
}

static bool any_runs(const struct gateway *gateway)
{
    bool runs = false;
    for (unsigned i = 0; i < gateway->pool_count && !runs; i++) {
        struct pool_view view;
        pool_look(gateway->pools[i], &view);
        runs = view.state == POOL_RUNNING;
    }
    return runs;
}

/* A pool that does not come up must not have the gateway restarted under those that serve. */
void probes_startup(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct buffer lines = {0};
    unsigned started = check_pools(gateway, has_started, &lines);
    bool good = started == gateway->pool_count || any_runs(gateway);
    respond(exchange, good, "pool_not_ready", &lines);
}
