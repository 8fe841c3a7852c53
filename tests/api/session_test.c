/* /sessions and their variables, as a client in C has them. */
#include "suite.h"

#include <stdio.h>
#include <string.h>

static void start_gateway(void)
{
    gateway = gateway_start(
        (const char *const[]){"--workers", "2", "--adapter", "session_tools.Shared", NULL}, NULL);
}

static struct answer send_json(const char *method, const char *path, const char *json,
                               const char *header)
{
    return client_send(client, &(struct request){.method = method,
                                                 .path = path,
                                                 .body = json,
                                                 .content_type = json ? "application/json" : NULL,
                                                 .headers = (const char *const[]){header, NULL}});
}

static void end_session(const char *path, int status)
{
    struct answer answer = send_json("DELETE", path, NULL, NULL);
    ck_assert_int_eq(answer.status, status);
    answer_deinit(&answer);
}

/* --- life --- */

static void a_session_begins_is_shown_changed_and_ended_body(void)
{
    struct answer answer = client_post(client, "/sessions", "{\"ttl_ms\":60000}");
    ck_assert_int_eq(answer.status, 201);
    char path[200];
    snprintf(path, sizeof(path), "%s", answer_header(&answer, "location"));
    ck_assert_int_eq(strncmp(path, "/sessions/s-", 12), 0);
    answer_deinit(&answer);

    answer = send_json("PATCH", path, "{\"metadata\":{\"plan\":\"free\"}}", NULL);
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);

    answer = client_get(client, path);
    json_t *session = answer_json(&answer, "application/json");
    ck_assert_int_eq(json_integer_value(json_object_get(session, "ttl_ms")), 60000);
    ck_assert_str_eq(member_text(json_object_get(session, "metadata"), "plan"), "free");
    answer_deinit(&answer);

    end_session(path, 204);
    answer = client_get(client, path);
    expect_problem(&answer, 404, "session_not_found");
    answer_deinit(&answer);
}
WITH_CLIENT(a_session_begins_is_shown_changed_and_ended)

/* How many of these sessions are page-N and so on, in that order; the others are of other tests. */
static unsigned count_pages(const json_t *sessions, unsigned first)
{
    unsigned found = 0;
    ck_assert_uint_le(json_array_size(sessions), 2);
    for (size_t i = 0; i < json_array_size(sessions); i++) {
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "page-%u", first + found);
        found += strcmp(member_text(json_array_get(sessions, i), "id"), wanted) == 0;
    }
    return found;
}

static void sessions_are_listed_by_pages_body(void)
{
    char path[64];
    for (unsigned i = 0; i < 3; i++) {
        char json[32];
        snprintf(json, sizeof(json), "{\"id\":\"page-%u\"}", i);
        struct answer answer = client_post(client, "/sessions", json);
        ck_assert_int_eq(answer.status, 201);
        answer_deinit(&answer);
    }
    unsigned found = 0;
    char next[80] = "/sessions?limit=2";
    for (bool more = true; more;) {
        struct answer answer = client_get(client, next);
        json_t *page = answer_json(&answer, "application/json");
        more = json_is_true(json_object_get(page, "more"));
        found += count_pages(json_object_get(page, "sessions"), found);
        if (more)
            snprintf(next, sizeof(next), "/sessions?limit=2&after=%s", member_text(page, "next"));
        answer_deinit(&answer);
    }
    ck_assert_uint_eq(found, 3);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "/sessions/page-%u", i);
        end_session(path, 204);
    }
}
WITH_CLIENT(sessions_are_listed_by_pages)

/* --- calls --- */

