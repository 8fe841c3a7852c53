/* /sessions/{id}/variables: typed values that callers and tools of a session share. */
#include "base/json.h"
#include "server/http/document.h"
#include "server/http/etag.h"
#include "server/http/percent.h"
#include "server/http/problem.h"
#include "server/requests/gateway.h"
#include "server/requests/membership.h"
#include "server/resources/handlers.h"
#include "server/resources/variable_answer.h"
#include "server/resources/variable_request.h"

#include <stdlib.h>

enum { NAMES_MAX = 1000 };

static struct session *resolve(struct exchange *exchange)
{
    struct bytes id = route_param(exchange->route, exchange->path, 0, exchange->arena);
    struct session *session = session_find(gateway_of(exchange)->sessions, id);
    if (!session)
        membership_refuse_unknown(exchange, id);
    return session;
}

/* The same for who writes: an id of the caller's own begins a session. */
static struct session *resolve_or_begin(struct exchange *exchange)
{
    struct bytes id = route_param(exchange->route, exchange->path, 0, exchange->arena);
    struct session *session = NULL;
    if (membership_fault(id))
        return resolve(exchange);
    (void)membership_join(exchange, id, &session);
    return session;
}

static struct bytes name_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 1, exchange->arena);
}

/* --- one of them --- */

/* The variable that the path names; or none, and the exchange has been answered. */
static bool read_one(struct exchange *exchange, struct session *session,
                     struct variable *out_variable)
{
    struct bytes name = name_of(exchange);
    bool there = variables_read(session, &name, 1, exchange->arena, out_variable) &&
                 out_variable->version > 0;
    if (!there)
        variable_refuse_unknown(exchange, name);
    return there;
}

void variables_get(struct exchange *exchange)
{
    struct variable variable;
    struct session *session = resolve(exchange);
    if (session && read_one(exchange, session, &variable)) {
        struct bytes etag = variable_etag(exchange, variable.version);
        struct response response = {.status = 304};
        response_header(&response, "etag", etag);
        if (etag_match(exchange_header(exchange, "if-none-match"), etag, true) == ETAG_MATCHES)
            exchange_respond(exchange, &response);
        else
            variable_respond(exchange, 200, &variable);
    }
    session_unref(&session);
}

static bool refuse_condition(struct exchange *exchange, const char *detail)
{
    problem_respond(exchange,
                    &(struct problem){.status = 400, .code = "invalid_request", .detail = detail});
    return false;
}

static bool is_conditional(struct exchange *exchange)
{
    return exchange_header_count(exchange, "if-match") ||
           exchange_header_count(exchange, "if-none-match");
}

/* False: the conditions are none, and the exchange has been answered. */
static bool check_conditions(struct exchange *exchange, const struct variable_write *write)
{
    static const char *const headers[] = {"if-match", "if-none-match"};
    if (write->expects && is_conditional(exchange))
        return refuse_condition(exchange, "a version may be expected only once: by a header or by "
                                          "expected_version");
    for (unsigned i = 0; i < 2; i++) {
        unsigned count = exchange_header_count(exchange, headers[i]);
        struct bytes header = exchange_header(exchange, headers[i]);
        if (count > 1 || (count && etag_match(header, BYTES(""), true) == ETAG_MALFORMED))
            return refuse_condition(
                exchange, arena_printf(exchange->arena, "%s must be once, and * or a list of etags",
                                       headers[i]));
    }
    return true;
}

/* Whether the headers allow a write of a variable that has that version; 0: there is none. */
static bool meets_conditions(struct exchange *exchange, uint64_t version)
{
    struct bytes etag = version ? variable_etag(exchange, version) : (struct bytes){0};
    return (!exchange_header_count(exchange, "if-match") ||
            etag_match(exchange_header(exchange, "if-match"), etag, false) == ETAG_MATCHES) &&
           (!exchange_header_count(exchange, "if-none-match") ||
            etag_match(exchange_header(exchange, "if-none-match"), etag, true) != ETAG_MATCHES);
}

