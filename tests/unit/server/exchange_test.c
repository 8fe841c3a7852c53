/* The exchange, its problems and its counters, over a protocol that only remembers. */
#include "server/exchange.h"
#include "server/problem.h"
#include "server/reactor.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>

/* --- a protocol that remembers --- */

static struct exchange *now; /* the exchange under test */
static struct response sent; /* what it was answered with */
static unsigned answers, gone, ended, wakes, breaks;
static struct header headers[4];
static char body[8192]; /* of the answer */

static struct bytes header(struct exchange *exchange, struct bytes name)
{
    (void)exchange;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (headers[i].name.data && bytes_equal_nocase(headers[i].name, name))
            return headers[i].value;
    return (struct bytes){0};
}

static unsigned count(struct exchange *exchange, struct bytes name)
{
    return header(exchange, name).data != NULL;
}

static void respond(struct exchange *exchange, const struct response *response)
{
    ck_assert_ptr_eq(exchange, now);
    sent = *response;
    answers++;
    size_t len = 0;
    for (unsigned i = 0; i < sent.part_count; i++) {
        if (sent.parts[i].len > 0)
            memcpy(body + len, sent.parts[i].data, sent.parts[i].len);
        len += sent.parts[i].len;
    }
    body[len] = 0;
}

static void note_more(struct exchange *exchange)
{
    ck_assert_ptr_eq(exchange, now);
    wakes++;
}

static void note_break(struct exchange *exchange)
{
    ck_assert_ptr_eq(exchange, now);
    breaks++;
}

static const struct exchange_protocol protocol = {.version = "1.1",
                                                  .header = header,
                                                  .count = count,
                                                  .respond = respond,
                                                  .more = note_more,
                                                  .break_off = note_break};

/* --- handlers --- */

static void on_gone(struct exchange *exchange)
{
    (void)exchange;
    gone++;
}

static void on_end(struct exchange *exchange)
{
    (void)exchange;
    ended++;
}

static void answer_now(struct exchange *exchange)
{
    struct response response = {.status = 200};
    exchange->on_end = on_end;
    response_part(&response, exchange_payload(exchange));
    exchange_respond(exchange, &response);
}

static void answer_later(struct exchange *exchange)
{
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
}

/* What the source of the next answers says, one after the other. */
static const char *pieces; /* each letter a piece: '.' nothing now, '$' the end, '!' a break */

static size_t read_piece(struct exchange *exchange, char *room, size_t size, bool *out_end)
{
    ck_assert_uint_ge(size, 1);
    room[0] = *pieces++;
    *out_end = room[0] == '$';
    if (room[0] == '!')
        exchange_break(exchange);
    return room[0] != '.' && room[0] != '!';
}

static void answer_bit_by_bit(struct exchange *exchange)
{
    static const struct body_source source = {.read = read_piece};
    struct response response = {.status = 200, .source = &source};
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    exchange_respond(exchange, &response);
}

static const struct route table[] = {
    {"POST", "/now", answer_now, 10, 0},
    {"GET", "/later", answer_later, 0, 0},
    {"GET", "/named/{name}", answer_now, 0, 0},
    {"GET", "/bits", answer_bit_by_bit, 0, 0},
    {"GET", "/acts", answer_now, ROUTE_NO_BODY, ROUTE_ACTS},
};

static struct router *router;
static struct reactor *reactor;

static void set_up(void)
{
    struct http_options options = http_options_default();
    const struct reactor_hooks hooks = {0};
    options.url_limit = 100;
    options.head_limit = 500;
    router = router_new(table, sizeof(table) / sizeof(table[0]));
    reactor = reactor_new(&options, router, &hooks, -1, NULL);
}

static void tear_down(void)
{
    reactor_free(&reactor);
    router_free(&router);
}

/* Begins a request; the exchange lies in its arena, as the protocols' do. */
static void begin(const char *method, const char *path, int64_t length, size_t head)
{
    struct arena *arena = arena_new(0);
    now = arena_zalloc(arena, sizeof(*now));
    now->protocol = &protocol;
    now->reactor = reactor;
    now->arena = arena;
    now->method = bytes_of(method);
    now->path = bytes_of(path);
    now->content_length = length;
    now->head_bytes = head;
    exchange_begin(now);
}

static void assert_header(const char *name, const char *value)
{
    for (unsigned i = 0; i < sent.header_count; i++) {
        if (!bytes_equal(sent.headers[i].name, bytes_of(name)))
            continue;
        ck_assert_msg(bytes_equal(sent.headers[i].value, bytes_of(value)), "%s is %.*s", name,
                      (int)sent.headers[i].value.len, sent.headers[i].value.data);
        return;
    }
    ck_abort_msg("no header %s", name);
}

static uint64_t recorded(size_t row, unsigned status)
{
    return reactor_stats(reactor)->routes[row].by_status[status - HTTP_STATUS_FIRST];
}

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

/* --- refusals --- */

