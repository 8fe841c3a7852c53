/* /sessions: what calls have in common. */
#include "base/json.h"
#include "base/mem.h"
#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/listing.h"
#include "server/requests/members.h"
#include "server/requests/membership.h"
#include "server/resources/handlers.h"

#include <stdlib.h>
#include <time.h>

enum { LISTED = 100, CURSOR_MAX = 20 };

#define MS(us) ((unsigned long long)(us) / 1000)

/* --- showing --- */

static void add_session(struct buffer *text, const struct session_view *view)
{
    struct tm utc;
    char at[sizeof "-2147483648-00-00T00:00:00Z"];
    const char *affinity = affinity_name(view->affinity);
    (void)strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&(time_t){view->created_s}, &utc));
    buffer_printf(text, "{\"id\":\"%s\",\"created_at\":\"%s\",\"ttl_ms\":%llu,\"idle_ms\":%llu",
                  view->id, at, MS(view->ttl_us), MS(view->idle_us));
    buffer_printf(text, ",\"calls\":%llu", (unsigned long long)view->calls);
    if (affinity)
        buffer_printf(text, ",\"affinity\":\"%s\"", affinity);
    if (view->pool[0])
        buffer_printf(text, ",\"pool\":\"%s\"", view->pool);
}

/* The workers that had the session's last call, by pool. */
static void add_workers(struct buffer *text, const struct gateway *gateway,
                        const struct session *session)
{
    bool first = true;
    buffer_add_string(text, ",\"workers\":{");
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        char worker[WORKER_ID_MAX];
        pool_look_at_session(gateway->pools[i], session, worker);
        if (worker[0])
            buffer_printf(text, "%s\"%s\":\"%s\"", first ? "" : ",", pool_name(gateway->pools[i]),
                          worker);
        first = first && !worker[0];
    }
    buffer_add_string(text, "}");
}

static void respond_session(struct exchange *exchange, unsigned status, struct session *session)
{
    struct session_view view;
    struct buffer text = {0};
    struct response response = {.status = status};
    session_look(session, &view);
    add_session(&text, &view);
    add_workers(&text, gateway_of(exchange), session);
    buffer_add_string(&text, ",\"metadata\":");
    buffer_add(&text, view.metadata.len ? view.metadata : BYTES("{}"));
    buffer_add_string(&text, "}");
    free((void *)(uintptr_t)view.metadata.data);
    response_header(&response, "content-type", BYTES("application/json"));
    if (status == 201)
        response_header(&response, "location",
                        bytes_of(arena_printf(exchange->arena, "/sessions/%s", view.id)));
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(&text)));
    buffer_deinit(&text);
    exchange_respond(exchange, &response);
}

/* --- what is wished for --- */

struct session_request {
    struct bytes id;
    struct bytes pool;
    uint64_t ttl_us;
    struct bytes metadata;
    unsigned affinity; /* enum affinity */
};

#define ROW(name_, kind_)                                                                          \
    {                                                                                              \
        .name = {#name_, sizeof #name_ - 1}, .kind = (kind_),                                      \
        .offset = offsetof(struct session_request, name_)                                          \
    }

static const struct member rows[] = {
    {.name = {"ttl_ms", 6},
     .kind = MEMBER_MILLISECONDS,
     .offset = offsetof(struct session_request, ttl_us)},
    ROW(metadata, MEMBER_OBJECT),
    ROW(affinity, MEMBER_AFFINITY),
    {.name = {"id", 2},
     .kind = MEMBER_TEXT,
     .offset = offsetof(struct session_request, id),
     .max = SESSION_ID_MAX},
    ROW(pool, MEMBER_TEXT),
};
enum { ROWS = sizeof rows / sizeof rows[0], CHANGEABLE_ROWS = 3 };

static bool refuse_member(struct exchange *exchange, const char *name, const char *why)
{
    struct member_fault fault;
    members_fault(&fault, exchange->arena, bytes_of(name),
                  arena_printf(exchange->arena, "\"%s\" %s", name, why));
    members_refuse(exchange, 400, &fault);
    return false;
}

/* False: the body is wrong, and the exchange has been answered. No body: nothing is wished for. */
static bool read_request(struct exchange *exchange, size_t row_count,
                         struct session_request *out_request)
{
    uint32_t seen;
    struct member_fault fault;
    struct bytes body = exchange_payload(exchange);
    if (!document_is_json(exchange))
        return false;
    if (body.len &&
        !members_read(body, rows, row_count, exchange->arena, out_request, &seen, &fault)) {
        members_refuse(exchange, 400, &fault);
        return false;
    }
    if (out_request->metadata.len > SESSION_METADATA_MAX)
        return refuse_member(exchange, "metadata", "must have at most 65536 bytes");
    return true;
}

static bool check_new(struct exchange *exchange, const struct session_request *request)
{
    const char *why = request->id.len ? membership_fault(request->id) : NULL;
    if (why)
        return refuse_member(exchange, "id", why);
    if (request->pool.len && !gateway_find_pool(gateway_of(exchange), request->pool)) {
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "pool_not_found",
                                                    .category = "pool",
                                                    .detail = "there is no pool of that name"});
        return false;
    }
    return true;
}