/* A pointer into the write, or "". */
static const char *place_to_blame(const struct variables_refusal *refusal, struct arena *arena)
{
    const struct variable_fault *fault = &refusal->fault;
    struct member_fault place = {.pointer = BYTES("")};
    switch (refusal->verdict) {
    case VARIABLES_INVALID:
        if (fault->constraint.data)
            members_fault(&place, arena, json_text(fault->constraint, arena), fault->detail);
        return arena_printf(arena, "/%s%.*s", fault->member, (int)place.pointer.len,
                            place.pointer.data);
    case VARIABLES_CONFLICT:
        return "/expected_version";
    case VARIABLES_LARGE:
        return "/value";
    default:
        return "";
    }
}

/* Does what the headers allow: of the version for which they do, and again if that is not the one
 * there is any more. */
static bool write_if(struct exchange *exchange, struct session *session,
                     const struct variable_write *write, struct variables_written *written,
                     struct variables_refusal *out_refusal)
{
    struct variable_write conditional = *write;
    struct variable now;
    conditional.expects = true;
    do {
        if (!variables_read(session, &write->name, 1, exchange->arena, &now))
            abort(); /* one name is not twice the same */
        conditional.expected_version = now.version;
        *out_refusal =
            (struct variables_refusal){.verdict = VARIABLES_CONFLICT, .version = now.version};
        if (!meets_conditions(exchange, now.version))
            return false;
        if (variables_write(session, &conditional, 1, NULL, written, out_refusal))
            return true;
    } while (out_refusal->verdict == VARIABLES_CONFLICT);
    return false;
}

/* Does it, or answers that it was refused. */
static bool write_one(struct exchange *exchange, struct session *session,
                      const struct variable_write *write, struct variable *out_variable)
{
    struct variables_refusal refusal;
    struct variables_written written = {.memory = exchange->arena, .variables = out_variable};
    bool conditional = is_conditional(exchange);
    if (!check_conditions(exchange, write))
        return false;
    if (conditional ? write_if(exchange, session, write, &written, &refusal)
                    : variables_write(session, write, 1, NULL, &written, &refusal))
        return true;
    bool by_header = conditional && refusal.verdict == VARIABLES_CONFLICT;
    const char *place = by_header ? "" : place_to_blame(&refusal, exchange->arena);
    variable_refuse(exchange, &refusal, write->name, place[0] ? place : NULL, by_header ? 412 : 0);
    return false;
}

static void put(struct exchange *exchange, struct session *session)
{
    struct variable_write write = {.name = name_of(exchange)};
    struct member_fault fault;
    struct variable variable;
    if (!variable_request_read(exchange_payload(exchange), exchange->arena, &write, &fault)) {
        members_refuse(exchange, 400, &fault);
        return;
    }
    if (write_one(exchange, session, &write, &variable))
        variable_respond(exchange, 200, &variable);
}

void variables_put(struct exchange *exchange)
{
    struct session *session = document_is_json(exchange) ? resolve_or_begin(exchange) : NULL;
    if (session)
        put(exchange, session);
    session_unref(&session);
}

void variables_delete(struct exchange *exchange)
{
    struct variable_write write = {.name = name_of(exchange), .remove = true};
    struct session *session = resolve(exchange);
    struct variable removed;
    if (session && write_one(exchange, session, &write, &removed))
        exchange_respond(exchange, &(struct response){.status = 204});
    session_unref(&session);
}

/* --- several --- */

/* "a,b" as a list in the arena. False: they are too many. */
static bool split_names(struct bytes text, struct arena *arena, struct bytes **out_names,
                        size_t *out_count)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == ',';
    if (count > NAMES_MAX)
        return false;
    *out_names = arena_alloc(arena, count * sizeof(struct bytes));
    for (size_t i = 0; i < count; i++) {
        const char *comma = text.len ? memchr(text.data, ',', text.len) : NULL;
        size_t len = comma ? (size_t)(comma - text.data) : text.len;
        (*out_names)[i] = bytes_from(text.data, len);
        text = bytes_skip(text, comma ? len + 1 : len);
    }
    *out_count = count;
    return true;
}

/* The names that the query asks for; NULL: all. False: the query is wrong. */
static bool read_names(struct exchange *exchange, struct bytes **out_names, size_t *out_count)
{
    struct bytes rest = exchange->query, name, value;
    *out_names = NULL;
    while (percent_next(&rest, exchange->arena, &name, &value)) {
        if (*out_names || !bytes_equal(name, BYTES("names")) ||
            !split_names(value, exchange->arena, out_names, out_count))
            return false;
    }
    return rest.len == 0;
}