static void assert_refused_allowing(const char *method, const char *path, int64_t length,
                                    size_t head, unsigned status, const char *code,
                                    const char *allow)
{
    char member[64];
    begin(method, path, length, head);
    ck_assert_uint_eq(sent.status, status);
    snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
    ck_assert_msg(strstr(body, member) != NULL, "%s", body);
    assert_header("content-type", "application/problem+json");
    if (allow)
        assert_header("allow", allow);
    exchange_body(now, BYTES("ignored"));
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 1);
    exchange_end(now);
}

static void assert_refused(const char *method, const char *path, int64_t length, size_t head,
                           unsigned status, const char *code)
{
    assert_refused_allowing(method, path, length, head, status, code, NULL);
}

START_TEST(unknown_path_is_404)
{
    assert_refused("GET", "/nowhere", 0, 50, 404, "not_found");
    ck_assert_uint_eq(recorded(5, 404), 1);
}
END_TEST

START_TEST(unknown_method_is_405_with_allow)
{
    assert_refused_allowing("DELETE", "/later", 0, 50, 405, "method_not_allowed",
                            "GET, HEAD, OPTIONS");
}
END_TEST

START_TEST(options_is_204_with_allow)
{
    begin("OPTIONS", "/now", 0, 50);
    ck_assert_uint_eq(sent.status, 204);
    assert_header("allow", "POST, OPTIONS");
    exchange_end(now);
}
END_TEST

START_TEST(announced_body_above_the_limit_is_413)
{
    assert_refused("POST", "/now", 11, 50, 413, "payload_too_large");
    ck_assert_ptr_nonnull(strstr(body, "\"limit\":10"));
    ck_assert_ptr_nonnull(strstr(body, "\"category\":\"limit\""));
}
END_TEST

START_TEST(a_body_where_none_is_expected_is_413_and_said_to_be_that)
{
    assert_refused("GET", "/acts", 1, 50, 413, "payload_too_large");
    ck_assert_ptr_nonnull(strstr(body, "this request must not have a body"));
    ck_assert_ptr_null(strstr(body, "\"limit\""));
    begin("GET", "/acts", -1, 50);
    exchange_body(now, BYTES("x"));
    ck_assert_uint_eq(sent.status, 413);
    exchange_end(now);
}
END_TEST

START_TEST(a_body_with_a_content_coding_is_415_and_told_of_identity)
{
    headers[0] = (struct header){BYTES("Content-Encoding"), BYTES("gzip")};
    assert_refused("POST", "/now", 5, 50, 415, "unsupported_media_type");
    assert_header("accept-encoding", "identity");
}
END_TEST

START_TEST(the_coding_identity_is_none_and_without_a_body_none_matters)
{
    headers[0] = (struct header){BYTES("Content-Encoding"), BYTES("Identity")};
    begin("POST", "/now", 5, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
    headers[0].value = BYTES("gzip");
    begin("POST", "/now", 0, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
}
END_TEST

START_TEST(a_page_of_another_site_may_look_and_not_act)
{
    headers[0] = (struct header){BYTES("Sec-Fetch-Site"), BYTES("cross-site")};
    begin("GET", "/named/x", 0, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
    assert_refused("POST", "/now", 5, 50, 403, "forbidden");
    answers = 0;
    assert_refused("GET", "/acts", 0, 50, 403, "forbidden");
    answers = 0;
    headers[0].value = BYTES("same-origin");
    begin("POST", "/now", 5, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
}
END_TEST

START_TEST(unannounced_body_above_the_limit_is_413)
{
    begin("POST", "/now", -1, 50);
    exchange_body(now, BYTES("0123456789"));
    ck_assert_uint_eq(answers, 0);
    exchange_body(now, BYTES("x"));
    ck_assert_uint_eq(sent.status, 413);
    exchange_body(now, BYTES("y"));
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 1);
    exchange_end(now);
}
END_TEST

START_TEST(long_target_is_414)
{
    static const char path[] =
        "/0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789";
    assert_refused("GET", path, 0, 200, 414, "uri_too_long");
}
END_TEST

START_TEST(large_head_is_431)
{
    assert_refused("GET", "/later", 0, 501, 431, "headers_too_large");
}
END_TEST

START_TEST(bad_escape_in_a_name_is_400)
{
    assert_refused("GET", "/named/%zz", 0, 50, 400, "invalid_request");
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
    tcase_add_test(tests, unknown_path_is_404);
    tcase_add_test(tests, unknown_method_is_405_with_allow);
    tcase_add_test(tests, options_is_204_with_allow);
    tcase_add_test(tests, announced_body_above_the_limit_is_413);
    tcase_add_test(tests, unannounced_body_above_the_limit_is_413);
    tcase_add_test(tests, a_body_where_none_is_expected_is_413_and_said_to_be_that);
    tcase_add_test(tests, a_body_with_a_content_coding_is_415_and_told_of_identity);
    tcase_add_test(tests, the_coding_identity_is_none_and_without_a_body_none_matters);
    tcase_add_test(tests, a_page_of_another_site_may_look_and_not_act);
    tcase_add_test(tests, long_target_is_414);
    tcase_add_test(tests, large_head_is_431);
    tcase_add_test(tests, bad_escape_in_a_name_is_400);
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
