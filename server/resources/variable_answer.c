#include "server/resources/variable_answer.h"

#include "server/http/document.h"
#include "server/http/problem.h"
#include "server/requests/membership.h"

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

struct bytes variable_etag(struct exchange *exchange, uint64_t version)
{
    return bytes_of(arena_printf(exchange->arena, "\"%llu\"", (unsigned long long)version));
}

void variable_respond(struct exchange *exchange, unsigned status, const struct variable *variable)
{
    struct buffer text = {0};
    struct response response = {.status = status};
    response_header(&response, "content-type", BYTES("application/json"));
    response_header(&response, "etag", variable_etag(exchange, variable->version));
    buffer_add_string(&text, "{\"name\":");
    buffer_add_json_string(&text, variable->name);
    buffer_add_string(&text, ",");
    add_variable(&text, variable);
    response_part(&response, arena_copy(exchange->arena, buffer_bytes(&text)));
    buffer_deinit(&text);
    exchange_respond(exchange, &response);
}

/* --- refusing --- */

void variable_add_name(struct buffer *members, struct bytes name)
{
    buffer_add_string(members, "\"variable\":");
    buffer_add_json_string(members, name.len > VARIABLE_NAME_MAX ? (struct bytes){0} : name);
}

void variable_refuse_unknown(struct exchange *exchange, struct bytes name)
{
    struct buffer members = {0};
    variable_add_name(&members, name);
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
    variable_add_name(members, name);
    if (refusal->verdict == VARIABLES_CONFLICT)
        buffer_printf(members, ",\"version\":%llu", (unsigned long long)refusal->version);
    if (!pointer)
        return;
    buffer_add_string(members, ",\"errors\":[{\"pointer\":");
    buffer_add_json_string(members, bytes_of(pointer));
    buffer_add_string(members, ",\"detail\":");
    buffer_add_json_string(members, bytes_of(variables_detail(refusal)));
    buffer_add_string(members, "}]");
}

static bool is_quota(enum variables_verdict verdict)
{
    return verdict == VARIABLES_LARGE || verdict == VARIABLES_MANY || verdict == VARIABLES_FULL;
}

void variable_refuse(struct exchange *exchange, const struct variables_refusal *refusal,
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

/* --- several --- */

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

void variable_respond_several(struct exchange *exchange, const struct variable *variables,
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

void variable_respond_versions(struct exchange *exchange, const struct variable *written,
                               const struct variable_batch *batch, struct bytes errors)
{
    struct buffer text = {0};
    const char *comma = "";
    buffer_add_string(&text, "{\"versions\":{");
    for (size_t i = 0; i < batch->count; i++) {
        if (!written[i].version)
            continue;
        buffer_add_string(&text, comma);
        buffer_add_json_string(&text, written[i].name);
        buffer_printf(&text, ":%llu", (unsigned long long)written[i].version);
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
