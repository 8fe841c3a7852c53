#include "server/http/problem_text.h"

#include <microhttpd.h>
#include <string.h>

enum { CODE_MAX = 64 };

bool problem_code(struct bytes code)
{
    bool good = code.len > 0 && code.len <= CODE_MAX && code.data[0] >= 'a' && code.data[0] <= 'z';
    for (size_t i = 0; good && i < code.len; i++) {
        char c = code.data[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return good;
}

static const char *title_of(const struct problem *problem)
{
    if (problem->title)
        return problem->title;
    if (problem->status == 499)
        return "Client Closed Request";
    const char *phrase = MHD_get_reason_phrase_for(problem->status);
    if (strcmp(phrase, "Unknown") != 0)
        return phrase;
    return problem->status < 500 ? "Client Error" : "Server Error"; /* RFC 9110, 15.5 and 15.6 */
}

static const char *category_of(const struct problem *problem)
{
    if (problem->category)
        return problem->category;
    return problem->status < 500 ? "validation" : "pool";
}

static void add_member(struct buffer *json, const char *name, struct bytes text)
{
    if (!text.data)
        return;
    buffer_printf(json, ",\"%s\":", name);
    buffer_add_json_string(json, text);
}

void problem_write(const struct problem *problem, struct bytes instance, struct bytes request_id,
                   struct buffer *out_text)
{
    struct buffer *json = out_text;
    buffer_printf(json, "{\"type\":\"/problems/%s\",\"title\":", problem->code);
    buffer_add_json_string(json, bytes_of(title_of(problem)));
    buffer_printf(json, ",\"status\":%u", problem->status);
    add_member(json, "detail", bytes_of(problem->detail));
    if (instance.len)
        add_member(json, "instance", instance);
    add_member(json, "code", bytes_of(problem->code));
    add_member(json, "category", bytes_of(category_of(problem)));
    add_member(json, "request_id", request_id);
    buffer_printf(json, ",\"retryable\":%s", problem->retryable ? "true" : "false");
    add_member(json, "executed", bytes_of(problem->executed ? problem->executed : "no"));
    if (problem->limit > 0)
        buffer_printf(json, ",\"limit\":%lld", (long long)problem->limit);
    if (problem->members.len > 0) {
        buffer_add(json, BYTES(","));
        buffer_add(json, problem->members);
    }
    buffer_add(json, BYTES("}"));
}

static struct bytes document(const struct problem *problem, struct bytes instance,
                             struct bytes request_id, struct arena *arena)
{
    struct buffer json = {0};
    problem_write(problem, instance, request_id, &json);
    struct bytes copy = arena_copy(arena, buffer_bytes(&json));
    buffer_deinit(&json);
    return copy;
}

/* Rounded up, and within a day. */
static unsigned whole_seconds(double seconds)
{
    if (seconds > 86400)
        return 86400;
    unsigned whole = (unsigned)seconds;
    return whole + (seconds > whole);
}

/* draft-ietf-httpapi-ratelimit-headers: a quota that is used up, by the name of its problem. */
static void add_quota(const struct problem *problem, struct arena *arena, struct response *response)
{
    unsigned wait_s = whole_seconds(problem->retry_after_s);
    const char *until = wait_s ? arena_printf(arena, ";t=%u", wait_s) : "";
    response_header(
        response, "ratelimit-policy",
        bytes_of(arena_printf(arena, "\"%s\";q=%lld", problem->code, (long long)problem->limit)));
    response_header(response, "ratelimit",
                    bytes_of(arena_printf(arena, "\"%s\";r=0%s", problem->code, until)));
}

void problem_answer(const struct problem *problem, struct bytes instance, struct bytes request_id,
                    struct arena *arena, struct response *out_response)
{
    *out_response = (struct response){.status = problem->status};
    response_header(out_response, "content-type", BYTES("application/problem+json"));
    if (problem->retry_after_s > 0)
        response_header(out_response, "retry-after",
                        bytes_of(arena_printf(arena, "%u", whole_seconds(problem->retry_after_s))));
    if (problem->status == 429 && problem->limit > 0)
        add_quota(problem, arena, out_response);
    if (problem->allow.len > 0)
        response_header(out_response, "allow", arena_copy(arena, problem->allow));
    response_part(out_response, document(problem, instance, request_id, arena));
}