static struct session_wish wish_of(const struct session_request *request)
{
    return (struct session_wish){.id = request->id,
                                 .pool = request->pool,
                                 .ttl_us = request->ttl_us,
                                 .metadata = request->metadata,
                                 .affinity = (enum affinity)request->affinity};
}

void sessions_post(struct exchange *exchange)
{
    struct session_request request = {0};
    struct session *session = NULL;
    if (!read_request(exchange, ROWS, &request) || !check_new(exchange, &request))
        return;
    struct session_wish wish = wish_of(&request);
    enum session_verdict verdict = session_open(gateway_of(exchange)->sessions, &wish, &session);
    if (session)
        respond_session(exchange, verdict == SESSION_MADE ? 201 : 200, session);
    else
        membership_refuse_full(exchange, verdict);
    session_unref(&session);
}

/* --- one of them --- */

static struct bytes id_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 0, exchange->arena);
}

/* The session that the path names, with a reference; or NULL, and the exchange has been answered.
 */
static struct session *resolve(struct exchange *exchange)
{
    struct bytes id = id_of(exchange);
    struct session *session = session_find(gateway_of(exchange)->sessions, id);
    if (!session)
        membership_refuse_unknown(exchange, id);
    return session;
}

void sessions_get(struct exchange *exchange)
{
    struct session *session = resolve(exchange);
    if (session)
        respond_session(exchange, 200, session);
    session_unref(&session);
}

void sessions_patch(struct exchange *exchange)
{
    struct session_request request = {0};
    struct session *session = resolve(exchange);
    if (session && read_request(exchange, CHANGEABLE_ROWS, &request)) {
        struct session_wish wish = wish_of(&request);
        if (session_change(session, &wish))
            respond_session(exchange, 200, session);
        else
            membership_refuse_full(exchange, SESSION_MEMORY);
    }
    session_unref(&session);
}

void sessions_delete(struct exchange *exchange)
{
    struct bytes id = id_of(exchange);
    if (session_delete(gateway_of(exchange)->sessions, id))
        exchange_respond(exchange, &(struct response){.status = 204});
    else
        membership_refuse_unknown(exchange, id);
}

/* --- all of them --- */

/* The number of the last session of the page before; nothing is where the list begins. */
static bool read_cursor(struct bytes text, uint64_t *out_after)
{
    int64_t number = 0;
    bool good = text.len == 0 || (json_to_int(text, &number) && number >= 0);
    *out_after = (uint64_t)number;
    return good;
}

void sessions_list(struct exchange *exchange)
{
    uint64_t after;
    struct listing listing;
    struct buffer text = {0};
    if (!listing_read(exchange, LISTED, CURSOR_MAX, &listing))
        return;
    if (!read_cursor(listing.after, &after)) {
        (void)listing_refuse_after(exchange);
        return;
    }
    unsigned limit = listing.limit;
    struct session_view *views = mem_array(limit + 1, sizeof *views);
    unsigned count = session_list(gateway_of(exchange)->sessions, after, views, limit + 1);
    buffer_add_string(&text, "{\"sessions\":[");
    for (unsigned i = 0; i < count && i < limit; i++) {
        buffer_add_string(&text, i ? "," : "");
        add_session(&text, &views[i]);
        buffer_add_string(&text, "}");
    }
    buffer_printf(&text, "],\"more\":%s", count > limit ? "true" : "false");
    if (count > limit)
        buffer_printf(&text, ",\"next\":\"%llu\"", (unsigned long long)views[limit - 1].number);
    buffer_add_string(&text, "}");
    free(views);
    document_respond_json(exchange, 200, &text);
    buffer_deinit(&text);
}
