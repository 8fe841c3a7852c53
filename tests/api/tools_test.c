/* /tools: what there is to run, and running it with the bare body, JSON or bytes. */
#include "suite.h"

#include <stdio.h>
#include <string.h>

enum { BODY_LIMIT = 64 << 20 };

/* Under ThreadSanitizer a megabyte through gRPC, which is not instrumented, can take a minute: the
 * sanitizer walks every byte of what it then suppresses (FindRacyAddress). */
#ifdef __SANITIZE_THREAD__
enum { MEGABYTE = 1 << 10 };
#else
enum { MEGABYTE = 1 << 20 };
#endif

static void start_gateway(void)
{
    gateway = gateway_start((const char *const[]){"--workers", "2", NULL}, NULL);
}

static void start_ledger(void)
{
    gateway = gateway_start(
        (const char *const[]){"--workers", "1", "--adapter", "ledger.Ledger", NULL}, NULL);
}

static struct answer send_bytes(const char *path, const char *type, const char *body, size_t size)
{
    return client_send(client, &(struct request){.path = path,
                                                 .body = body,
                                                 .size = size,
                                                 .empty_body = size == 0,
                                                 .content_type = type});
}

static char *patterned(size_t size)
{
    char *bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i ^ i >> 8 ^ i >> 16);
    bytes[size] = '\0';
    return bytes;
}

static void the_list_has_the_demo_tools_by_name_body(void)
{
    static const char *const names[] = {"add",  "crash", "csv_describe", "echo",
                                        "fail", "sleep", "text_stats",   NULL};
    struct answer answer = client_get(client, "/tools");
    ck_assert_int_eq(answer.status, 200);
    json_t *tools = json_object_get(answer_json(&answer, "application/json"), "tools");
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(tools) && names[found]; i++)
        found += strcmp(member_text(json_array_get(tools, i), "name"), names[found]) == 0;
    ck_assert_msg(names[found] == NULL, "%s is missing in %s", names[found], answer.body);
    answer_deinit(&answer);
}
WITH_CLIENT(the_list_has_the_demo_tools_by_name)

static void a_tool_has_description_and_schema_body(void)
{
    struct answer answer = client_get(client, "/tools/add");
    ck_assert_int_eq(answer.status, 200);
    json_t *tool = answer_json(&answer, "application/json");
    ck_assert_str_eq(member_text(tool, "name"), "add");
    ck_assert_str_ne(member_text(tool, "description"), "");
    json_t *schema = json_object_get(tool, "schema");
    ck_assert_str_eq(member_text(schema, "type"), "object");
    ck_assert(json_is_object(json_object_get(json_object_get(schema, "properties"), "a")));
    ck_assert_uint_eq(json_array_size(json_object_get(schema, "required")), 1);
    answer_deinit(&answer);
}
WITH_CLIENT(a_tool_has_description_and_schema)

static void an_unknown_tool_is_not_found_body(void)
{
    static const char *const paths[] = {"/tools/nothing", "/tools/%00", "/tools/a%2Fb",
                                        "/tools/.."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct answer answer = client_get(client, paths[i]);
        expect_problem(&answer, 404, "tool_not_found");
        answer_deinit(&answer);
        answer = client_post(client, paths[i], "{}");
        expect_problem(&answer, 404, "tool_not_found");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(an_unknown_tool_is_not_found)

static void a_name_may_be_percent_encoded_body(void)
{
    struct answer answer = client_post(client, "/tools/%61dd", "{\"a\":1,\"b\":2}");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "3");
    answer_deinit(&answer);
}
WITH_CLIENT(a_name_may_be_percent_encoded)

static void json_arguments_give_the_bare_result_body(void)
{
    struct answer answer = client_post(client, "/tools/add", "{\"a\":40,\"b\":2}");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_int_eq(json_integer_value(answer_json(&answer, "application/json")), 42);
    ck_assert_str_ne(answer_header(&answer, "x-request-id") ?: "", "");
    ck_assert_str_ne(answer_header(&answer, "x-snakepit-worker") ?: "", "");
    const char *timing = answer_header(&answer, "server-timing") ?: "";
    ck_assert_msg(strstr(timing, "queue;dur=") && strstr(timing, "run;dur="), "%s", timing);
    answer_deinit(&answer);
}
WITH_CLIENT(json_arguments_give_the_bare_result)

static void no_body_means_no_arguments_body(void)
{
    struct answer answer =
        client_send(client, &(struct request){.path = "/tools/echo", .empty_body = true});
    ck_assert_msg(answer.status == 200, "%ld: %s", answer.status, answer.body);
    ck_assert_str_eq(answer.body, "{}");
    answer_deinit(&answer);
}
WITH_CLIENT(no_body_means_no_arguments)

static void json_that_is_no_object_is_refused_body(void)
{
    static const struct {
        const char *body;
        const char *code;
    } cases[] = {{"[1]", "invalid_request"},
                 {"1", "invalid_request"},
                 {"{", "invalid_json"},
                 {"{\"a\":NaN}", "invalid_json"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct answer answer = client_post(client, "/tools/echo", cases[i].body);
        expect_problem(&answer, 400, cases[i].code);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(json_that_is_no_object_is_refused)

static void errors_are_problems_here_too_body(void)
{
    struct answer answer = client_post(client, "/tools/fail", "{\"message\":\"no\"}");
    json_t *python = json_object_get(expect_problem(&answer, 500, "python_error"), "python");
    ck_assert_str_eq(member_text(python, "type"), "ValueError");
    answer_deinit(&answer);
    answer = client_post(client, "/tools/add", "{\"b\":1}");
    expect_problem(&answer, 422, "invalid_arguments");
    answer_deinit(&answer);
}
WITH_CLIENT(errors_are_problems_here_too)

static void text_stats_reads_a_text_body_body(void)
{
    static const char text[] = "the cat and the dog\nand the bird\n";
    struct answer answer = send_bytes("/tools/text_stats", "text/plain", text, sizeof(text) - 1);
    ck_assert_msg(answer.status == 200, "%ld: %s", answer.status, answer.body);
    json_t *stats = answer_json(&answer, "application/json");
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "lines")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "words")), 8);
    ck_assert_msg(strstr(answer.body, "\"the\"") != NULL, "%s", answer.body);
    answer_deinit(&answer);
}
WITH_CLIENT(text_stats_reads_a_text_body)

