/* The exchange, its problems and its counters, over a protocol that only remembers. */
#include "rehearsal.h"

#include <signal.h>

/* --- the way through --- */

START_TEST(handler_sees_the_whole_body)
{
    begin("POST", "/now", 5, 50);
    exchange_body(now, BYTES("he"));
    exchange_body(now, BYTES("llo"));
    ck_assert_uint_eq(answers, 0);
    exchange_body_end(now);
    ck_assert_uint_eq(sent.status, 200);
    ck_assert_str_eq(body, "hello");
    exchange_end(now);
    ck_assert_uint_eq(ended, 1);
    ck_assert_uint_eq(recorded(0, 200), 1);
}
END_TEST

START_TEST(late_answer_reaches_the_protocol)
{
    begin("GET", "/later", 0, 50);
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 0);
    struct response response = {.status = 202};
    exchange_respond(now, &response);
    ck_assert_uint_eq(answers, 1);
    exchange_end(now);
    ck_assert_uint_eq(gone, 0);
    ck_assert_uint_eq(recorded(1, 202), 1);
}
END_TEST

START_TEST(client_that_leaves_is_told_to_the_handler_once)
{
    begin("GET", "/later", 0, 50);
    exchange_body_end(now);
    exchange_gone(now);
    exchange_gone(now);
    ck_assert_uint_eq(gone, 1);
    struct response response = {.status = 200};
    exchange_respond(now, &response);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
    ck_assert_uint_eq(ended, 1);
    ck_assert_uint_eq(recorded(1, 499), 1);
}
END_TEST

START_TEST(end_without_an_answer_means_gone)
{
    begin("GET", "/later", 0, 50);
    exchange_body_end(now);
    exchange_end(now);
    ck_assert_uint_eq(gone, 1);
    ck_assert_uint_eq(ended, 1);
}
END_TEST

START_TEST(leaving_after_the_answer_changes_nothing)
{
    begin("GET", "/named/x", 0, 50);
    exchange_body_end(now);
    exchange_gone(now);
    exchange_end(now);
    ck_assert_uint_eq(recorded(2, 200), 1);
}
END_TEST

START_TEST(second_answer_aborts)
{
    begin("GET", "/named/x", 0, 50);
    exchange_body_end(now);
    struct response response = {.status = 200};
    exchange_respond(now, &response);
}
END_TEST

START_TEST(second_end_aborts)
{
    begin("GET", "/later", 0, 50);
    struct exchange copy = *now; /* the arena is gone after the first */
    copy.state = EXCHANGE_ENDED;
    exchange_end(&copy);
}
END_TEST

START_TEST(gauge_counts_what_is_between_begin_and_end)
{
    _Atomic int64_t *gauge = &reactor_stats(reactor)->exchanges[HTTP_1];
    begin("GET", "/later", 0, 50);
    ck_assert_int_eq(*gauge, 1);
    exchange_end(now);
    ck_assert_int_eq(*gauge, 0);
}
END_TEST

/* --- bodies that are produced while they are sent --- */

static void assert_step(enum body_step step, size_t len)
{
    char room[8];
    size_t found = 99;
    ck_assert_int_eq(exchange_read(now, room, sizeof(room), &found), step);
    ck_assert_uint_eq(found, len);
}

static void begin_bits(const char *method, const char *text)
{
    pieces = text;
    begin(method, "/bits", 0, 50);
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 1);
}

START_TEST(source_is_read_to_its_end)
{
    begin_bits("GET", "a.b$");
    assert_step(BODY_MOVES, 1);
    assert_step(BODY_PAUSES, 0);
    exchange_more(now);
    ck_assert_uint_eq(wakes, 1);
    assert_step(BODY_MOVES, 1);
    assert_step(BODY_ENDS, 1);
    assert_step(BODY_ENDS, 0);
    exchange_more(now);
    exchange_break(now);
    ck_assert_uint_eq(wakes + breaks, 1);
    exchange_end(now);
    ck_assert_uint_eq(gone, 0);
    ck_assert_uint_eq(ended, 1);
    ck_assert_uint_eq(recorded(3, 200), 1);
}
END_TEST

START_TEST(client_that_leaves_before_the_source_ends_is_told_once)
{
    begin_bits("GET", "ab");
    assert_step(BODY_MOVES, 1);
    exchange_gone(now);
    exchange_gone(now);
    exchange_more(now);
    assert_step(BODY_BREAKS, 0);
    exchange_end(now);
    ck_assert_uint_eq(gone, 1);
    ck_assert_uint_eq(wakes, 0);
    ck_assert_uint_eq(recorded(3, 200), 1);
}
END_TEST

START_TEST(broken_body_is_not_whole_and_nobody_has_gone)
{
    begin_bits("GET", "ab");
    assert_step(BODY_MOVES, 1);
    exchange_break(now);
    exchange_break(now);
    ck_assert_uint_eq(breaks, 1);
    assert_step(BODY_BREAKS, 0);
    exchange_end(now);
    ck_assert_uint_eq(gone, 0);
}
END_TEST

START_TEST(source_may_break_the_body_off_itself)
{
    begin_bits("GET", "a!");
    assert_step(BODY_MOVES, 1);
    assert_step(BODY_BREAKS, 0);
    ck_assert_uint_eq(breaks, 1);
    exchange_end(now);
}
END_TEST

START_TEST(source_is_not_asked_for_a_head)
{
    begin_bits("HEAD", "a");
    ck_assert_ptr_null(now->source);
    exchange_end(now);
    ck_assert_uint_eq(gone, 0);
}
END_TEST

/* --- request ids --- */

