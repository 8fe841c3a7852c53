/* HTTP/1 over real sockets on the loopback interface. */
#include "site.h"

#include "../../base/run.h"

/* --- a client --- */

struct client {
    int fd;
    struct buffer in; /* read, not yet used */
    unsigned status;
    char head[2048];
    struct buffer body;
};

static struct client client;

static void open_client(void)
{
    client = (struct client){.fd = site_connect()};
}

static void close_client(void)
{
    close(client.fd);
    buffer_deinit(&client.in);
    buffer_deinit(&client.body);
}

static void set_up(void)
{
    site_set_up();
    open_client();
}

static void tear_down(void)
{
    close_client();
    site_tear_down();
}

/* False at the end of the connection. */
static bool read_more(void)
{
    static char room[65536];
    ssize_t n = site_receive(client.fd, room, sizeof(room), 5000);
    ck_assert_msg(n >= 0, "no answer");
    buffer_add(&client.in, bytes_from(room, (size_t)n));
    return n > 0;
}

static bool read_head(void)
{
    for (;;) {
        char *end = client.in.len > 0 ? memmem(client.in.data, client.in.len, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t len = (size_t)(end - client.in.data) + 4;
            ck_assert_uint_lt(len, sizeof(client.head));
            memcpy(client.head, client.in.data, len);
            client.head[len] = 0;
            buffer_consume(&client.in, len);
            return true;
        }
        if (!read_more())
            return false;
    }
}

/* Reads one answer; false when the connection ends instead. */
static bool read_answer_to(bool is_head)
{
    buffer_deinit(&client.body);
    if (!read_head())
        return false;
    client.status = (unsigned)atoi(client.head + sizeof("HTTP/1.1"));
    const char *field = strcasestr(client.head, "\r\ncontent-length: ");
    size_t len = field && !is_head ? strtoul(field + sizeof("\r\ncontent-length:"), NULL, 10) : 0;
    while (client.in.len < len)
        if (!read_more())
            return false;
    buffer_add(&client.body, bytes_from(client.in.data, len));
    buffer_consume(&client.in, len);
    return true;
}

static bool read_answer(void)
{
    return read_answer_to(false);
}

static void say(const char *text)
{
    site_send(client.fd, bytes_of(text));
}

static void assert_answer(unsigned status, const char *body)
{
    ck_assert_msg(read_answer(), "connection closed");
    ck_assert_uint_eq(client.status, status);
    if (body)
        ck_assert_msg(bytes_equal(buffer_bytes(&client.body), bytes_of(body)), "body is %.*s",
                      (int)client.body.len, client.body.data);
}