static void text_stats_reads_a_binary_body_body(void)
{
    char *bytes = patterned(100000);
    struct answer answer =
        send_bytes("/tools/text_stats", "application/octet-stream", bytes, 100000);
    ck_assert_msg(answer.status == 200, "%ld: %s", answer.status, answer.body);
    ck_assert(json_is_object(answer_json(&answer, "application/json")));
    free(bytes);
    answer_deinit(&answer);
}
WITH_CLIENT(text_stats_reads_a_binary_body)

static void csv_describe_reads_a_csv_body_body(void)
{
    static const char csv[] = "name,age\nada,36\ngrace,85\nalan,41\n";
    struct answer answer = send_bytes("/tools/csv_describe", "text/csv", csv, sizeof(csv) - 1);
    ck_assert_msg(answer.status == 200, "%ld: %s", answer.status, answer.body);
    answer_json(&answer, "application/json");
    ck_assert_msg(strstr(answer.body, "age") && strstr(answer.body, "54"), "%s", answer.body);
    answer_deinit(&answer);
}
WITH_CLIENT(csv_describe_reads_a_csv_body)

/* --- with the ledger: bytes both ways --- */

static void bytes_cross_unchanged_body(void)
{
    static const size_t sizes[] = {
        0, 1, 255, 4096, 65535, 65536, 65537, MEGABYTE, 16 * MEGABYTE + 7};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *bytes = patterned(sizes[i]);
        struct answer answer =
            send_bytes("/tools/mirror", "application/octet-stream", bytes, sizes[i]);
        ck_assert_msg(answer.status == 200, "%zu bytes: %ld %s %.300s", sizes[i], answer.status,
                      answer.error, answer.body);
        ck_assert_str_eq(answer_header(&answer, "content-type") ?: "", "application/octet-stream");
        ck_assert_uint_eq(answer.size, sizes[i]);
        ck_assert(memcmp(answer.body, bytes, sizes[i]) == 0);
        ck_assert_str_ne(answer_header(&answer, "x-snakepit-worker") ?: "", "");
        free(bytes);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(bytes_cross_unchanged)

static void any_content_type_but_json_is_bytes_body(void)
{
    static const char *const types[] = {"text/plain; charset=utf-8",
                                        "multipart/form-data; boundary=x",
                                        "application/vnd.apache.arrow.stream", "image/png"};
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        struct answer answer = send_bytes("/tools/mirror", types[i], "{\"a\0\xff", 6);
        ck_assert_msg(answer.status == 200, "%s: %ld %s", types[i], answer.status, answer.body);
        ck_assert_uint_eq(answer.size, 6);
        ck_assert(memcmp(answer.body, "{\"a\0\xff", 6) == 0);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(any_content_type_but_json_is_bytes)

static void a_large_answer_of_json_and_of_bytes_arrives_whole_body(void)
{
    char args[64];
    snprintf(args, sizeof(args), "{\"size\":%d}", 8 * MEGABYTE + 1);
    struct answer answer = client_post(client, "/tools/wide", args);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.size, 8 * MEGABYTE + 1 + strlen("\"\""));
    answer_deinit(&answer);
    answer = client_post(client, "/tools/block", args);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.size, 8 * MEGABYTE + 1);
    for (size_t i = 0; i < answer.size; i += 4099)
        ck_assert_int_eq((unsigned char)answer.body[i], i % 256);
    answer_deinit(&answer);
}
WITH_CLIENT(a_large_answer_of_json_and_of_bytes_arrives_whole)

