#include "server/tools/arguments.h"

#include "server/http/problem.h"

#include <stdio.h>

static void add_error(struct buffer *members, const char *prefix, const struct schema_fault *fault)
{
    char pointer[sizeof "/args" + sizeof fault->pointer];
    (void)snprintf(pointer, sizeof pointer, "%s%s", prefix, fault->pointer);
    buffer_add_string(members, "{\"pointer\":");
    buffer_add_json_string(members, bytes_of(pointer));
    buffer_add_string(members, ",\"detail\":");
    buffer_add_json_string(members, bytes_of(fault->detail));
    buffer_add_string(members, "}");
}

const char *arguments_sentence(struct arena *arena, const char *prefix,
                               const struct schema_faults *faults)
{
    const struct schema_fault *first = &faults->list[0];
    unsigned others = faults->count - 1;
    return arena_printf(arena, "%s%s: %s%s", prefix, first->pointer, first->detail,
                        others || faults->more ? " (and more, see errors)" : "");
}

struct bytes arguments_errors(struct arena *arena, const char *prefix,
                              const struct schema_faults *faults)
{
    struct buffer text = {0};
    buffer_add_string(&text, "[");
    for (unsigned i = 0; i < faults->count; i++) {
        buffer_add_string(&text, i ? "," : "");
        add_error(&text, prefix, &faults->list[i]);
    }
    buffer_add_string(&text, "]");
    struct bytes copy = arena_copy(arena, buffer_bytes(&text));
    buffer_deinit(&text);
    return copy;
}

static void refuse(struct exchange *exchange, struct bytes tool, const char *pool,
                   const char *prefix, const struct schema_faults *faults)
{
    struct buffer members = {0};
    buffer_printf(&members, "\"tool\":\"%.*s\",", (int)tool.len, tool.data);
    if (pool)
        buffer_printf(&members, "\"pool\":\"%s\",", pool);
    buffer_add_string(&members, "\"errors\":");
    buffer_add(&members, arguments_errors(exchange->arena, prefix, faults));
    problem_respond(exchange,
                    &(struct problem){.status = 422,
                                      .code = "invalid_arguments",
                                      .detail = arguments_sentence(exchange->arena, prefix, faults),
                                      .members = buffer_bytes(&members)});
    buffer_deinit(&members);
}

bool arguments_fit(struct exchange *exchange, const struct schema *schema, struct bytes tool,
                   const char *pool, struct bytes args, const char *prefix)
{
    struct schema_faults faults;
    if (!schema || schema_check(schema, args, &faults))
        return true;
    refuse(exchange, tool, pool, prefix, &faults);
    return false;
}
