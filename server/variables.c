/* /sessions/{id}/variables: typed values that callers and tools of a session share. */
#include "base/json.h"
#include "server/document.h"
#include "server/gateway.h"
#include "server/handlers.h"
#include "server/membership.h"
#include "server/percent.h"
#include "server/problem.h"
#include "server/variable_request.h"

enum { ETAG_MAX = 24, NAMES_MAX = 1000 };

static struct session *resolve(struct exchange *exchange)
{
    struct bytes id = route_param(exchange->route, exchange->path, 0, exchange->arena);
    struct session *session = session_find(gateway_of(exchange)->sessions, id);
    if (!session)
        membership_refuse_unknown(exchange, id);
    return session;
}

static struct bytes name_of(struct exchange *exchange)
{
    return route_param(exchange->route, exchange->path, 1, exchange->arena);
}

/* --- showing --- */

static void add_variable(struct buffer *text, const struct variable *variable)
{
    buffer_add_string(text, "\"value\":");
    buffer_add(text, variable->value);
    buffer_printf(text, ",\"type\":\"%s\",\"version\":%llu", variable_type_name(variable->type),
                  (unsigned long long)variable->version);
    if (variable->constraints.len) {
        buffer_add_string(text, ",\"constraints\":");
        buffer_add(text, variable->constraints);
    }
    buffer_add_string(text, "}");
}

static struct bytes etag_of(struct exchange *exchange, uint64_t version)
{
    return bytes_of(arena_printf(exchange->arena, "\"%llu\"", (unsigned long long)version));
}

static void respond_variable(struct exchange *exchange, unsigned status,
                             const struct variable *variable)
{
    struct buffer text = {0};
    struct response response = {.status = status};
    response_header(&response, "content-type", BYTES("application/json"));
    response_header(&response, "etag", etag_of(exchange, variable->version));
    buffer_add_string(&text, "{\"name\":");
    buffer_add_json_string(&text, variable->name);
    buffer_add_string(&text, ",");
    add_variable(&text, variable);
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(&text)));
    buffer_deinit(&text);
    exchange_respond(exchange, &response);
}

/* --- refusing --- */

static void add_name(struct buffer *members, struct bytes name)
{
    buffer_add_string(members, "\"variable\":");
    buffer_add_json_string(members, name.len > VARIABLE_NAME_MAX ? (struct bytes){0} : name);
}

