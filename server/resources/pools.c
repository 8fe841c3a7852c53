/* /pools: how the pools stand, how many workers they may have, reloading, requests that kill. */
#include "base/clock.h"
#include "server/calls/outcome.h"
#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/members.h"
#include "server/resources/handlers.h"

#include <stdio.h>
#include <time.h>

#define MS(us) ((unsigned long long)(us) / 1000)
#define COUNT(number) ((unsigned long long)(number))

/* --- showing --- */

static void add_workers(struct buffer *text, const struct pool_view *view)
{
    buffer_add_string(text, ",\"workers\":{");
    for (unsigned state = WORKER_STARTING; state < WORKER_STATES; state++)
        buffer_printf(text, "%s\"%s\":%u", state > WORKER_STARTING ? "," : "",
                      worker_state_name(state), view->workers[state]);
    buffer_printf(text, ",\"stalled\":%u}", view->stalled);
}

static void add_counters(struct buffer *text, const struct pool_view *view)
{
    buffer_add_string(text, ",\"counters\":{\"ends\":{");
    for (unsigned end = 0; end < CALL_ENDS; end++)
        buffer_printf(text, "%s\"%s\":%llu", end ? "," : "", outcome_end_name(end),
                      COUNT(view->ends[end]));
    buffer_printf(text,
                  "},\"starts\":%llu,\"crashes\":%llu,\"recycled\":%llu,\"recovered\":%llu,"
                  "\"requeued\":%llu,\"recalled\":%llu,\"retries\":%llu,\"late_answers\":%llu}",
                  COUNT(view->starts), COUNT(view->crashes), COUNT(view->recycled),
                  COUNT(view->recovered), COUNT(view->requeued), COUNT(view->recalled),
                  COUNT(view->retries), COUNT(view->late_answers));
}

static void add_reload(struct buffer *text, const char *name, const struct reload_view *view)
{
    static const char *const names[] = {
        [RELOAD_NONE] = "none", [RELOAD_LOADING] = "loading", [RELOAD_REPLACING] = "replacing",
        [RELOAD_DONE] = "done", [RELOAD_FAILED] = "failed",
    };
    struct tm utc;
    char at[sizeof "-2147483648-00-00T00:00:00Z"];
    buffer_printf(text, ",\"%s\":{\"state\":\"%s\",\"pending\":%s", name, names[view->state],
                  view->pending ? "true" : "false");
    if (view->at_s) {
        (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&(time_t){view->at_s}, &utc));
        buffer_printf(text, ",\"at\":\"%s\"", at);
    }
    if (view->error[0]) {
        buffer_add_string(text, ",\"last_error\":");
        buffer_add_json_string(text, bytes_of(view->error));
    }
    buffer_add_string(text, "}");
}

static void add_reloads(struct buffer *text, struct bridge *bridge)
{
    struct reload_view view;
    bridge_look_at_reload(bridge, &view);
    add_reload(text, "reload", &view);
    bridge_look_at_refork(bridge, &view);
    add_reload(text, "refork", &view);
}

static void add_pool(struct buffer *text, const struct gateway *gateway, struct pool *pool)
{
    struct pool_view view;
    pool_look(pool, &view);
    buffer_printf(text,
                  "{\"name\":\"%s\",\"state\":\"%s\",\"min\":%u,\"max\":%u,\"spare\":%u,"
                  "\"wanted\":%u",
                  pool_name(pool), pool_state_name(view.state), view.min_workers, view.max_workers,
                  view.spare, view.workers_wanted);
    if (view.reason[0]) {
        buffer_add_string(text, ",\"reason\":");
        buffer_add_json_string(text, bytes_of(view.reason));
    }
    add_workers(text, &view);
    buffer_printf(text,
                  ",\"queue\":{\"depth\":%u,\"retrying\":%u,\"pinned\":%u,\"limit\":%u,\"oldest_"
                  "ms\":%llu,\"wait_"
                  "ms\":%llu},"
                  "\"inflight\":%u,\"breaker\":{\"state\":\"%s\",\"opened\":%llu},\"poisoned\":%u,"
                  "\"poison_after\":%u,\"poison_ttl_ms\":%llu",
                  view.queue_depth, view.retrying, view.pinned, view.queue_limit,
                  MS(view.queue_oldest_us), MS(view.queue_wait_us), view.inflight,
                  breaker_state_name(view.breaker), COUNT(view.breaker_opened), view.poisoned,
                  view.poison_after, MS(view.poison_ttl_us));
    add_reloads(text, gateway_bridge_of(gateway, pool));
    add_counters(text, &view);
    buffer_add_string(text, "}");
}

void pools_list(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct buffer text = {0};
    buffer_add_string(&text, "{\"pools\":[");
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        buffer_add_string(&text, i ? "," : "");
        add_pool(&text, gateway, gateway->pools[i]);
    }
    buffer_add_string(&text, "]}");
    document_respond_json(exchange, 200, &text);
}

/* The pool that the path names, or NULL when the exchange has been answered. */
static struct pool *resolve(struct exchange *exchange)
{
    struct bytes name = route_param(exchange->route, exchange->path, 0, exchange->arena);
    struct pool *pool = gateway_find_pool(gateway_of(exchange), name);
    if (!pool)
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "pool_not_found",
                                                    .category = "pool",
                                                    .detail = "there is no pool of that name"});
    return pool;
}

static void respond_pool(struct exchange *exchange, unsigned status, struct pool *pool)
{
    struct buffer text = {0};
    add_pool(&text, gateway_of(exchange), pool);
    document_respond_json(exchange, status, &text);
}

