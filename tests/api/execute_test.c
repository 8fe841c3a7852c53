/* POST /execute: the envelope, the answer, and what is wrong with either. */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start_gateway(void)
{
    gateway = gateway_start((const char *const[]){"--workers", "2", NULL}, NULL);
}

static void execute(struct answer *out, const char *body)
{
    *out = client_post(client, "/execute", body);
}

static void answer_has_result_and_meta_body(void)
{
    struct answer answer = client_execute(client, "add", "{\"a\":40,\"b\":2}");
    ck_assert_int_eq(json_integer_value(expect_result(&answer)), 42);
    json_t *meta = json_object_get(answer.json, "meta");
    ck_assert_uint_eq(json_object_size(meta), 6);
    ck_assert_str_eq(member_text(meta, "pool"), "default");
    ck_assert_int_eq(json_integer_value(json_object_get(meta, "attempts")), 1);
    double queue = -1, run = -1;
    const char *timing = answer_header(&answer, "server-timing");
    ck_assert_msg(timing && sscanf(timing, "queue;dur=%lf, run;dur=%lf", &queue, &run) == 2,
                  "server-timing: %s", timing ? timing : "missing");
    ck_assert(queue >= 0 && run >= 0);
    answer_deinit(&answer);
}
WITH_CLIENT(answer_has_result_and_meta)

static void defaults_of_the_tool_apply_body(void)
{
    struct answer answer = client_execute(client, "add", "{\"a\":41}");
    ck_assert_int_eq(json_integer_value(expect_result(&answer)), 41);
    answer_deinit(&answer);
}
WITH_CLIENT(defaults_of_the_tool_apply)

static void command_is_the_older_name_of_tool_body(void)
{
    struct answer answer;
    execute(&answer, "{\"command\":\"echo\",\"args\":{\"x\":1}}");
    ck_assert_int_eq(json_integer_value(json_object_get(expect_result(&answer), "x")), 1);
    answer_deinit(&answer);
}
WITH_CLIENT(command_is_the_older_name_of_tool)

static void args_may_be_left_out_body(void)
{
    struct answer answer;
    execute(&answer, "{\"tool\":\"echo\"}");
    ck_assert_uint_eq(json_object_size(expect_result(&answer)), 0);
    answer_deinit(&answer);
}
WITH_CLIENT(args_may_be_left_out)

static void every_member_of_the_envelope_is_accepted_body(void)
{
    struct answer answer;
    execute(&answer, " {\"tool\" : \"echo\", \"args\":{\"x\":null}, \"pool\":\"default\",\r\n\t"
                     "\"session_id\":\"one\", \"correlation_id\":\"c-1\", \"timeout_ms\":30000,"
                     "\"queue_timeout_ms\":5000} ");
    ck_assert(json_is_null(json_object_get(expect_result(&answer), "x")));
    answer_deinit(&answer);
}
WITH_CLIENT(every_member_of_the_envelope_is_accepted)

/* Arguments that must come back as what they were; compared as parsed values. */
static const char *const values[] = {
    "{}",
    "{\"x\":9223372036854775807,\"y\":-9223372036854775808}",
    "{\"x\":0.1,\"y\":1e300,\"z\":-2.5e-8,\"w\":5e-324}",
    "{\"x\":\"\\u0000 \\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\ud83d\\udc0d\"}",
    "{\"x\":\"\xc3\xa9 \xf0\x9f\x90\x8d \xe4\xb8\xad\"}",
    "{\"\xc3\xa9 key\":[true,false,null,[],{},\"\"]}",
    "{\"x\":{\"y\":{\"z\":[[[{\"deep\":[1,[2,[3]]]}]]]}}}",
    "{\"tool\":\"not the envelope's\",\"args\":{\"args\":1}}",
    "{\"name\":1,\"self\":2,\"params\":3,\"body\":4,\"ctx\":5}",
};

static void values_survive_the_way_there_and_back_body(void)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        json_t *sent = json_loads(values[i], JSON_ALLOW_NUL, NULL);
        ck_assert_msg(sent != NULL, "the test itself: %s", values[i]);
        struct answer answer = client_execute(client, "echo", values[i]);
        ck_assert_msg(json_equal(sent, expect_result(&answer)), "sent %s, got %s", values[i],
                      answer.body);
        json_decref(sent);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(values_survive_the_way_there_and_back)

