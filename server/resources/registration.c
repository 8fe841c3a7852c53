/* POST /tools, DELETE /tools/{name}: tools that run where their callers are. */
#include "server/resources/registration.h"
#include "server/tools/callbacks.h"

#include "base/json.h"
#include "pool/session.h"
#include "server/http/document.h"
#include "server/http/percent.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/members.h"
#include "server/requests/membership.h"
#include "server/resources/handlers.h"

enum { URL_MAX = 2048, SECRET_MAX = 256 };

struct registration {
    struct bytes tools;
    struct bytes session_id;
    struct bytes name, description, schema, callback; /* of a single one */
};

static const struct member rows[] = {
    {{"tools", 5}, MEMBER_VALUE, offsetof(struct registration, tools), 0},
    {{"session_id", 10}, MEMBER_TEXT, offsetof(struct registration, session_id), SESSION_ID_MAX},
    {{"name", 4}, MEMBER_VALUE, offsetof(struct registration, name), 0},
    {{"description", 11}, MEMBER_VALUE, offsetof(struct registration, description), 0},
    {{"schema", 6}, MEMBER_VALUE, offsetof(struct registration, schema), 0},
    {{"callback", 8}, MEMBER_VALUE, offsetof(struct registration, callback), 0},
};

struct callback_members {
    struct bytes url;
    struct bytes secret;
    uint64_t timeout_us;
};

static const struct member callback_rows[] = {
    {{"url", 3}, MEMBER_VALUE, offsetof(struct callback_members, url), 0},
    {{"secret", 6}, MEMBER_TEXT, offsetof(struct callback_members, secret), 0},
    {{"timeout_ms", 10}, MEMBER_MILLISECONDS, offsetof(struct callback_members, timeout_us), 0},
};

/* --- showing --- */

void registration_write(const struct callback_tool *tool, struct buffer *out_text)
{
    buffer_add_string(out_text, "{\"name\":");
    buffer_add_json_string(out_text, tool->offer.name);
    buffer_add_string(out_text, ",\"description\":");
    buffer_add_json_string(out_text, tool->offer.description);
    buffer_add_string(out_text, ",\"schema\":");
    buffer_add(out_text, tool->offer.schema_text);
    if (tool->offer.problems.len) {
        buffer_add_string(out_text, ",\"schema_problems\":");
        buffer_add(out_text, tool->offer.problems);
    }
    if (tool->session.len) {
        buffer_add_string(out_text, ",\"session_id\":");
        buffer_add_json_string(out_text, tool->session);
    }
    buffer_add_string(out_text, ",\"callback\":true,\"streaming\":false,\"idempotent\":false}");
}

/* --- what is asked for --- */

static bool is_secret(struct bytes secret)
{
    bool good = secret.len <= SECRET_MAX;
    for (size_t i = 0; i < secret.len; i++)
        good = good && secret.data[i] > ' ' && secret.data[i] <= '~';
    return good;
}

static bool read_callback_members(struct bytes text, struct arena *arena,
                                  struct callback_members *out_callback,
                                  struct member_fault *out_fault)
{
    uint32_t seen;
    *out_callback = (struct callback_members){0};
    if (!members_read(text, callback_rows, sizeof callback_rows / sizeof callback_rows[0], arena,
                      out_callback, &seen, out_fault))
        return false;
    struct bytes url = out_callback->url;
    if (!url.len || json_type_of(url.data[0]) != JSON_TYPE_STRING || url.len > URL_MAX)
        return members_fault(out_fault, arena, BYTES("url"),
                             "\"callback\" needs a \"url\" of at most 2048 bytes");
    out_callback->url = json_text(url, arena);
    return is_secret(out_callback->secret) ||
           members_fault(out_fault, arena, BYTES("secret"),
                         "\"secret\" must have at most 256 visible characters of ASCII");
}

/* False: it is wrong, and `out_status` is what to answer. */
static bool read_callback(struct exchange *exchange, struct bytes text,
                          struct callback_members *out_callback, struct member_fault *out_fault,
                          unsigned *out_status)
{
    struct arena *arena = exchange->arena;
    *out_status = 400;
    if (!read_callback_members(text, arena, out_callback, out_fault))
        return false;
    const char *url = arena_string(arena, out_callback->url);
    const char *wrong = "the URL is none";
    if (strlen(url) == out_callback->url.len)
        wrong = callbacks_fault(gateway_of(exchange)->callbacks, url, out_status);
    if (!wrong)
        return true;
    members_fault(out_fault, arena, BYTES("url"), wrong);
    if (*out_status == 403)
        out_fault->code = "callback_denied";
    return false;
}

/* A single tool, without what else is in the body. */
static struct bytes single_of(struct exchange *exchange, const struct registration *given)
{
    static const char *const names[] = {"name", "description", "schema", "callback"};
    const struct bytes values[] = {given->name, given->description, given->schema, given->callback};
    struct buffer text = {0};
    buffer_add_string(&text, "{");
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!values[i].len)
            continue;
        buffer_printf(&text, "%s\"%s\":", text.len > 1 ? "," : "", names[i]);
        buffer_add(&text, values[i]);
    }
    buffer_add_string(&text, "}");
    struct bytes copy = arena_copy(exchange->arena, buffer_bytes(&text));
    buffer_deinit(&text);
    return copy;
}