static void a_chunked_body_is_a_body_body(void)
{
    char *bytes = patterned(300000);
    struct answer answer = client_send(client, &(struct request){.path = "/tools/mirror",
                                                                 .body = bytes,
                                                                 .size = 300000,
                                                                 .content_type = "image/png",
                                                                 .chunked = true});
    ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.error);
    ck_assert_uint_eq(answer.size, 300000);
    ck_assert(memcmp(answer.body, bytes, 300000) == 0);
    free(bytes);
    answer_deinit(&answer);
}
WITH_CLIENT(a_chunked_body_is_a_body)

static void a_body_at_the_limit_passes_body(void)
{
    char *bytes = patterned(BODY_LIMIT);
    struct answer answer = send_bytes("/tools/mirror", "image/png", bytes, BODY_LIMIT);
    ck_assert_msg(answer.status == 200, "%ld %s %.300s", answer.status, answer.error, answer.body);
    ck_assert_uint_eq(answer.size, BODY_LIMIT);
    ck_assert(memcmp(answer.body, bytes, BODY_LIMIT) == 0);
    free(bytes);
    answer_deinit(&answer);
}
WITH_CLIENT(a_body_at_the_limit_passes)

/* Over HTTP/2 see test_clients.py: libcurl 7.88 throws away an answer that comes while it still
 * sends. */
static void a_body_one_byte_above_the_limit_is_refused_body(void)
{
    char *bytes = patterned(BODY_LIMIT + 1);
    struct answer answer = send_bytes("/tools/mirror", "image/png", bytes, BODY_LIMIT + 1);
    json_t *problem = expect_problem(&answer, 413, "payload_too_large");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "limit")), BODY_LIMIT);
    ck_assert_str_eq(member_text(problem, "category"), "limit");
    free(bytes);
    answer_deinit(&answer);
}
WITH_CLIENT(a_body_one_byte_above_the_limit_is_refused)

static void a_chunked_body_above_the_limit_is_refused_body(void)
{
    char *bytes = patterned(BODY_LIMIT + 1);
    struct answer answer = client_send(client, &(struct request){.path = "/tools/mirror",
                                                                 .body = bytes,
                                                                 .size = BODY_LIMIT + 1,
                                                                 .content_type = "image/png",
                                                                 .chunked = true});
    expect_problem(&answer, 413, "payload_too_large");
    free(bytes);
    answer_deinit(&answer);
}
WITH_CLIENT(a_chunked_body_above_the_limit_is_refused)

static void tools_that_print_do_not_disturb_body(void)
{
    for (int i = 0; i < 20; i++) {
        struct answer answer = client_post(client, "/tools/chatter", "{\"lines\":500}");
        ck_assert_int_eq(answer.status, 200);
        ck_assert_str_eq(answer.body, "\"said\"");
        answer_deinit(&answer);
    }
    struct answer answer = client_post(client, "/tools/read_input", "{}");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "\"\"");
    answer_deinit(&answer);
}
WITH_CLIENT(tools_that_print_do_not_disturb)

int main(void)
{
    TCase *demo = tcase_create("demo");
    tcase_add_unchecked_fixture(demo, start_gateway, stop_gateway);
    ADD_BOTH(demo, the_list_has_the_demo_tools_by_name);
    ADD_BOTH(demo, a_tool_has_description_and_schema);
    ADD_BOTH(demo, an_unknown_tool_is_not_found);
    ADD_BOTH(demo, a_name_may_be_percent_encoded);
    ADD_BOTH(demo, json_arguments_give_the_bare_result);
    ADD_BOTH(demo, no_body_means_no_arguments);
    ADD_BOTH(demo, json_that_is_no_object_is_refused);
    ADD_BOTH(demo, errors_are_problems_here_too);
    ADD_BOTH(demo, text_stats_reads_a_text_body);
    ADD_BOTH(demo, text_stats_reads_a_binary_body);
    ADD_BOTH(demo, csv_describe_reads_a_csv_body);

    TCase *ledger = tcase_create("ledger");
    tcase_add_unchecked_fixture(ledger, start_ledger, stop_gateway);
    ADD_BOTH(ledger, bytes_cross_unchanged);
    ADD_BOTH(ledger, any_content_type_but_json_is_bytes);
    ADD_BOTH(ledger, a_large_answer_of_json_and_of_bytes_arrives_whole);
    ADD_BOTH(ledger, a_chunked_body_is_a_body);
    if (MEGABYTE == 1 << 20)
        ADD_BOTH(ledger, a_body_at_the_limit_passes);
    ADD_ONCE(ledger, a_body_one_byte_above_the_limit_is_refused);
    ADD_BOTH(ledger, a_chunked_body_above_the_limit_is_refused);
    ADD_BOTH(ledger, tools_that_print_do_not_disturb);
    return run_tcases((TCase *[]){demo, ledger, NULL});
}