static void integers_beyond_64_bits_survive_body(void)
{
    struct answer answer =
        client_execute(client, "echo", "{\"x\":123456789012345678901234567890123456789}");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_msg(strstr(answer.body, "123456789012345678901234567890123456789") != NULL, "%s",
                  answer.body);
    answer_deinit(&answer);
}
WITH_CLIENT(integers_beyond_64_bits_survive)

static void a_megabyte_survives_body(void)
{
    size_t size = 1 << 20;
    static const char before[] = "{\"x\":\"", after[] = "\"}";
    size_t start = sizeof(before) - 1;
    char *args = malloc(start + size + sizeof(after));
    memcpy(args, before, start);
    for (size_t i = 0; i < size; i++)
        args[start + i] = (char)('a' + i % 23);
    memcpy(args + start + size, after, sizeof(after));
    struct answer answer = client_execute(client, "echo", args);
    const char *back = member_text(expect_result(&answer), "x");
    ck_assert_uint_eq(strlen(back), size);
    ck_assert(memcmp(back, args + start, size) == 0);
    free(args);
    answer_deinit(&answer);
}
WITH_CLIENT(a_megabyte_survives)

static const char *const not_json[] = {
    "{",
    "}",
    "{]",
    "nul",
    "truex",
    "{\"tool\":}",
    "{\"tool\" \"echo\"}",
    "{\"tool\":\"echo\",}",
    "{,}",
    "{'tool':'echo'}",
    "{tool:\"echo\"}",
    "{\"tool\":\"echo\"} x",
    "{\"tool\":\"echo\"}{}",
    "[1,2",
    "[1,]",
    "{\"tool\":\"echo\",\"args\":{\"x\":01}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":1.}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":.5}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":+1}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":1e}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":0x10}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":NaN}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":-Infinity}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":-}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\\x\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\\u12G4\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\n\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\x01\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\xff\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\xc0\xaf\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"\xed\xa0\x80\"}}",
    "{\"tool\":\"echo\",\"args\":{\"x\":\"unterminated}}",
    "{\"tool\":\"echo\" /* no */}",
    "   ",
};