void pools_get(struct exchange *exchange)
{
    struct pool *pool = resolve(exchange);
    if (pool)
        respond_pool(exchange, 200, pool);
}

/* --- changing --- */

struct size_request {
    struct member_number min, max, spare;
};

/* As large as a number can be without being nonsense: what a pool can have is its own business. */
enum { SIZE_MAX_READ = 1000000 };

static const struct member size_rows[] = {
    {{"min", 3}, MEMBER_NUMBER, offsetof(struct size_request, min), SIZE_MAX_READ},
    {{"max", 3}, MEMBER_NUMBER, offsetof(struct size_request, max), SIZE_MAX_READ},
    {{"spare", 5}, MEMBER_NUMBER, offsetof(struct size_request, spare), SIZE_MAX_READ},
};

static bool read_size(struct exchange *exchange, struct size_request *out_size)
{
    uint32_t seen;
    struct member_fault fault;
    if (!document_is_json(exchange))
        return false;
    if (members_read(exchange_payload(exchange), size_rows, sizeof size_rows / sizeof size_rows[0],
                     exchange->arena, out_size, &seen, &fault))
        return true;
    if (fault.out_of_range)
        fault.code = "invalid_arguments";
    members_refuse(exchange, fault.out_of_range ? 422 : 400, &fault);
    return false;
}

static unsigned or_keep(struct member_number number)
{
    return number.given ? number.value : POOL_KEEP;
}

/* `why` begins with the name of the member; if that is not what the caller sent, "max" is. */
static void refuse_size(struct exchange *exchange, const struct size_request *size, const char *why)
{
    const char *name = "max";
    struct member_fault fault;
    if (size->min.given && bytes_starts_with(bytes_of(why), BYTES("min")))
        name = "min";
    if (size->spare.given && bytes_starts_with(bytes_of(why), BYTES("spare")))
        name = "spare";
    members_fault(&fault, exchange->arena, bytes_of(name), why);
    fault.code = "invalid_arguments";
    members_refuse(exchange, 422, &fault);
}

void pools_patch(struct exchange *exchange)
{
    struct size_request size = {0};
    struct pool *pool = resolve(exchange);
    if (!pool || !read_size(exchange, &size))
        return;
    const char *why = pool_resize(pool, or_keep(size.min), or_keep(size.max), or_keep(size.spare));
    if (why)
        refuse_size(exchange, &size, why);
    else
        respond_pool(exchange, 200, pool);
}

/* It goes on after the answer; `reload` of the pool says how. */
void pools_reload(struct exchange *exchange)
{
    struct pool *pool = resolve(exchange);
    if (!pool)
        return;
    bridge_reload(gateway_bridge_of(gateway_of(exchange), pool));
    respond_pool(exchange, 202, pool);
}

/* --- requests that kill --- */

static void add_poison(struct buffer *text, const struct poison_entry *entry, uint64_t now_us)
{
    buffer_printf(text, "{\"fingerprint\":\"%016llx\",\"tool\":", COUNT(entry->fingerprint));
    buffer_add_json_string(text, entry->tool->spec.name);
    buffer_printf(text, ",\"kills\":%u,\"seconds_ago\":%llu}", entry->kills,
                  now_us > entry->last_us ? MS(now_us - entry->last_us) / 1000 : 0);
}

void pools_poison(struct exchange *exchange)
{
    struct poison_entry entries[POISON_MAX];
    struct pool *pool = resolve(exchange);
    struct buffer text = {0};
    if (!pool)
        return;
    unsigned count = pool_look_at_poison(pool, entries, POISON_MAX);
    uint64_t now_us = clock_now_us();
    buffer_add_string(&text, "{\"poison\":[");
    for (unsigned i = 0; i < count; i++) {
        buffer_add_string(&text, i ? "," : "");
        add_poison(&text, &entries[i], now_us);
    }
    buffer_add_string(&text, "]}");
    document_respond_json(exchange, 200, &text);
}

/* "fingerprint=" and one to sixteen hexadecimal digits, not 0; or nothing, for all. What is
 * misspelt must not clear everything. */
static bool read_fingerprint(struct bytes query, uint64_t *out_fingerprint)
{
    struct bytes name = BYTES("fingerprint=");
    *out_fingerprint = 0;
    if (query.len == 0)
        return true;
    if (!bytes_starts_with(query, name) || query.len > name.len + 16)
        return false;
    query = bytes_skip(query, name.len);
    for (size_t i = 0; i < query.len; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = memchr(digits, query.data[i] | 0x20, 16);
        if (!digit || query.data[i] < '0')
            return false;
        *out_fingerprint = *out_fingerprint << 4 | (uint64_t)(digit - digits);
    }
    return *out_fingerprint != 0;
}

void pools_forgive(struct exchange *exchange)
{
    uint64_t fingerprint;
    struct pool *pool = resolve(exchange);
    struct buffer text = {0};
    if (!pool)
        return;
    if (!read_fingerprint(exchange->query, &fingerprint)) {
        problem_respond(exchange,
                        &(struct problem){.status = 400,
                                          .code = "invalid_request",
                                          .detail = "the query must be fingerprint= and the "
                                                    "hexadecimal number as it is listed, or "
                                                    "nothing to clear all"});
        return;
    }
    buffer_printf(&text, "{\"cleared\":%u}", pool_forgive(pool, fingerprint));
    document_respond_json(exchange, 200, &text);
}