static void assert_problem(unsigned status, const char *code)
{
    char member[64];
    assert_answer(status, NULL);
    snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
    ck_assert_ptr_nonnull(memmem(client.body.data, client.body.len, member, strlen(member)));
    ck_assert_ptr_nonnull(strstr(client.head, "application/problem+json"));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* --- answers --- */

START_TEST(connection_is_kept_for_the_next_request)
{
    for (unsigned i = 0; i < 3; i++) {
        say(GET("/now"));
        assert_answer(200, "now");
        say(GET("/later"));
        assert_answer(200, "later");
    }
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    say(GET("/later?20") GET("/now") GET("/nowhere") GET("/later") GET("/now"));
    assert_answer(200, "later");
    assert_answer(200, "now");
    assert_answer(404, NULL);
    assert_answer(200, "later");
    assert_answer(200, "now");
}
END_TEST

START_TEST(request_in_single_bytes_is_understood)
{
    const char *request = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for (const char *at = request; *at; at++) {
        site_send(client.fd, bytes_from(at, 1));
        usleep(200);
    }
    assert_answer(200, "hello");
}
END_TEST

START_TEST(head_is_answered_without_a_body)
{
    say("HEAD /now HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert(read_answer_to(true));
    ck_assert_ptr_nonnull(strstr(client.head, "Content-Length: 3"));
    say(GET("/now"));
    assert_answer(200, "now");
}
END_TEST

START_TEST(http_1_0_is_answered_and_closed)
{
    say("GET /later HTTP/1.0\r\n\r\n");
    assert_answer(200, "later");
    ck_assert(!read_answer());
}
END_TEST

START_TEST(connection_close_is_honoured)
{
    say("GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_answer(200, "later");
    ck_assert(!read_answer());
}
END_TEST

START_TEST(absolute_target_is_a_path)
{
    say(GET("http://example.test/now"));
    assert_answer(200, "now");
}
END_TEST

START_TEST(many_query_arguments_cost_no_memory)
{
    struct buffer text = {0};
    buffer_add_string(&text, "GET /now?");
    for (unsigned i = 0; i < 2000; i++)
        buffer_add_string(&text, "a=1&");
    buffer_add_string(&text, " HTTP/1.1\r\nHost: x\r\n\r\n");
    site_send(client.fd, buffer_bytes(&text));
    buffer_deinit(&text);
    assert_answer(200, "now");
}
END_TEST

START_TEST(parts_are_joined_and_headers_not_split)
{
    say(GET("/parts"));
    assert_answer(200, "one two");
    ck_assert_ptr_null(strstr(client.head, "x-injected"));
}
END_TEST

START_TEST(big_answer_arrives_whole_at_a_slow_reader)
{
    say(GET("/big"));
    usleep(200000);
    ck_assert(read_answer());
    ck_assert_uint_eq(client.body.len, SITE_BIG);
    ck_assert_mem_eq(client.body.data, site.big, SITE_BIG);
    say(GET("/now"));
    assert_answer(200, "now");
}
END_TEST

/* --- bodies --- */

START_TEST(large_body_is_echoed)
{
    enum { LEN = 3000000 };
    char head[128];
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
             LEN);
    say(head);
    site_send(client.fd, bytes_from(site.big, LEN));
    ck_assert(read_answer());
    ck_assert_uint_eq(client.body.len, LEN);
    ck_assert_mem_eq(client.body.data, site.big, LEN);
}
END_TEST

START_TEST(chunked_body_is_joined)
{
    say("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n");
    assert_answer(200, "abcdefg");
    say(GET("/now"));
    assert_answer(200, "now");
}
END_TEST

START_TEST(client_that_waits_for_100_gets_it)
{
    say("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_answer(100, NULL);
    say("hello");
    assert_answer(200, "hello");
}
END_TEST

START_TEST(client_that_waits_for_100_with_too_much_gets_413)
{
    say("POST /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n");
    assert_problem(413, "payload_too_large");
    ck_assert(!read_answer());
}
END_TEST

START_TEST(small_refused_body_keeps_the_connection)
{
    say("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" GET("/now"));
    assert_problem(404, "not_found");
    assert_answer(200, "now");
}
END_TEST

/* The answer must be readable although the client is still sending: no reset may overtake it. */
static void upload_too_much(const char *head, const char *unit, size_t unit_len)
{
    say(head);
    for (unsigned i = 0; i < 100; i++)
        site_send(client.fd, bytes_from(unit, unit_len));
    usleep(20000);
    assert_problem(413, "payload_too_large");
    ck_assert(!read_answer());
}

START_TEST(large_refused_body_gets_its_answer_early)
{
    upload_too_much("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n", site.big,
                    10000);
}
END_TEST

START_TEST(endless_chunked_body_gets_413)
{
    char chunk[1000 + 8] = "3e8\r\n";
    memset(chunk + 5, 'x', 1000);
    memcpy(chunk + 1005, "\r\n", 2);
    upload_too_much("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", chunk,
                    1007);
}
END_TEST

/* --- refusals --- */

START_TEST(wrong_method_is_405)
{
    say("DELETE /now HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_problem(405, "method_not_allowed");
    ck_assert_ptr_nonnull(strstr(client.head, "allow: GET, HEAD, OPTIONS"));
}
END_TEST

static void send_long(const char *before, size_t count, const char *after)
{
    char *filler = mem_alloc(count);
    memset(filler, 'a', count);
    say(before);
    site_send(client.fd, bytes_from(filler, count));
    say(after);
    free(filler);
}

START_TEST(long_target_is_414)
{
    send_long("GET /", 9000, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_problem(414, "uri_too_long");
}
END_TEST

START_TEST(large_head_is_431)
{
    send_long("GET /now HTTP/1.1\r\nHost: x\r\nBig: ", 33000, "\r\n\r\n");
    assert_problem(431, "headers_too_large");
}
END_TEST

/* Requests that one server reads in one way, and the next in another. */
static const char *const smuggled[] = {
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
    "chunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
    "x\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "GET /now HTTP/1.1\r\n\r\n",
    "GET /now HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "GET /now HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
};

START_TEST(ambiguous_request_is_refused_and_closed)
{
    say(smuggled[_i]);
    say(GET("/now"));
    ck_assert(read_answer());
    ck_assert_uint_eq(client.status, 400);
    while (read_answer())
        ck_assert_uint_eq(client.status, 400); /* 0.9.75 sends its own refusal's head twice */
}
END_TEST

/* --- clients that leave --- */

START_TEST(leaving_client_is_noticed_while_its_answer_is_pending)
{
    say(GET("/never"));
    site_await(&site.begun, 1);
    shutdown(client.fd, SHUT_RDWR);
    site_await(&site.gone, 1);
    site_await(&site.ended, 1);
}
END_TEST

START_TEST(client_that_resets_is_noticed)
{
    const struct linger hard = {.l_onoff = 1};
    say(GET("/later?300"));
    site_await(&site.begun, 1);
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(client.fd);
    site_await(&site.ended, 1);
    ck_assert_uint_eq(site.gone, 1);
    client.fd = site_connect();
}
END_TEST

START_TEST(client_that_closed_its_half_before_is_gone_too)
{
    say(GET("/never"));
    shutdown(client.fd, SHUT_WR);
    site_await(&site.ended, 1);
}
END_TEST

START_TEST(client_that_closed_its_half_gets_what_is_ready)
{
    say(GET("/now"));
    shutdown(client.fd, SHUT_WR);
    assert_answer(200, "now");
}
END_TEST

START_TEST(half_a_request_is_forgotten_when_the_client_leaves)
{
    say("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal");
    usleep(20000);
    close_client();
    open_client();
    say(GET("/now"));
    assert_answer(200, "now");
}
END_TEST

START_TEST(client_that_leaves_during_a_big_answer_ends_it)
{
    say(GET("/big"));
    site_await(&site.begun, 1);
    ck_assert(read_head());
    close_client();
    site_await(&site.ended, 1);
    open_client();
}
END_TEST

/* --- the end --- */

START_TEST(pending_answers_are_given_before_the_end)
{
    say(GET("/later?100"));
    site_await(&site.begun, 1);
    reactor_stop(site.reactor, SITE_GRACE_MS);
    assert_answer(200, "later");
    ck_assert_ptr_nonnull(strcasestr(client.head, "connection: close"));
    ck_assert(!read_answer());
}
END_TEST

START_TEST(grace_is_limited)
{
    say(GET("/never"));
    site_await(&site.begun, 1);
    uint64_t begin_us = clock_now_us();
    reactor_stop(site.reactor, 100);
    reactor_join(site.reactor);
    ck_assert_uint_lt(clock_now_us() - begin_us, 1500000);
    ck_assert_uint_eq(site.gone, 1);
    ck_assert(!read_answer());
}
END_TEST

START_TEST(idle_connections_do_not_delay_the_end)
{
    int silent = site_connect();
    say(GET("/now"));
    assert_answer(200, "now");
    uint64_t begin_us = clock_now_us();
    reactor_stop(site.reactor, 10000);
    reactor_join(site.reactor);
    ck_assert_uint_lt(clock_now_us() - begin_us, 1000000);
    ck_assert(!read_answer());
    site_assert_closes(silent, 1000);
}
END_TEST

START_TEST(stopped_listener_leaves_connections_alone)
{
    say(GET("/now"));
    assert_answer(200, "now");
    reactor_stop_accepting(site.reactor);
    usleep(50000);
    say(GET("/now"));
    assert_answer(200, "now");
}
END_TEST

static void add_ends(TCase *tests)
{
    tcase_add_test(tests, leaving_client_is_noticed_while_its_answer_is_pending);
    tcase_add_test(tests, client_that_resets_is_noticed);
    tcase_add_test(tests, client_that_closed_its_half_before_is_gone_too);
    tcase_add_test(tests, client_that_closed_its_half_gets_what_is_ready);
    tcase_add_test(tests, half_a_request_is_forgotten_when_the_client_leaves);
    tcase_add_test(tests, client_that_leaves_during_a_big_answer_ends_it);
    tcase_add_test(tests, pending_answers_are_given_before_the_end);
    tcase_add_test(tests, grace_is_limited);
    tcase_add_test(tests, idle_connections_do_not_delay_the_end);
    tcase_add_test(tests, stopped_listener_leaves_connections_alone);
}

int main(void)
{
    TCase *tests = tcase_create("http1");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, connection_is_kept_for_the_next_request);
    tcase_add_test(tests, pipelined_requests_are_answered_in_order);
    tcase_add_test(tests, request_in_single_bytes_is_understood);
    tcase_add_test(tests, head_is_answered_without_a_body);
    tcase_add_test(tests, http_1_0_is_answered_and_closed);
    tcase_add_test(tests, connection_close_is_honoured);
    tcase_add_test(tests, absolute_target_is_a_path);
    tcase_add_test(tests, many_query_arguments_cost_no_memory);
    tcase_add_test(tests, parts_are_joined_and_headers_not_split);
    tcase_add_test(tests, big_answer_arrives_whole_at_a_slow_reader);
    tcase_add_test(tests, large_body_is_echoed);
    tcase_add_test(tests, chunked_body_is_joined);
    tcase_add_test(tests, client_that_waits_for_100_gets_it);
    tcase_add_test(tests, client_that_waits_for_100_with_too_much_gets_413);
    tcase_add_test(tests, small_refused_body_keeps_the_connection);
    tcase_add_test(tests, large_refused_body_gets_its_answer_early);
    tcase_add_test(tests, endless_chunked_body_gets_413);
    tcase_add_test(tests, wrong_method_is_405);
    tcase_add_test(tests, long_target_is_414);
    tcase_add_test(tests, large_head_is_431);
    tcase_add_loop_test(tests, ambiguous_request_is_refused_and_closed, 0,
                        sizeof(smuggled) / sizeof(smuggled[0]));
    add_ends(tests);
    return run_case(tests, "http1");
}