static void calls_of_a_session_know_it_and_find_their_worker_again_body(void)
{
    json_int_t pid = 0;
    for (json_int_t i = 1; i <= 4; i++) {
        struct answer answer = client_post(
            client, "/execute",
            "{\"tool\":\"count\",\"session_id\":\"c-calls\",\"affinity\":\"strict_queue\"}");
        json_t *result = expect_result(&answer);
        json_int_t now = json_integer_value(json_object_get(result, "pid"));
        ck_assert(pid == 0 || pid == now);
        pid = now;
        ck_assert_int_eq(json_integer_value(json_object_get(result, "count")), i);
        answer_deinit(&answer);
    }
    struct answer answer = client_post(client, "/tools/whoami?session_id=c-calls", "{}");
    ck_assert_str_eq(answer.body, "\"c-calls\"");
    answer_deinit(&answer);
    end_session("/sessions/c-calls", 204);
}
WITH_CLIENT(calls_of_a_session_know_it_and_find_their_worker_again)

/* --- variables --- */

static const char variable[] = "/sessions/c-variables/variables/heat";

static void put(const char *json, const char *header, int status, const char *etag)
{
    struct answer answer = send_json("PUT", variable, json, header);
    ck_assert_msg(answer.status == status, "%s", answer.body);
    if (etag)
        ck_assert_str_eq(answer_header(&answer, "etag"), etag);
    answer_deinit(&answer);
}

static void a_variable_has_versions_and_is_written_if_it_has_the_one_that_is_expected_body(void)
{
    struct answer answer = client_post(client, "/sessions", "{\"id\":\"c-variables\"}");
    answer_deinit(&answer);
    put("{\"value\":0.5,\"type\":\"float\"}", "if-none-match: *", 200, "\"1\"");
    put("{\"value\":0.5}", "if-none-match: *", 412, NULL);
    put("{\"value\":0.7}", "if-match: \"1\"", 200, "\"2\"");
    put("{\"value\":0.9}", "if-match: \"1\"", 412, NULL);
    put("{\"value\":\"hot\"}", NULL, 422, NULL);
    answer = client_get(client, variable);
    json_t *document = answer_json(&answer, "application/json");
    ck_assert_double_eq(json_number_value(json_object_get(document, "value")), 0.7);
    answer_deinit(&answer);
    answer = send_json("GET", variable, NULL, "if-none-match: \"2\"");
    ck_assert_int_eq(answer.status, 304);
    answer_deinit(&answer);
    end_session("/sessions/c-variables", 204);
}
WITH_CLIENT(a_variable_has_versions_and_is_written_if_it_has_the_one_that_is_expected)

static void several_variables_are_written_together_or_not_at_all_body(void)
{
    const char *path = "/sessions/c-batch/variables";
    struct answer answer = client_post(client, "/sessions", "{\"id\":\"c-batch\"}");
    answer_deinit(&answer);
    answer = send_json("PATCH", path, "{\"set\":{\"a\":{\"value\":1},\"b\":{\"value\":[]}}}", NULL);
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
    answer = send_json("PATCH", path,
                       "{\"set\":{\"a\":{\"value\":2},\"b\":{\"value\":1,\"expected_version\":9}}}",
                       NULL);
    expect_problem(&answer, 409, "version_conflict");
    answer_deinit(&answer);
    answer = client_get(client, "/sessions/c-batch/variables?names=a,c");
    json_t *document = answer_json(&answer, "application/json");
    json_t *a = json_object_get(json_object_get(document, "variables"), "a");
    ck_assert_int_eq(json_integer_value(json_object_get(a, "value")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(document, "missing")), 1);
    answer_deinit(&answer);
    end_session("/sessions/c-batch", 204);
}
WITH_CLIENT(several_variables_are_written_together_or_not_at_all)

int main(void)
{
    TCase *sessions = tcase_create("sessions");
    tcase_add_unchecked_fixture(sessions, start_gateway, stop_gateway);
    ADD_BOTH(sessions, a_session_begins_is_shown_changed_and_ended);
    ADD_BOTH(sessions, sessions_are_listed_by_pages);
    ADD_BOTH(sessions, calls_of_a_session_know_it_and_find_their_worker_again);
    ADD_BOTH(sessions, a_variable_has_versions_and_is_written_if_it_has_the_one_that_is_expected);
    ADD_BOTH(sessions, several_variables_are_written_together_or_not_at_all);
    return run_tcases((TCase *[]){sessions, NULL});
}