static void refuse_unknown(struct exchange *exchange, struct bytes name)
{
    struct buffer members = {0};
    add_name(&members, name);
    problem_respond(exchange,
                    &(struct problem){.status = 404,
                                      .code = variables_code(VARIABLES_UNKNOWN),
                                      .category = "pool",
                                      .detail = "the session has no variable of that name",
                                      .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}

static unsigned status_of(enum variables_verdict verdict)
{
    static const unsigned statuses[] = {
        [VARIABLES_INVALID] = 422, [VARIABLES_CONFLICT] = 409, [VARIABLES_UNKNOWN] = 404,
        [VARIABLES_LARGE] = 413,   [VARIABLES_MANY] = 429,     [VARIABLES_FULL] = 429,
        [VARIABLES_MEMORY] = 429,  [VARIABLES_ENDED] = 404,
    };
    return statuses[verdict];
}

/* What a refusal says beyond a code and a sentence. */
static void add_refusal(struct buffer *members, const struct variables_refusal *refusal,
                        struct bytes name, const char *pointer)
{
    add_name(members, name);
    if (refusal->verdict == VARIABLES_CONFLICT)
        buffer_printf(members, ",\"version\":%llu", (unsigned long long)refusal->version);
    if (refusal->verdict != VARIABLES_INVALID)
        return;
    buffer_add_string(members, ",\"errors\":[{\"pointer\":");
    buffer_add_json_string(members, bytes_of(pointer));
    buffer_add_string(members, ",\"detail\":");
    buffer_add_json_string(members, bytes_of(refusal->fault.detail));
    buffer_add_string(members, "}]");
}

static bool is_quota(enum variables_verdict verdict)
{
    return verdict == VARIABLES_LARGE || verdict == VARIABLES_MANY || verdict == VARIABLES_FULL;
}

/* `pointer`: to what is wrong in the body. `status`: 0 for that of the verdict. */
static void refuse(struct exchange *exchange, const struct variables_refusal *refusal,
                   struct bytes name, const char *pointer, unsigned status)
{
    struct buffer members = {0};
    bool quota = is_quota(refusal->verdict);
    if (refusal->verdict == VARIABLES_MEMORY) {
        membership_refuse_full(exchange, SESSION_MEMORY);
        return;
    }
    add_refusal(&members, refusal, name, pointer);
    problem_respond(exchange,
                    &(struct problem){.status = status ? status : status_of(refusal->verdict),
                                      .code = variables_code(refusal->verdict),
                                      .category = quota ? "limit" : "validation",
                                      .detail = variables_detail(refusal),
                                      .limit = quota ? (int64_t)refusal->limit : 0,
                                      .members = buffer_bytes(&members)});
    buffer_deinit(&members);
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
        refuse_unknown(exchange, name);
    return there;
}

void variables_get(struct exchange *exchange)
{
    struct variable variable;
    struct session *session = resolve(exchange);
    if (session && read_one(exchange, session, &variable)) {
        struct bytes etag = etag_of(exchange, variable.version);
        struct response response = {.status = 304};
        response_header(&response, "etag", etag);
        if (bytes_equal(exchange_header(exchange, "if-none-match"), etag))
            exchange_respond(exchange, &response);
        else
            respond_variable(exchange, 200, &variable);
    }
    session_unref(&session);
}

/* "3" in its quotes. */
static bool read_etag(struct bytes etag, uint64_t *out_version)
{
    int64_t version = 0;
    if (etag.len < 3 || etag.len > ETAG_MAX || etag.data[0] != '"' ||
        etag.data[etag.len - 1] != '"' ||
        !json_to_int(bytes_from(etag.data + 1, etag.len - 2), &version) || version < 1)
        return false;
    *out_version = (uint64_t)version;
    return true;
}

static bool refuse_condition(struct exchange *exchange, const char *detail)
{
    problem_respond(exchange,
                    &(struct problem){.status = 400, .code = "invalid_request", .detail = detail});
    return false;
}

/* What If-Match and If-None-Match expect. `out_conditional`: something. */
static bool read_conditions(struct exchange *exchange, struct variable_write *write,
                            bool *out_conditional)
{
    struct bytes match = exchange_header(exchange, "if-match");
    struct bytes none = exchange_header(exchange, "if-none-match");
    unsigned matches = exchange_header_count(exchange, "if-match");
    unsigned nones = exchange_header_count(exchange, "if-none-match");
    *out_conditional = matches || nones;
    if (!*out_conditional)
        return true;
    if (write->expects || matches + nones > 1)
        return refuse_condition(exchange, "a version may be expected only once: by if-match, by "
                                          "if-none-match or by expected_version");
    if (nones && !bytes_equal(none, BYTES("*")))
        return refuse_condition(exchange, "if-none-match must be *");
    if (matches && !read_etag(match, &write->expected_version))
        return refuse_condition(exchange, "if-match must be one etag of a variable");
    write->expects = true;
    return true;
}

/* Does it, and returns the new version; 0: it was refused, and the exchange has been answered. */
static bool write_one(struct exchange *exchange, struct session *session,
                      const struct variable_write *write, bool conditional, uint64_t *out_version)
{
    struct variables_refusal refusal;
    if (variables_write(session, write, 1, NULL, out_version, &refusal))
        return true;
    bool conflict = refusal.verdict == VARIABLES_CONFLICT;
    const char *member = refusal.verdict == VARIABLES_INVALID ? refusal.fault.member : "";
    refuse(exchange, &refusal, write->name, arena_printf(exchange->arena, "/%s", member),
           conflict && conditional ? 412 : 0);
    return false;
}

static void put(struct exchange *exchange, struct session *session)
{
    struct variable_write write = {.name = name_of(exchange)};
    struct member_fault fault;
    struct variable variable;
    uint64_t version;
    bool conditional;
    if (!variable_request_read(exchange_payload(exchange), exchange->arena, &write, &fault)) {
        members_refuse(exchange, 400, &fault);
        return;
    }
    if (!read_conditions(exchange, &write, &conditional) ||
        !write_one(exchange, session, &write, conditional, &version))
        return;
    if (read_one(exchange, session, &variable))
        respond_variable(exchange, 200, &variable);
}

void variables_put(struct exchange *exchange)
{
    struct session *session = document_is_json(exchange) ? resolve(exchange) : NULL;
    if (session)
        put(exchange, session);
    session_unref(&session);
}

void variables_delete(struct exchange *exchange)
{
    struct variable_write write = {.name = name_of(exchange), .remove = true};
    struct session *session = resolve(exchange);
    uint64_t version;
    bool conditional;
    if (session && read_conditions(exchange, &write, &conditional) &&
        write_one(exchange, session, &write, conditional, &version))
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

static void add_missing(struct buffer *text, const struct variable *variables,
                        const struct bytes *names, size_t count)
{
    const char *comma = "";
    buffer_add_string(text, ",\"missing\":[");
    for (size_t i = 0; i < count; i++) {
        if (variables[i].version)
            continue;
        buffer_add_string(text, comma);
        buffer_add_json_string(text, names[i]);
        comma = ",";
    }
    buffer_add_string(text, "]");
}

static void respond_several(struct exchange *exchange, const struct variable *variables,
                            const struct bytes *names, size_t count)
{
    struct buffer text = {0};
    const char *comma = "";
    buffer_add_string(&text, "{\"variables\":{");
    for (size_t i = 0; i < count; i++) {
        if (!variables[i].version)
            continue;
        buffer_add_string(&text, comma);
        buffer_add_json_string(&text, variables[i].name);
        buffer_add_string(&text, ":{");
        add_variable(&text, &variables[i]);
        comma = ",";
    }
    buffer_add_string(&text, "}");
    if (names)
        add_missing(&text, variables, names, count);
    buffer_add_string(&text, "}");
    document_respond_json(exchange, 200, &text);
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
        respond_several(exchange, variables, NULL, count);
        return;
    }
    struct variable *variables =
        good ? arena_alloc(exchange->arena, count * sizeof *variables) : NULL;
    if (good && variables_read(session, names, count, exchange->arena, variables))
        respond_several(exchange, variables, names, count);
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

static const char *pointer_of(struct exchange *exchange, const struct variable_batch *batch,
                              const struct variables_refusal *refusal)
{
    const struct variable_write *write = &batch->writes[refusal->index];
    if (refusal->verdict != VARIABLES_INVALID || write->remove)
        return "/delete";
    return arena_printf(exchange->arena, "/set/%.*s/%s", (int)write->name.len, write->name.data,
                        refusal->fault.member);
}

/* Each for itself. */
static void write_singly(struct session *session, const struct variable_batch *batch,
                         uint64_t *out_versions, struct buffer *errors)
{
    struct variables_refusal refusal;
    for (size_t i = 0; i < batch->count; i++) {
        const struct variable_write *write = &batch->writes[i];
        out_versions[i] = 0;
        if (variables_write(session, write, 1, NULL, &out_versions[i], &refusal))
            continue;
        buffer_printf(errors, "%s{\"code\":\"%s\",\"detail\":", errors->len ? "," : "",
                      variables_code(refusal.verdict));
        buffer_add_json_string(errors, bytes_of(variables_detail(&refusal)));
        buffer_add_string(errors, ",");
        add_name(errors, write->name);
        if (refusal.verdict == VARIABLES_CONFLICT)
            buffer_printf(errors, ",\"version\":%llu", (unsigned long long)refusal.version);
        buffer_add_string(errors, "}");
    }
}

static void respond_versions(struct exchange *exchange, const struct variable_batch *batch,
                             const uint64_t *versions, struct bytes errors)
{
    struct buffer text = {0};
    const char *comma = "";
    buffer_add_string(&text, "{\"versions\":{");
    for (size_t i = 0; i < batch->count; i++) {
        if (!versions[i])
            continue;
        buffer_add_string(&text, comma);
        buffer_add_json_string(&text, batch->writes[i].name);
        buffer_printf(&text, ":%llu", (unsigned long long)versions[i]);
        comma = ",";
    }
    buffer_add_string(&text, "}");
    if (!batch->atomic) {
        buffer_add_string(&text, ",\"errors\":[");
        buffer_add(&text, errors);
        buffer_add_string(&text, "]");
    }
    buffer_add_string(&text, "}");
    document_respond_json(exchange, 200, &text);
}

static void patch(struct exchange *exchange, struct session *session)
{
    struct variable_batch batch;
    struct member_fault fault;
    struct variables_refusal refusal;
    struct buffer errors = {0};
    size_t limit = 2 * (size_t)session_limits(session)->count;
    if (!variable_request_read_batch(exchange_payload(exchange), limit, exchange->arena, &batch,
                                     &fault)) {
        members_refuse(exchange, 400, &fault);
        return;
    }
    uint64_t *versions = arena_alloc(exchange->arena, batch.count * sizeof *versions);
    if (!batch.atomic)
        write_singly(session, &batch, versions, &errors);
    else if (!variables_write(session, batch.writes, batch.count, NULL, versions, &refusal)) {
        refuse(exchange, &refusal, batch.writes[refusal.index].name,
               pointer_of(exchange, &batch, &refusal), 0);
        return;
    }
    respond_versions(exchange, &batch, versions, buffer_bytes(&errors));
    buffer_deinit(&errors);
}

void variables_patch(struct exchange *exchange)
{
    struct session *session = document_is_json(exchange) ? resolve(exchange) : NULL;
    if (session)
        patch(exchange, session);
    session_unref(&session);
}