static void what_is_not_json_is_invalid_json_body(void)
{
    for (size_t i = 0; i < sizeof(not_json) / sizeof(*not_json); i++) {
        struct answer answer;
        execute(&answer, not_json[i]);
        ck_assert_msg(answer.status == 400, "%s gave %ld", not_json[i], answer.status);
        json_t *problem = expect_problem(&answer, 400, "invalid_json");
        ck_assert_str_eq(member_text(problem, "category"), "validation");
        ck_assert_str_eq(member_text(problem, "executed"), "no");
        ck_assert(!json_boolean_value(json_object_get(problem, "retryable")));
        ck_assert_str_eq(member_text(problem, "instance"), "/execute");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(what_is_not_json_is_invalid_json)

static void a_nul_byte_in_the_body_is_invalid_json_body(void)
{
    static const char body[] = "{\"tool\":\"echo\"}\0";
    struct answer answer =
        client_send(client, &(struct request){.path = "/execute",
                                              .body = body,
                                              .size = sizeof(body) - 1,
                                              .content_type = "application/json"});
    expect_problem(&answer, 400, "invalid_json");
    answer_deinit(&answer);
}
WITH_CLIENT(a_nul_byte_in_the_body_is_invalid_json)

static void an_empty_body_is_invalid_json_body(void)
{
    struct answer answer = client_send(
        client, &(struct request){
                    .path = "/execute", .empty_body = true, .content_type = "application/json"});
    expect_problem(&answer, 400, "invalid_json");
    answer_deinit(&answer);
}
WITH_CLIENT(an_empty_body_is_invalid_json)

/* Envelopes that are JSON and wrong, and the member that must be named. */
static const struct {
    const char *body;
    const char *member;
} wrong[] = {
    {"{\"tool\":\"echo\",\"colour\":1}", "colour"},
    {"{\"tool\":\"echo\",\"Args\":{}}", "Args"},
    {"{\"tool\":\"echo\",\"\":1}", ""},
    {"{}", "tool"},
    {"{\"args\":{}}", "tool"},
    {"{\"tool\":1}", "tool"},
    {"{\"tool\":null}", "tool"},
    {"{\"tool\":[\"echo\"]}", "tool"},
    {"{\"tool\":\"\"}", "tool"},
    {"{\"command\":1}", "command"},
    {"{\"tool\":\"echo\",\"args\":[]}", "args"},
    {"{\"tool\":\"echo\",\"args\":\"x\"}", "args"},
    {"{\"tool\":\"echo\",\"args\":null}", "args"},
    {"{\"tool\":\"echo\",\"pool\":1}", "pool"},
    {"{\"tool\":\"echo\",\"session_id\":{}}", "session_id"},
    {"{\"tool\":\"echo\",\"correlation_id\":[]}", "correlation_id"},
    {"{\"tool\":\"echo\",\"timeout_ms\":\"1\"}", "timeout_ms"},
    {"{\"tool\":\"echo\",\"timeout_ms\":-1}", "timeout_ms"},
    {"{\"tool\":\"echo\",\"timeout_ms\":true}", "timeout_ms"},
    {"{\"tool\":\"echo\",\"queue_timeout_ms\":{}}", "queue_timeout_ms"},
};

static void a_wrong_member_is_named_body(void)
{
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct answer answer;
        execute(&answer, wrong[i].body);
        ck_assert_msg(answer.status == 400, "%s gave %ld", wrong[i].body, answer.status);
        json_t *problem = expect_problem(&answer, 400, "invalid_request");
        ck_assert_str_eq(member_text(problem, "executed"), "no");
        json_t *error = json_array_get(json_object_get(problem, "errors"), 0);
        ck_assert_msg(strstr(member_text(problem, "detail"), wrong[i].member) != NULL ||
                          strstr(member_text(error, "pointer"), wrong[i].member) != NULL,
                      "%s: %s is not named in %s", wrong[i].body, wrong[i].member, answer.body);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(a_wrong_member_is_named)

static void an_envelope_must_be_an_object_body(void)
{
    static const char *const bodies[] = {"[]",  "[{\"tool\":\"echo\"}]", "\"echo\"", "1", "null",
                                         "true"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct answer answer;
        execute(&answer, bodies[i]);
        expect_problem(&answer, 400, "invalid_request");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(an_envelope_must_be_an_object)

/* {"tool":"echo","args":{"x":[[…]]}}, with `depth` levels in all. */
static char *nested_envelope(size_t depth)
{
    static const char before[] = "{\"tool\":\"echo\",\"args\":{\"x\":", after[] = "}}";
    size_t arrays = depth - 2, at = sizeof(before) - 1;
    char *body = malloc(at + 2 * arrays + sizeof(after));
    memcpy(body, before, at);
    memset(body + at, '[', arrays);
    memset(body + at + arrays, ']', arrays);
    memcpy(body + at + 2 * arrays, after, sizeof(after));
    return body;
}

static void nesting_has_a_limit_body(void)
{
    static const struct {
        size_t depth;
        long status;
    } cases[] = {{120, 200}, {128, 200}, {140, 400}, {1000000, 400}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char *body = nested_envelope(cases[i].depth);
        struct answer answer;
        execute(&answer, body);
        ck_assert_msg(answer.status == cases[i].status, "depth %zu gave %ld %s", cases[i].depth,
                      answer.status, answer.error);
        free(body);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(nesting_has_a_limit)

static void content_type_must_be_json_if_there_is_one_body(void)
{
    static const struct {
        const char *type;
        long status;
    } cases[] = {{NULL, 200},
                 {"application/json", 200},
                 {"application/json; charset=utf-8", 200},
                 {"APPLICATION/JSON", 200},
                 {"application/x-www-form-urlencoded", 415},
                 {"text/plain", 415},
                 {"application/octet-stream", 415},
                 {"application/jsonx", 415}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct answer answer =
            client_send(client, &(struct request){.path = "/execute",
                                                  .body = "{\"tool\":\"echo\"}",
                                                  .content_type = cases[i].type});
        ck_assert_msg(answer.status == cases[i].status, "%s gave %ld %s", cases[i].type,
                      answer.status, answer.error);
        if (answer.status == 415)
            expect_problem(&answer, 415, "unsupported_media_type");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(content_type_must_be_json_if_there_is_one)

static void unknown_tool_is_not_found_body(void)
{
    struct answer answer = client_execute(client, "no_such_tool", "{}");
    json_t *problem = expect_problem(&answer, 404, "tool_not_found");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    ck_assert_msg(strstr(answer.body, "no_such_tool") != NULL, "%s", answer.body);
    answer_deinit(&answer);
}
WITH_CLIENT(unknown_tool_is_not_found)

static void unknown_pool_is_not_found_body(void)
{
    struct answer answer;
    execute(&answer, "{\"tool\":\"echo\",\"pool\":\"elsewhere\"}");
    expect_problem(&answer, 404, "pool_not_found");
    answer_deinit(&answer);
}
WITH_CLIENT(unknown_pool_is_not_found)

static void arguments_that_do_not_fit_are_422_body(void)
{
    static const char *const args[] = {"{}", "{\"a\":1,\"c\":2}"};
    for (size_t i = 0; i < 2; i++) {
        struct answer answer = client_execute(client, "add", args[i]);
        json_t *problem = expect_problem(&answer, 422, "invalid_arguments");
        ck_assert_str_eq(member_text(problem, "executed"), "no");
        ck_assert_str_eq(member_text(problem, "category"), "validation");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(arguments_that_do_not_fit_are_422)

static void an_exception_comes_with_type_message_and_traceback_body(void)
{
    struct answer answer = client_execute(
        client, "fail", "{\"exception\":\"KeyError\",\"message\":\"lost \xc3\xa9\"}");
    json_t *problem = expect_problem(&answer, 500, "python_error");
    json_t *python = json_object_get(problem, "python");
    ck_assert_str_eq(member_text(python, "type"), "KeyError");
    ck_assert_msg(strstr(member_text(python, "message"), "lost \xc3\xa9") != NULL, "%s",
                  answer.body);
    ck_assert_msg(strstr(member_text(python, "traceback"), "Traceback") != NULL, "%s", answer.body);
    ck_assert_str_eq(member_text(problem, "category"), "python_error");
    ck_assert_str_eq(member_text(problem, "executed"), "yes");
    ck_assert_str_eq(member_text(problem, "tool"), "fail");
    answer_deinit(&answer);
}
WITH_CLIENT(an_exception_comes_with_type_message_and_traceback)

static void fail_raises_value_error_by_default_body(void)
{
    struct answer answer = client_execute(client, "fail", "{}");
    json_t *problem = expect_problem(&answer, 500, "python_error");
    ck_assert_str_eq(member_text(json_object_get(problem, "python"), "type"), "ValueError");
    answer_deinit(&answer);
}
WITH_CLIENT(fail_raises_value_error_by_default)

static void the_callers_request_id_comes_back_body(void)
{
    struct answer answer = client_send(
        client,
        &(struct request){.path = "/execute",
                          .body = "{\"tool\":\"echo\"}",
                          .headers = (const char *const[]){"X-Request-Id: abc-123.Z", NULL}});
    expect_result(&answer);
    ck_assert_str_eq(answer_header(&answer, "x-request-id"), "abc-123.Z");
    answer_deinit(&answer);
}
WITH_CLIENT(the_callers_request_id_comes_back)

static void request_ids_of_ones_own_differ_body(void)
{
    struct answer first = client_execute(client, "echo", "{}");
    struct answer second = client_execute(client, "echo", "{}");
    expect_result(&first);
    expect_result(&second);
    ck_assert_str_ne(member_text(json_object_get(first.json, "meta"), "request_id"),
                     member_text(json_object_get(second.json, "meta"), "request_id"));
    answer_deinit(&first);
    answer_deinit(&second);
}
WITH_CLIENT(request_ids_of_ones_own_differ)

static void run_time_is_measured_body(void)
{
    struct answer answer = client_execute(client, "sleep", "{\"seconds\":0.2}");
    expect_result(&answer);
    double run = json_number_value(json_object_get(json_object_get(answer.json, "meta"), "run_ms"));
    ck_assert_msg(run >= 199 && run < 10000, "run_ms %f", run);
    answer_deinit(&answer);
}
WITH_CLIENT(run_time_is_measured)

static void a_tool_that_takes_too_long_is_a_timeout_body(void)
{
    struct answer answer;
    execute(&answer, "{\"tool\":\"sleep\",\"args\":{\"seconds\":20},\"run_timeout_ms\":300}");
    json_t *problem = expect_problem(&answer, 504, "worker_timeout");
    ck_assert_str_eq(member_text(problem, "category"), "timeout");
    ck_assert_str_ne(member_text(problem, "executed"), "no");
    answer_deinit(&answer);
    /* Neither worker is lost to it. */
    for (int i = 0; i < 4; i++) {
        answer = client_execute(client, "sleep", "{\"seconds\":0.05}");
        expect_result(&answer);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(a_tool_that_takes_too_long_is_a_timeout)

enum { CALLERS = 24, CALLS_EACH = 20 };

/* Requests of many connections at once; each must get its own answer. */
static void concurrent_callers_get_their_own_answers_body(void)
{
    struct pending *pending[CALLERS];
    for (int round = 0; round < CALLS_EACH; round++) {
        for (int i = 0; i < CALLERS; i++) {
            char body[96];
            snprintf(body, sizeof(body), "{\"tool\":\"echo\",\"args\":{\"me\":%d}}",
                     round * CALLERS + i);
            pending[i] = client_send_later(gateway_port(gateway), i % 2 == 0,
                                           &(struct request){.path = "/execute", .body = body});
        }
        for (int i = 0; i < CALLERS; i++) {
            struct answer answer = pending_wait(&pending[i]);
            json_t *mine = json_object_get(expect_result(&answer), "me");
            ck_assert_int_eq(json_integer_value(mine), round * CALLERS + i);
            answer_deinit(&answer);
        }
    }
}
WITH_CLIENT(concurrent_callers_get_their_own_answers)

/* Two sleeping calls on two workers: they must overlap. */
static void two_workers_run_at_the_same_time_body(void)
{
    const struct request request = {.path = "/execute",
                                    .body = "{\"tool\":\"sleep\",\"args\":{\"seconds\":2}}"};
    struct pending *first = client_send_later(gateway_port(gateway), false, &request);
    struct pending *second = client_send_later(gateway_port(gateway), true, &request);
    struct answer one = pending_wait(&first), two = pending_wait(&second);
    expect_result(&one);
    expect_result(&two);
    ck_assert_str_ne(member_text(json_object_get(one.json, "meta"), "worker"),
                     member_text(json_object_get(two.json, "meta"), "worker"));
    answer_deinit(&one);
    answer_deinit(&two);
}
WITH_CLIENT(two_workers_run_at_the_same_time)

int main(void)
{
    TCase *tcase = tcase_create("execute");
    tcase_add_unchecked_fixture(tcase, start_gateway, stop_gateway);
    ADD_BOTH(tcase, answer_has_result_and_meta);
    ADD_BOTH(tcase, defaults_of_the_tool_apply);
    ADD_BOTH(tcase, command_is_the_older_name_of_tool);
    ADD_BOTH(tcase, args_may_be_left_out);
    ADD_BOTH(tcase, every_member_of_the_envelope_is_accepted);
    ADD_BOTH(tcase, values_survive_the_way_there_and_back);
    ADD_BOTH(tcase, integers_beyond_64_bits_survive);
    ADD_BOTH(tcase, a_megabyte_survives);
    ADD_BOTH(tcase, what_is_not_json_is_invalid_json);
    ADD_BOTH(tcase, a_nul_byte_in_the_body_is_invalid_json);
    ADD_BOTH(tcase, an_empty_body_is_invalid_json);
    ADD_BOTH(tcase, a_wrong_member_is_named);
    ADD_BOTH(tcase, an_envelope_must_be_an_object);
    ADD_BOTH(tcase, nesting_has_a_limit);
    ADD_BOTH(tcase, content_type_must_be_json_if_there_is_one);
    ADD_BOTH(tcase, unknown_tool_is_not_found);
    ADD_BOTH(tcase, unknown_pool_is_not_found);
    ADD_BOTH(tcase, arguments_that_do_not_fit_are_422);
    ADD_BOTH(tcase, an_exception_comes_with_type_message_and_traceback);
    ADD_BOTH(tcase, fail_raises_value_error_by_default);
    ADD_BOTH(tcase, the_callers_request_id_comes_back);
    ADD_BOTH(tcase, request_ids_of_ones_own_differ);
    ADD_BOTH(tcase, run_time_is_measured);
    ADD_BOTH(tcase, a_tool_that_takes_too_long_is_a_timeout);
    ADD_ONCE(tcase, concurrent_callers_get_their_own_answers);
    ADD_ONCE(tcase, two_workers_run_at_the_same_time);
    return run_tcases((TCase *[]){tcase, NULL});
}
