/* /workers: each worker, and replacing one. */
#include "bridge/memory.h"
#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"

static void add_worker(struct buffer *text, const struct pool *pool, const struct worker_view *view)
{
    buffer_printf(text,
                  "{\"id\":\"%s\",\"pool\":\"%s\",\"state\":\"%s\",\"retiring\":%s,\"tainted\":%s,"
                  "\"stalled\":%s,"
                  "\"pid\":%d,\"slots\":%u,\"inflight\":%u,\"calls_done\":%llu,\"resident_bytes\":%"
                  "llu,\"age_ms\":%llu,"
                  "\"startup_ms\":%llu}",
                  view->id, pool_name(pool), worker_state_name(view->state),
                  view->retiring ? "true" : "false", view->tainted ? "true" : "false",
                  view->stalled ? "true" : "false", view->pid, view->slots, view->inflight,
                  (unsigned long long)view->calls_done, (unsigned long long)view->resident,
                  (unsigned long long)view->age_us / 1000,
                  (unsigned long long)view->startup_us / 1000);
}

void workers_list(struct exchange *exchange)
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
            add_worker(&text, gateway->pools[i], &views[j]);
            first = false;
        }
    }
    buffer_add_string(&text, "]}");
    document_respond_json(exchange, 200, &text);
}

static struct bytes id_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 0, exchange->arena);
}

/* Adds the worker of that id, and its memory as measured now; false, and nothing added, when there
 * is none. */
static bool add_worker_named(struct buffer *text, const struct gateway *gateway, struct bytes id)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct worker_view views[POOL_MAX_SEATS];
        unsigned count = pool_look_at_workers(gateway->pools[i], views, POOL_MAX_SEATS);
        for (unsigned j = 0; j < count; j++) {
            if (bytes_equal(bytes_of(views[j].id), id)) {
                add_worker(text, gateway->pools[i], &views[j]);
                text->len--; /* the brace */
                buffer_printf(text, ",\"proportional_bytes\":%llu}",
                              (unsigned long long)memory_proportional(views[j].pid));
                return true;
            }
        }
    }
    return false;
}

static void refuse_unknown(struct exchange *exchange)
{
    problem_respond(exchange, &(struct problem){.status = 404,
                                                .code = "worker_not_found",
                                                .category = "pool",
                                                .detail = "there is no worker of that id"});
}

void workers_get(struct exchange *exchange)
{
    struct buffer text = {0};
    if (add_worker_named(&text, gateway_of(exchange), id_of(exchange)))
        document_respond_json(exchange, 200, &text);
    else
        refuse_unknown(exchange);
}

/* The worker is shown as it was told: it may be gone the moment after. */
void workers_recycle(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes id = id_of(exchange);
    struct buffer text = {0};
    bool found = false;
    for (unsigned i = 0; i < gateway->pool_count && !found; i++)
        found = pool_recycle(gateway->pools[i], id);
    if (!found) {
        refuse_unknown(exchange);
        return;
    }
    buffer_add_string(&text, "{\"recycling\":");
    buffer_add_json_string(&text, id);
    buffer_add_string(&text, "}");
    document_respond_json(exchange, 202, &text);
}
