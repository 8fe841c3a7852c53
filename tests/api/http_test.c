/* What HTTP itself asks of the gateway, on every route and over both protocols. */
#include "suite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_LIMIT = 32 << 10, URL_LIMIT = 8 << 10, BODY_LIMIT = 64 << 20 };

static void start_gateway(void)
{
    gateway = gateway_start((const char *const[]){"--workers", "2", NULL}, NULL);
}

static struct answer send_method(const char *method, const char *path)
{
    return client_send(client, &(struct request){.method = method, .path = path});
}

static void check_protocol(bool http2)
{
    struct answer answer = client_get(client, "/livez");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_int_eq(answer.version, http2 ? 2 : 1);
    answer_deinit(&answer);
}
START_TEST(the_protocol_asked_for_is_spoken)
{
    client = client_new(gateway_port(gateway), _i == 1);
    check_protocol(_i == 1);
    client_free(&client);
}
END_TEST

static void a_connection_is_kept_for_the_next_request_body(void)
{
    for (int i = 0; i < 50; i++) {
        struct answer answer = i % 3 == 0   ? client_get(client, "/tools")
                               : i % 3 == 1 ? client_execute(client, "echo", "{\"x\":1}")
                                            : client_execute(client, "fail", "{}");
        ck_assert_int_eq(answer.status, i % 3 == 2 ? 500 : 200);
        ck_assert_msg(answer.new_connection == (i == 0), "request %d opened a new connection", i);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(a_connection_is_kept_for_the_next_request)

static void an_unknown_path_is_not_found_body(void)
{
    static const char *const paths[] = {
        "/",        "/nothing",  "/execute/",  "/tools/",     "/pools/",           "/Execute",
        "/livez/x", "//execute", "/tools/a/b", "/execute%00", "/%2e%2e/etc/passwd"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct answer answer = client_get(client, paths[i]);
        ck_assert_msg(answer.status == 404, "%s gave %ld", paths[i], answer.status);
        json_t *problem = expect_problem(&answer, 404, "not_found");
        ck_assert_str_eq(member_text(problem, "instance"), paths[i]);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(an_unknown_path_is_not_found)

static void a_wrong_method_is_405_and_says_what_is_allowed_body(void)
{
    static const struct {
        const char *method;
        const char *path;
        const char *allowed;
    } cases[] = {{"GET", "/execute", "POST"},      {"PUT", "/execute", "POST"},
                 {"DELETE", "/tools", "GET"},      {"PUT", "/tools/echo", "POST"},
                 {"PUT", "/tools/echo", "GET"},    {"POST", "/pools", "GET"},
                 {"PATCH", "/workers", "HEAD"},    {"POST", "/livez", "GET"},
                 {"DELETE", "/readyz", "GET"},     {"POST", "/startupz", "GET"},
                 {"POST", "/healthz", "GET"},      {"POST", "/metrics", "GET"},
                 {"PUT", "/openapi.json", "HEAD"}, {"BREW", "/execute", "POST"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct answer answer = send_method(cases[i].method, cases[i].path);
        ck_assert_msg(answer.status == 405, "%s %s gave %ld %s", cases[i].method, cases[i].path,
                      answer.status, answer.error);
        expect_problem(&answer, 405, "method_not_allowed");
        const char *allow = answer_header(&answer, "allow");
        ck_assert_msg(allow && strstr(allow, cases[i].allowed), "%s: Allow: %s", cases[i].path,
                      allow ? allow : "missing");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(a_wrong_method_is_405_and_says_what_is_allowed)

static void a_body_with_a_wrong_method_does_no_harm_body(void)
{
    for (int i = 0; i < 3; i++) {
        struct answer answer = client_send(
            client,
            &(struct request){.method = "PUT", .path = "/execute", .body = "{\"tool\":\"echo\"}"});
        expect_problem(&answer, 405, "method_not_allowed");
        answer_deinit(&answer);
        answer = client_execute(client, "add", "{\"a\":1}");
        expect_result(&answer);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(a_body_with_a_wrong_method_does_no_harm)

static const char *const get_paths[] = {"/tools",   "/tools/add",   "/pools",   "/workers",
                                        "/livez",   "/readyz",      "/healthz", "/startupz",
                                        "/metrics", "/openapi.json"};

static void head_is_get_without_the_body_body(void)
{
    for (size_t i = 0; i < sizeof(get_paths) / sizeof(*get_paths); i++) {
        struct answer get = client_get(client, get_paths[i]);
        struct answer head = send_method("HEAD", get_paths[i]);
        ck_assert_msg(head.status == get.status && get.status == 200, "HEAD %s gave %ld, GET %ld",
                      get_paths[i], head.status, get.status);
        ck_assert_uint_eq(head.size, 0);
        ck_assert_uint_gt(get.size, 0);
        ck_assert_str_ne(answer_header(&head, "content-length") ?: "0", "0");
        char type[128];
        snprintf(type, sizeof(type), "%s", answer_header(&get, "content-type"));
        ck_assert_str_eq(answer_header(&head, "content-type"), type);
        answer_deinit(&get);
        answer_deinit(&head);
    }
}
WITH_CLIENT(head_is_get_without_the_body)

static void head_of_an_error_has_no_body_either_body(void)
{
    struct answer answer = send_method("HEAD", "/nothing");
    ck_assert_int_eq(answer.status, 404);
    ck_assert_uint_eq(answer.size, 0);
    answer_deinit(&answer);
    answer = send_method("HEAD", "/execute");
    ck_assert_int_eq(answer.status, 405);
    answer_deinit(&answer);
    answer = client_get(client, "/livez");
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
}
WITH_CLIENT(head_of_an_error_has_no_body_either)

static void options_says_what_is_allowed_body(void)
{
    struct answer answer = send_method("OPTIONS", "/tools/add");
    ck_assert_msg(answer.status == 204 || answer.status == 200, "%ld", answer.status);
    const char *allow = answer_header(&answer, "allow") ?: "";
    ck_assert_msg(strstr(allow, "GET") && strstr(allow, "HEAD") && strstr(allow, "POST"), "%s",
                  allow);
    answer_deinit(&answer);
    answer = send_method("OPTIONS", "/nothing");
    expect_problem(&answer, 404, "not_found");
    answer_deinit(&answer);
}
WITH_CLIENT(options_says_what_is_allowed)

static void every_answer_has_a_request_id_body(void)
{
    for (size_t i = 0; i < sizeof(get_paths) / sizeof(*get_paths); i++) {
        struct answer answer = client_send(
            client,
            &(struct request){.path = get_paths[i],
                              .headers = (const char *const[]){"x-request-id: mine-7", NULL}});
        ck_assert_str_eq(answer_header(&answer, "x-request-id") ?: "missing", "mine-7");
        answer_deinit(&answer);
        answer = client_get(client, get_paths[i]);
        ck_assert_str_ne(answer_header(&answer, "x-request-id") ?: "", "");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(every_answer_has_a_request_id)

/* A request id goes into headers, JSON and logs: one that is too long or has odd bytes must not
 * spoil them. */
static void an_odd_request_id_does_no_harm_body(void)
{
    char huge[4096] = "x-request-id: ";
    memset(huge + 14, 'a', sizeof(huge) - 15);
    const char *const ids[] = {huge, "x-request-id: a\"b\\c", "x-request-id: \xff\xfe",
                               "x-request-id;"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        struct answer answer =
            client_send(client, &(struct request){.path = "/execute",
                                                  .body = "{\"tool\":\"echo\",\"args\":{\"x\":1}}",
                                                  .headers = (const char *const[]){ids[i], NULL}});
        ck_assert_msg(answer.status == 200 || answer.status == 400, "%zu: %ld %s", i, answer.status,
                      answer.error);
        answer_json(&answer,
                    answer.status == 200 ? "application/json" : "application/problem+json");
        answer_deinit(&answer);
    }
}
WITH_CLIENT(an_odd_request_id_does_no_harm)

static void a_long_url_is_414_body(void)
{
    char path[URL_LIMIT + 200] = "/livez?x=";
    memset(path + 9, 'a', sizeof(path) - 10);
    struct answer answer = client_get(client, path);
    json_t *problem = expect_problem(&answer, 414, "uri_too_long");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "limit")), URL_LIMIT);
    answer_deinit(&answer);
    path[URL_LIMIT - 200] = '\0';
    answer = client_get(client, path);
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
}
WITH_CLIENT(a_long_url_is_414)

static void headers_above_the_limit_are_431_body(void)
{
    static char lines[9][4096];
    const char *headers[10] = {0};
    for (size_t i = 0; i < 9; i++) {
        snprintf(lines[i], sizeof(lines[i]), "x-padding-%zu: ", i);
        size_t start = strlen(lines[i]);
        memset(lines[i] + start, 'p', sizeof(lines[i]) - start - 1);
        headers[i] = lines[i];
    }
    struct answer answer =
        client_send(client, &(struct request){.path = "/livez", .headers = headers});
    json_t *problem = expect_problem(&answer, 431, "headers_too_large");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "limit")), HEADER_LIMIT);
    answer_deinit(&answer);
    headers[6] = NULL; /* 24 KiB */
    answer = client_send(client, &(struct request){.path = "/livez", .headers = headers});
    ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.error);
    answer_deinit(&answer);
}
WITH_CLIENT(headers_above_the_limit_are_431)

static void an_announced_body_above_the_limit_is_refused_unread_body(void)
{
    char head[256];
    snprintf(head, sizeof(head),
             "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
             "application/json\r\nContent-Length: %d\r\n\r\n",
             BODY_LIMIT + 1);
    int fd = raw_connect(gateway_port(gateway));
    raw_write(fd, head, strlen(head));
    char *answer = raw_read(fd, "payload_too_large", 10);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 413 ", 13) == 0, "%s", answer);
    ck_assert_msg(strstr(answer, "67108864") != NULL, "%s", answer);
    free(answer);
    close(fd);
}
WITH_CLIENT(an_announced_body_above_the_limit_is_refused_unread)

static void expect_100_is_answered_body(void)
{
    static const char head[] =
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: 15\r\n\r\n";
    int fd = raw_connect(gateway_port(gateway));
    raw_write(fd, head, sizeof(head) - 1);
    char *answer = raw_read(fd, "\r\n\r\n", 10);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 100 ", 13) == 0, "%s", answer);
    free(answer);
    raw_write(fd, "{\"tool\":\"echo\"}", 15);
    answer = raw_read(fd, "\"result\":{}", 60);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    free(answer);
    close(fd);
}
WITH_CLIENT(expect_100_is_answered)

static void pipelined_requests_are_answered_in_order_body(void)
{
    char all[4096];
    size_t size = 0;
    for (int i = 0; i < 5; i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"tool\":\"add\",\"args\":{\"a\":%d}}", 700 + i);
        size += (size_t)snprintf(
            all + size, sizeof(all) - size,
            "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(body), body);
    }
    int fd = raw_connect(gateway_port(gateway));
    raw_write(fd, all, size);
    char *answer = raw_read(fd, "\"result\":704", 20);
    const char *at = answer;
    for (int i = 0; i < 5; i++) {
        char result[32];
        snprintf(result, sizeof(result), "\"result\":%d", 700 + i);
        at = strstr(at, result);
        ck_assert_msg(at != NULL, "%s is missing or out of order in %s", result, answer);
    }
    free(answer);
    close(fd);
}
WITH_CLIENT(pipelined_requests_are_answered_in_order)

static void http_1_0_is_answered_and_closed_body(void)
{
    static const char request[] = "GET /livez HTTP/1.0\r\n\r\n";
    int fd = raw_connect(gateway_port(gateway));
    raw_write(fd, request, sizeof(request) - 1);
    char *answer = raw_read(fd, NULL, 5);
    ck_assert_msg(strncmp(answer, "HTTP/1.", 7) == 0 && strstr(answer, " 200 "), "%s", answer);
    free(answer);
    close(fd);
}
WITH_CLIENT(http_1_0_is_answered_and_closed)

static void connection_close_is_obeyed_body(void)
{
    static const char request[] =
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    int fd = raw_connect(gateway_port(gateway));
    raw_write(fd, request, sizeof(request) - 1);
    double start = now_seconds();
    char *answer = raw_read(fd, NULL, 60);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    ck_assert_msg(now_seconds() - start < 60, "the connection stayed open");
    free(answer);
    close(fd);
}
WITH_CLIENT(connection_close_is_obeyed)

/* Bytes that arrive one by one, first of all the ones by which the protocol is told. */
static void a_slow_sender_is_understood_body(void)
{
    static const char request[] = "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                                  "15\r\n\r\n{\"tool\":\"echo\"}";
    int fd = raw_connect(gateway_port(gateway));
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        raw_write(fd, request + i, 1);
        sleep_ms(2);
    }
    char *answer = raw_read(fd, "\"result\":{}", 60);
    ck_assert_msg(strncmp(answer, "HTTP/1.1 200 ", 13) == 0, "%s", answer);
    free(answer);
    close(fd);
}
WITH_CLIENT(a_slow_sender_is_understood)

/* What is neither protocol gets an error or is hung up on, and nobody else notices. */
static void noise_is_refused_body(void)
{
    static const char *const noise[] = {
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "PRI * HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n{}",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, not a frame at all, not a frame",
    };
    for (size_t i = 0; i < sizeof(noise) / sizeof(*noise); i++) {
        int fd = raw_connect(gateway_port(gateway));
        raw_write(fd, noise[i], strlen(noise[i]));
        char *answer = raw_read(fd, "\r\n\r\n", 0.3);
        ck_assert_msg(strstr(answer, " 200 ") == NULL, "%zu: %s", i, answer);
        free(answer);
        close(fd);
    }
    struct answer answer = client_get(client, "/readyz");
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
}
WITH_CLIENT(noise_is_refused)

/* Heads and bodies that never end, by clients who then leave. */
static void clients_that_leave_half_way_do_no_harm_body(void)
{
    static const char *const parts[] = {
        "",
        "P",
        "PRI * HTT",
        "POST /execute HT",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Le",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"tool\":",
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"to",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
            int fd = raw_connect(gateway_port(gateway));
            raw_write(fd, parts[i], strlen(parts[i]));
            close(fd);
        }
    }
    struct answer answer = client_execute(client, "echo", "{}");
    expect_result(&answer);
    answer_deinit(&answer);
}
WITH_CLIENT(clients_that_leave_half_way_do_no_harm)

int main(void)
{
    TCase *tcase = tcase_create("http");
    tcase_add_unchecked_fixture(tcase, start_gateway, stop_gateway);
    ADD_BOTH(tcase, the_protocol_asked_for_is_spoken);
    ADD_BOTH(tcase, a_connection_is_kept_for_the_next_request);
    ADD_BOTH(tcase, an_unknown_path_is_not_found);
    ADD_BOTH(tcase, a_wrong_method_is_405_and_says_what_is_allowed);
    ADD_BOTH(tcase, a_body_with_a_wrong_method_does_no_harm);
    ADD_BOTH(tcase, head_is_get_without_the_body);
    ADD_BOTH(tcase, head_of_an_error_has_no_body_either);
    ADD_BOTH(tcase, options_says_what_is_allowed);
    ADD_BOTH(tcase, every_answer_has_a_request_id);
    ADD_BOTH(tcase, an_odd_request_id_does_no_harm);
    ADD_BOTH(tcase, a_long_url_is_414);
    ADD_BOTH(tcase, headers_above_the_limit_are_431);
    ADD_ONCE(tcase, an_announced_body_above_the_limit_is_refused_unread);
    ADD_ONCE(tcase, expect_100_is_answered);
    ADD_ONCE(tcase, pipelined_requests_are_answered_in_order);
    ADD_ONCE(tcase, http_1_0_is_answered_and_closed);
    ADD_ONCE(tcase, connection_close_is_obeyed);
    ADD_ONCE(tcase, a_slow_sender_is_understood);
    ADD_ONCE(tcase, noise_is_refused);
    ADD_ONCE(tcase, clients_that_leave_half_way_do_no_harm);
    return run_tcases((TCase *[]){tcase, NULL});
}
