/* GET /tools, GET /tools/{name}, POST /tools/{name} */
#include "base/json.h"
#include "base/mem.h"
#include "server/calls/envelope.h"
#include "server/calls/invocation.h"
#include "server/http/document.h"
#include "server/http/media.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/resources/handlers.h"
#include "server/resources/registration.h"
#include "server/tools/callbacks.h"
#include "server/tools/toolbox.h"

#include <stdlib.h>

/* `tools`: all of one name, the one that is called first. */
static void add_tool(struct buffer *text, struct tool *const *tools, size_t count)
{
    const struct tool *tool = tools[0];
    buffer_add_string(text, "{\"name\":");
    buffer_add_json_string(text, tool->spec.name);
    buffer_add_string(text, ",\"description\":");
    buffer_add_json_string(text, tool->spec.description);
    buffer_printf(text, ",\"pool\":\"%s\",\"schema\":", pool_name(tool->pool));
    buffer_add(text, tool->spec.schema);
    if (tool->problems.len) {
        buffer_add_string(text, ",\"schema_problems\":");
        buffer_add(text, tool->problems);
    }
    buffer_printf(text, ",\"streaming\":%s,\"idempotent\":%s",
                  tool->spec.streaming ? "true" : "false",
                  tool->spec.idempotent ? "true" : "false");
    if (tool->spec.batch > 1)
        buffer_printf(text, ",\"batch\":%u", tool->spec.batch);
    for (size_t i = 1; i < count; i++)
        buffer_printf(text, "%s\"%s\"", i == 1 ? ",\"also_in\":[" : ",", pool_name(tools[i]->pool));
    buffer_add_string(text, count > 1 ? "]}" : "}");
}

/* Those that were registered, behind what stands there. */
static void add_callbacks(struct buffer *text, const struct gateway *gateway,
                          struct session *session)
{
    unsigned most = gateway->callback_options->limit;
    struct callback_tool **tools = mem_array(most, sizeof tools[0]);
    size_t count = toolbox_list(gateway->toolbox, session, tools, most);
    for (size_t i = 0; i < count; i++) {
        buffer_add_string(text, text->data[text->len - 1] == '[' ? "" : ",");
        registration_write(tools[i], text);
        callback_tool_unref(&tools[i]);
    }
    free(tools);
}

void tools_list(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    const struct tool_table *table = registry_table(gateway->registry);
    struct session *session;
    struct buffer text = {0};
    if (!registration_session(exchange, &session))
        return;
    buffer_add_string(&text, "{\"tools\":[");
    for (size_t i = 0, count; i < table->count; i += count) {
        struct tool **tools = tool_table_find(table, table->sorted[i]->spec.name, &count);
        buffer_add_string(&text, i ? "," : "");
        add_tool(&text, tools, count);
    }
    add_callbacks(&text, gateway, NULL);
    if (session)
        add_callbacks(&text, gateway, session);
    session_unref(&session);
    buffer_add_string(&text, "]}");
    document_respond(exchange, "application/json", &text);
}

static struct bytes name_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 0, exchange->arena);
}

/* The registered one of that name that is run: the session's, or that for all if Python has none.
 */
static struct callback_tool *find_callback(const struct gateway *gateway, struct session *session,
                                           struct bytes name, bool python_has)
{
    struct callback_tool *own = session ? toolbox_find(gateway->toolbox, session, name) : NULL;
    return own || python_has ? own : toolbox_find(gateway->toolbox, NULL, name);
}

void tools_get(struct exchange *exchange)
{
    const struct gateway *gateway = gateway_of(exchange);
    struct bytes name = name_of(exchange);
    struct session *session;
    struct buffer text = {0};
    size_t count;
    if (!registration_session(exchange, &session))
        return;
    struct tool **tools = tool_table_find(registry_table(gateway->registry), name, &count);
    struct callback_tool *callback = find_callback(gateway, session, name, tools);
    if (callback)
        registration_write(callback, &text);
    else if (tools)
        add_tool(&text, tools, count);
    if (text.len)
        document_respond(exchange, "application/json", &text);
    else
        problem_respond(exchange, &(struct problem){.status = 404,
                                                    .code = "tool_not_found",
                                                    .detail = "there is no tool of that name"});
    callback_tool_unref(&callback);
    session_unref(&session);
}

static void refuse(struct exchange *exchange, const char *code, const char *detail)
{
    problem_respond(exchange, &(struct problem){.status = 400, .code = code, .detail = detail});
}

/* A JSON body must be an object: the arguments by name. False: it is not, and the exchange has been
 * answered. */
static bool read_arguments(struct exchange *exchange, struct bytes body,
                           struct invocation_request *request)
{
    struct json_value value;
    struct json_error error;
    if (!json_check(body, ENVELOPE_MAX_DEPTH, &value, &error)) {
        refuse(exchange, "invalid_json", members_not_json(exchange->arena, &error));
        return false;
    }
    if (value.type != JSON_TYPE_OBJECT) {
        refuse(exchange, "invalid_request", "the body must be an object: the arguments by name");
        return false;
    }
    request->args = value.raw;
    return true;
}

/* No body: no arguments. JSON: the arguments. Anything else goes to the tool as it is. The query
 * says the rest. */
void tools_post(struct exchange *exchange)
{
    struct bytes type = exchange_header(exchange, "content-type");
    struct bytes body = exchange_payload(exchange);
    struct invocation_request request = {.tool = name_of(exchange), .args = BYTES("{}")};
    struct member_fault fault;
    bool json = type.len ? media_is_json(type) : body.len == 0;
    if (!media_is_plain(type)) {
        refuse(exchange, "invalid_request", "content-type has bytes that do not belong there");
        return;
    }
    if (json && body.len && !read_arguments(exchange, body, &request))
        return;
    if (!envelope_read_options(exchange->query, exchange->arena, &request, &fault)) {
        members_refuse(exchange, 400, &fault);
        return;
    }
    if (!json) {
        request.args = body;
        request.content_type =
            type.len ? arena_copy(exchange->arena, type) : BYTES("application/octet-stream");
    }
    invocation_start(exchange, &request, RESULT_BARE);
}