static void refuse_names(struct exchange *exchange)
{
    problem_respond(exchange,
                    &(struct problem){.status = 400,
                                      .code = "invalid_request",
                                      .detail = "the query may have names, at most 1000 with "
                                                "commas between them, each once"});
}

static void get_all(struct exchange *exchange, struct session *session)
{
    struct bytes *names;
    size_t count;
    bool good = read_names(exchange, &names, &count);
    if (good && !names) {
        struct variable *variables = variables_list(session, exchange->arena, &count);
        variable_respond_several(exchange, variables, NULL, count);
        return;
    }
    struct variable *variables =
        good ? arena_alloc(exchange->arena, count * sizeof *variables) : NULL;
    if (good && variables_read(session, names, count, exchange->arena, variables))
        variable_respond_several(exchange, variables, names, count);
    else
        refuse_names(exchange);
}

void variables_get_all(struct exchange *exchange)
{
    struct session *session = resolve(exchange);
    if (session)
        get_all(exchange, session);
    session_unref(&session);
}

/* The first write that removes is the first element of "delete". */
static size_t place_in_delete(const struct variable_batch *batch, size_t index)
{
    size_t first = 0;
    while (!batch->writes[first].remove)
        first++;
    return index - first;
}

static const char *pointer_of(struct exchange *exchange, const struct variable_batch *batch,
                              size_t index, const struct variables_refusal *refusal)
{
    const struct variable_write *write = &batch->writes[index];
    if (write->remove)
        return arena_printf(exchange->arena, "/delete/%zu", place_in_delete(batch, index));
    return arena_printf(exchange->arena, "/set/%.*s%s", (int)write->name.len, write->name.data,
                        place_to_blame(refusal, exchange->arena));
}

/* Each for itself. */
static void write_singly(struct exchange *exchange, struct session *session,
                         const struct variable_batch *batch, struct variable *out_variables,
                         struct buffer *errors)
{
    struct variables_refusal refusal;
    for (size_t i = 0; i < batch->count; i++) {
        const struct variable_write *write = &batch->writes[i];
        struct variables_written written = {.variables = &out_variables[i]};
        out_variables[i] = (struct variable){0};
        if (variables_write(session, write, 1, NULL, &written, &refusal))
            continue;
        buffer_printf(errors, "%s{\"code\":\"%s\",\"pointer\":", errors->len ? "," : "",
                      variables_code(refusal.verdict));
        buffer_add_json_string(errors, bytes_of(pointer_of(exchange, batch, i, &refusal)));
        buffer_add_string(errors, ",\"detail\":");
        buffer_add_json_string(errors, bytes_of(variables_detail(&refusal)));
        buffer_add_string(errors, ",");
        variable_add_name(errors, write->name);
        if (refusal.verdict == VARIABLES_CONFLICT)
            buffer_printf(errors, ",\"version\":%llu", (unsigned long long)refusal.version);
        buffer_add_string(errors, "}");
    }
}

static void patch(struct exchange *exchange, struct session *session)
{
    struct variable_batch batch;
    struct member_fault fault;
    struct variables_refusal refusal;
    struct buffer errors = {0};
    size_t limit = 2 * (size_t)session_limits(session)->count;
    if (is_conditional(exchange)) {
        (void)refuse_condition(exchange, "several variables have no etag together: instead of "
                                         "if-match each may have its expected_version");
        return;
    }
    if (!variable_request_read_batch(exchange_payload(exchange), limit, exchange->arena, &batch,
                                     &fault)) {
        members_refuse(exchange, 400, &fault);
        return;
    }
    struct variables_written written = {
        .variables = arena_alloc(exchange->arena, batch.count * sizeof *written.variables)};
    if (!batch.atomic)
        write_singly(exchange, session, &batch, written.variables, &errors);
    else if (!variables_write(session, batch.writes, batch.count, NULL, &written, &refusal)) {
        variable_refuse(exchange, &refusal, batch.writes[refusal.index].name,
                        pointer_of(exchange, &batch, refusal.index, &refusal), 0);
        return;
    }
    variable_respond_versions(exchange, written.variables, &batch, buffer_bytes(&errors));
    buffer_deinit(&errors);
}

void variables_patch(struct exchange *exchange)
{
    struct session *session = document_is_json(exchange) ? resolve_or_begin(exchange) : NULL;
    if (session)
        patch(exchange, session);
    session_unref(&session);
}