static void assert_id(const char *given, bool is_kept)
{
    headers[0] = (struct header){BYTES("X-Request-Id"), bytes_of(given)};
    begin("GET", "/later", 0, 50);
    ck_assert_msg(bytes_equal(now->request_id, bytes_of(given)) == is_kept, "%s", given);
    ck_assert_uint_gt(now->request_id.len, 0);
    exchange_end(now);
}

START_TEST(good_request_id_of_the_client_is_kept)
{
    assert_id("abc-123", true);
    assert_id("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", true);
}
END_TEST

START_TEST(bad_request_id_is_replaced)
{
    char long_id[130];
    memset(long_id, 'a', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = 0;
    const char *bad[] = {"", "a b", "a\"b", "a\\b", "\x01", "caf\xc3\xa9", long_id};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_id(bad[i], false);
    long_id[128] = 0;
    assert_id(long_id, true);
}
END_TEST

START_TEST(generated_ids_differ)
{
    char first[REACTOR_ID_LEN], second[REACTOR_ID_LEN];
    reactor_next_id(reactor, first);
    reactor_next_id(reactor, second);
    ck_assert_mem_ne(first, second, sizeof(first));
    for (size_t i = 0; i < sizeof(first); i++)
        ck_assert_ptr_nonnull(strchr("0123456789abcdef", first[i]));
}
END_TEST

START_TEST(every_answer_bears_the_request_id)
{
    headers[0] = (struct header){BYTES("x-request-id"), BYTES("mine")};
    begin("GET", "/named/x", 0, 50);
    exchange_body_end(now);
    assert_header("x-request-id", "mine");
    exchange_end(now);
}
END_TEST

/* --- problems --- */

START_TEST(problem_says_all_it_was_given)
{
    headers[0] = (struct header){BYTES("x-request-id"), BYTES("r1")};
    begin("GET", "/later", 0, 50);
    problem_respond(now, &(struct problem){.status = 503,
                                           .code = "pool_saturated",
                                           .detail = "full",
                                           .retryable = true,
                                           .retry_after_s = 1.2,
                                           .limit = 7,
                                           .members = BYTES("\"pool\":\"default\"")});
    ck_assert_str_eq(body,
                     "{\"type\":\"/problems/pool_saturated\",\"title\":\"Service Unavailable\","
                     "\"status\":503,\"detail\":\"full\",\"instance\":\"/later\","
                     "\"code\":\"pool_saturated\",\"category\":\"pool\",\"request_id\":\"r1\","
                     "\"retryable\":true,\"executed\":\"no\",\"limit\":7,"
                     "\"pool\":\"default\"}");
    assert_header("retry-after", "2");
    exchange_end(now);
}
END_TEST

START_TEST(hostile_path_makes_valid_json)
{
    begin("GET", "/a\"b\\c\xff\x01", 0, 50);
    ck_assert_ptr_nonnull(strstr(body, "\"instance\":\"/a\\\"b\\\\c\xef\xbf\xbd\\u0001\""));
    exchange_end(now);
}
END_TEST

START_TEST(retry_after_stays_within_a_day)
{
    begin("GET", "/later", 0, 50);
    problem_respond(now, &(struct problem){.status = 503, .code = "x", .retry_after_s = 1e300});
    assert_header("retry-after", "86400");
    exchange_end(now);
}
END_TEST

START_TEST(durations_fall_into_their_buckets)
{
    struct http_stats *stats = reactor_stats(reactor);
    http_stats_record(stats, 0, 200, 500);
    http_stats_record(stats, 0, 200, 501);
    http_stats_record(stats, 0, 777, 1000000000);
    ck_assert_uint_eq(stats->routes[0].buckets[0], 1);
    ck_assert_uint_eq(stats->routes[0].buckets[1], 1);
    ck_assert_uint_eq(stats->routes[0].buckets[HTTP_BUCKETS], 1);
    ck_assert_uint_eq(recorded(0, 599), 1);
    ck_assert_uint_eq(stats->routes[0].duration_us, 1000001001);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("exchange");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, handler_sees_the_whole_body);
    tcase_add_test(tests, late_answer_reaches_the_protocol);
    tcase_add_test(tests, client_that_leaves_is_told_to_the_handler_once);
    tcase_add_test(tests, end_without_an_answer_means_gone);
    tcase_add_test(tests, leaving_after_the_answer_changes_nothing);
    tcase_add_test_raise_signal(tests, second_answer_aborts, SIGABRT);
    tcase_add_test_raise_signal(tests, second_end_aborts, SIGABRT);
    tcase_add_test(tests, gauge_counts_what_is_between_begin_and_end);
    tcase_add_test(tests, source_is_read_to_its_end);
    tcase_add_test(tests, client_that_leaves_before_the_source_ends_is_told_once);
    tcase_add_test(tests, broken_body_is_not_whole_and_nobody_has_gone);
    tcase_add_test(tests, source_may_break_the_body_off_itself);
    tcase_add_test(tests, source_is_not_asked_for_a_head);
    tcase_add_test(tests, good_request_id_of_the_client_is_kept);
    tcase_add_test(tests, bad_request_id_is_replaced);
    tcase_add_test(tests, generated_ids_differ);
    tcase_add_test(tests, every_answer_bears_the_request_id);
    tcase_add_test(tests, problem_says_all_it_was_given);
    tcase_add_test(tests, hostile_path_makes_valid_json);
    tcase_add_test(tests, retry_after_stays_within_a_day);
    tcase_add_test(tests, durations_fall_into_their_buckets);
    return run_case(tests, "exchange");
}
