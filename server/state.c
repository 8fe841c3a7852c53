/* GET /pools, GET /workers */
#include "server/document.h"
#include "server/gateway.h"
#include "server/handlers.h"

static void add_pool(struct buffer *text, struct pool *pool)
{
    struct pool_view view;
    pool_look(pool, &view);
    buffer_printf(text, "{\"name\":\"%s\",\"state\":\"%s\",\"size\":%u,\"workers\":{",
                  pool_name(pool), pool_state_name(view.state), view.workers_wanted);
    for (unsigned state = 0; state < WORKER_STATES; state++)
        buffer_printf(text, "%s\"%s\":%u", state ? "," : "", worker_state_name(state),
                      view.workers[state]);
    buffer_printf(text, "},\"queue\":{\"depth\":%u,\"limit\":%u},\"inflight\":%u", view.queue_depth,
                  view.queue_limit, view.inflight);
    if (view.reason[0]) {
        buffer_add_string(text, ",\"reason\":");
        buffer_add_json_string(text, bytes_of(view.reason));
    }
    buffer_add_string(text, "}");
}

void state_pools(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct buffer text = {0};
    buffer_add_string(&text, "{\"pools\":[");
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        buffer_add_string(&text, i ? "," : "");
        add_pool(&text, gateway->pools[i]);
    }
    buffer_add_string(&text, "]}");
    document_respond(exchange, "application/json", &text);
}

static void add_worker(struct buffer *text, const char *pool, const struct worker_view *view)
{
    buffer_printf(
        text,
        "{\"id\":\"%s\",\"pool\":\"%s\",\"state\":\"%s\",\"pid\":%d,\"slots\":%u,\"inflight\":%u,"
        "\"calls_done\":%llu,\"age_ms\":%llu,\"startup_ms\":%llu}",
        view->id, pool, worker_state_name(view->state), view->pid, view->slots, view->inflight,
        (unsigned long long)view->calls_done, (unsigned long long)view->age_us / 1000,
        (unsigned long long)view->startup_us / 1000);
}

void state_workers(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct buffer text = {0};
    bool first = true;
    buffer_add_string(&text, "{\"workers\":[");
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct worker_view views[POOL_MAX_SEATS];
        unsigned count = pool_look_at_workers(gateway->pools[i], views, POOL_MAX_SEATS);
        for (unsigned j = 0; j < count; j++) {
            buffer_add_string(&text, first ? "" : ",");
            add_worker(&text, pool_name(gateway->pools[i]), &views[j]);
            first = false;
        }
    }
    buffer_add_string(&text, "]}");
    document_respond(exchange, "application/json", &text);
}