/* What is asked for; NULL when it is wrong, and the exchange has been answered. */
static struct offers *read_offers(struct exchange *exchange, struct registration *given)
{
    struct member_fault fault;
    struct offers *offers = NULL;
    uint32_t seen;
    bool good = members_read(exchange_payload(exchange), rows, sizeof rows / sizeof rows[0],
                             exchange->arena, given, &seen, &fault);
    bool single = !given->tools.len;
    if (good && !single && (seen & ~UINT32_C(3)))
        good = members_fault(&fault, exchange->arena, BYTES("tools"),
                             "give either \"tools\" or a single tool");
    if (good && single)
        good = offers_read_single(single_of(exchange, given), exchange->arena, &offers, &fault);
    else if (good)
        good = offers_read(given->tools, "tools", true, exchange->arena, &offers, &fault);
    if (!good)
        members_refuse(exchange, 400, &fault);
    return offers;
}

/* --- registering --- */

static void drop(struct callback_tool **tools, size_t count)
{
    for (size_t i = 0; i < count; i++)
        callback_tool_unref(&tools[i]);
}

/* False: one of them is wrong, none was made, and the exchange has been answered. */
static bool make_tools(struct exchange *exchange, const struct offers *offers,
                       struct callback_tool **out_tools)
{
    for (size_t i = 0; i < offers->count; i++) {
        struct callback_members callback;
        struct member_fault fault;
        unsigned status;
        if (!read_callback(exchange, offers->list[i].callback, &callback, &fault, &status)) {
            drop(out_tools, i);
            members_fault_within(&fault, exchange->arena, "/callback");
            offers_fault(offers, i, exchange->arena, &fault);
            members_refuse(exchange, status, &fault);
            return false;
        }
        out_tools[i] = callback_tool_new(gateway_of(exchange)->toolbox, &offers->list[i],
                                         callback.url, callback.secret, callback.timeout_us);
    }
    return true;
}

static void refuse_duplicate(struct exchange *exchange, const struct offers *offers, size_t index)
{
    struct bytes name = offers->list[index].name;
    struct member_fault fault;
    members_fault(&fault, exchange->arena, BYTES("name"),
                  arena_printf(exchange->arena, "there is a tool named \"%.*s\" already",
                               (int)name.len, name.data));
    fault.code = "duplicate_tool";
    offers_fault(offers, index, exchange->arena, &fault);
    members_refuse(exchange, 409, &fault);
}

static void refuse_full(struct exchange *exchange)
{
    unsigned limit = gateway_of(exchange)->callback_options->limit;
    problem_respond(exchange, &(struct problem){.status = 429,
                                                .code = "tool_quota_exceeded",
                                                .category = "limit",
                                                .detail = "there are as many registered tools as "
                                                          "callbacks.limit allows",
                                                .limit = limit});
}

static void answer_added(struct exchange *exchange, const struct offers *offers)
{
    struct buffer text = {0};
    buffer_add_string(&text, "{\"tools\":[");
    for (size_t i = 0; i < offers->count; i++) {
        buffer_add_string(&text, i ? "," : "");
        buffer_add_json_string(&text, offers->list[i].name);
    }
    buffer_add_string(&text, "]");
    offers_write_problems(offers, &text);
    buffer_add_string(&text, "}");
    document_respond_json(exchange, 201, &text);
}

/* A name that Python has is taken for all, but a session may have its own. */
static bool python_has(const struct gateway *gateway, const struct offers *offers,
                       size_t *out_index)
{
    for (*out_index = 0; *out_index < offers->count; ++*out_index) {
        if (registry_find(gateway->registry, offers->list[*out_index].name, NULL))
            return true;
    }
    return false;
}

static void add(struct exchange *exchange, const struct offers *offers, struct session *session)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct callback_tool *tools[OFFERS_MAX];
    size_t index = 0;
    enum toolbox_verdict verdict = TOOLBOX_DUPLICATE;
    if (!make_tools(exchange, offers, tools))
        return;
    if (session || !python_has(gateway, offers, &index))
        verdict = toolbox_add(gateway->toolbox, session, tools, offers->count, &index);
    if (verdict != TOOLBOX_ADDED)
        drop(tools, offers->count);
    if (verdict == TOOLBOX_DUPLICATE)
        refuse_duplicate(exchange, offers, index);
    else if (verdict == TOOLBOX_FULL)
        refuse_full(exchange);
    else
        answer_added(exchange, offers);
}

void registration_post(struct exchange *exchange)
{
    struct registration given = {0};
    struct offers *offers = document_is_json(exchange) ? read_offers(exchange, &given) : NULL;
    struct session *session = NULL;
    if (offers && membership_join(exchange, given.session_id, &session))
        add(exchange, offers, session);
    offers_free(&offers);
    session_unref(&session);
}

/* --- taking out --- */

bool registration_session(struct exchange *exchange, struct session **out_session)
{
    struct bytes query = exchange->query, name, value;
    *out_session = NULL;
    if (!query.len)
        return true;
    if (!percent_next(&query, exchange->arena, &name, &value) || query.len ||
        !bytes_equal(name, BYTES("session_id"))) {
        problem_respond(exchange,
                        &(struct problem){.status = 400,
                                          .code = "invalid_request",
                                          .detail = "the query may be session_id= and an id"});
        return false;
    }
    *out_session = session_find(gateway_of(exchange)->sessions, value);
    if (!*out_session)
        membership_refuse_unknown(exchange, value);
    return *out_session;
}

void registration_delete(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes name = route_param(exchange->route, exchange->path, 0, exchange->arena);
    struct session *session;
    if (!registration_session(exchange, &session))
        return;
    if (toolbox_remove(gateway->toolbox, session, name))
        exchange_respond(exchange, &(struct response){.status = 204});
    else
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "tool_not_found",
                                                    .detail = "no tool of that name was "
                                                              "registered"});
    session_unref(&session);
}
