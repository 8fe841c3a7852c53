/* Single streams of HTTP/2: their answers, bodies and refusals. */
#include "peer.h"

#include "../../base/run.h"

enum { READ_ALL = 1 << 30 };

static void set_up_impatient(void)
{
    struct http_options options = http_options_default();
    options.write_timeout_ms = 1000;
    site_start(options);
    peer.fd = site_connect();
    peer_open();
}

/* --- answers --- */

START_TEST(request_is_answered_at_once_or_later)
{
    int32_t now = peer_ask("GET", "/now"), later = peer_ask("GET", "/later?20");
    peer_run_until_closed(2);
    peer_assert_answer(now, 200, "now");
    peer_assert_answer(later, 200, "later");
}
END_TEST

START_TEST(slow_stream_holds_up_no_other)
{
    int32_t never = peer_ask("GET", "/never"), now = peer_ask("GET", "/now");
    peer_run_until_closed(1);
    peer_assert_answer(now, 200, "now");
    ck_assert(!peer.answers[never].is_closed);
}
END_TEST

START_TEST(head_is_answered_without_a_body)
{
    int32_t id = peer_ask("HEAD", "/now");
    peer_run_until_closed(1);
    peer_assert_answer(id, 200, "");
}
END_TEST

START_TEST(big_answer_arrives_whole)
{
    int32_t id = peer_ask("GET", "/big");
    peer_run_until_closed(1);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert(peer.is_big_right);
}
END_TEST

START_TEST(big_answer_waits_for_a_slow_reader)
{
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, READ_ALL);
    int32_t id = peer_ask("GET", "/big"), other = peer_ask("GET", "/big");
    peer_flush();
    usleep(300000);
    peer_run_until_closed(2);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert_uint_eq(peer.answers[other].body_len, SITE_BIG);
}
END_TEST

/* --- bodies that are produced while they are sent --- */

START_TEST(flow_that_is_reset_is_gone_alone)
{
    int32_t left = peer_ask("GET", "/flow?10"), kept = peer_ask("GET", "/flow?10");
    peer_flush();
    site_await(&flows.begun, 2);
    nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, left, NGHTTP2_CANCEL);
    peer_flush();
    site_await(&site.ended, 1);
    flow_order((struct flow_order){.bytes = 90, .ends = true});
    peer_run_until_closed(2);
    peer_assert_answer(kept, 200, NULL);
    ck_assert_uint_eq(peer.answers[kept].body_len, 100);
    ck_assert(peer.is_big_right);
    ck_assert_uint_eq(site.gone, 1);
}
END_TEST

START_TEST(flow_is_not_read_beyond_the_window)
{
    int32_t id = peer_ask("GET", "/flow?1000000");
    peer_flush();
    site_await(&flows.begun, 1);
    ck_assert_uint_eq(flow_await_still(), NGHTTP2_INITIAL_WINDOW_SIZE);
    flow_order((struct flow_order){.ends = true});
    peer_run_until_closed(1);
    ck_assert_uint_eq(peer.answers[id].body_len, 1000000);
}
END_TEST

START_TEST(many_flows_share_a_connection)
{
    enum { FLOWS = 90 };
    for (unsigned i = 0; i < FLOWS; i++)
        peer_ask("GET", "/flow");
    peer_flush();
    site_await(&flows.begun, FLOWS);
    for (unsigned i = 0; i < 20; i++)
        flow_order((struct flow_order){.bytes = 5000});
    flow_order((struct flow_order){.ends = true});
    peer_run_until_closed(FLOWS);
    for (int32_t id = 1; id < 2 * FLOWS; id += 2)
        ck_assert_uint_eq(peer.answers[id].body_len, 100000);
    ck_assert(peer.is_big_right);
    ck_assert_uint_eq(site.gone, 0);
}
END_TEST

/* The connection is busy, but nothing is taken of the one stream. */
START_TEST(flow_that_nobody_reads_is_reset_alone)
{
    int32_t stuck = peer_ask("GET", "/flow?1000000"), id = 0;
    peer.is_stingy = true;
    for (unsigned i = 0; i < 60 && peer.closed <= i; i++) {
        id = peer_ask("GET", "/later?50");
        peer_run_until_closed(i + 1);
    }
    peer_run_until_closed((unsigned)(id + 1) / 2); /* stream ids are 1, 3, … */
    peer_assert_answer(id, 200, "later");
    ck_assert_uint_eq(peer.answers[stuck].error, NGHTTP2_CANCEL);
    site_await(&site.gone, 1);
}
END_TEST

/* --- bodies --- */

START_TEST(large_body_is_echoed)
{
    int32_t id = peer_ask_with("POST", "/echo", site.big, SITE_BIG, NULL, NULL);
    peer_run_until_closed(1);
    peer_assert_answer(id, 200, NULL);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert(peer.is_big_right);
}
END_TEST

START_TEST(announced_body_above_the_limit_is_413)
{
    int32_t id = peer_ask_with("POST", "/small", site.big, SITE_BIG, "content-length", "20971520");
    peer_run_until_closed(1);
    peer_assert_answer(id, 413, NULL);
    ck_assert_uint_eq(peer.answers[id].error, NGHTTP2_NO_ERROR);
    ck_assert_uint_gt(peer.answers[id].upload.len, 0);
}
END_TEST

START_TEST(unannounced_body_above_the_limit_is_413)
{
    int32_t id = peer_ask_with("POST", "/small", site.big, SITE_BIG, NULL, NULL);
    peer_run_until_closed(1);
    peer_assert_answer(id, 413, NULL);
    peer_ask("GET", "/now");
    peer_run_until_closed(2);
    peer_assert_answer(id + 2, 200, "now");
}
END_TEST

/* Some clients take a reset right behind the answer for a failure of the request. */
START_TEST(early_answer_comes_before_the_reset)
{
    int32_t id = peer_ask_with("POST", "/nowhere", "x", 1, NULL, NULL);
    peer.answers[id].upload_never_ends = true;
    peer_flush();
    int32_t now = peer_ask("GET", "/later?100");
    peer_run_until_closed(1);
    peer_assert_answer(now, 200, "later");
    ck_assert_uint_eq(peer.answers[id].status, 404);
    peer_run_until_closed(2);
    ck_assert_uint_eq(peer.answers[id].error, NGHTTP2_NO_ERROR);
}
END_TEST

START_TEST(client_that_waits_for_100_gets_it)
{
    int32_t id = peer_ask_with("POST", "/echo", "hello", 5, "expect", "100-continue");
    peer_run_until_closed(1);
    peer_assert_answer(id, 200, "hello");
    ck_assert(peer.answers[id].was_continued);
}
END_TEST

/* --- refusals --- */

START_TEST(unknown_paths_and_methods_are_refused)
{
    int32_t unknown = peer_ask("GET", "/nowhere"), wrong = peer_ask("DELETE", "/now");
    peer_run_until_closed(2);
    peer_assert_answer(unknown, 404, NULL);
    peer_assert_answer(wrong, 405, NULL);
}
END_TEST

static int32_t ask_with_long(size_t len, bool in_path)
{
    char *text = mem_zalloc(len + 2);
    memset(text, 'a', len);
    text[0] = '/';
    int32_t id =
        peer_ask_with("GET", in_path ? text : "/now", NULL, 0, in_path ? NULL : "big", text);
    peer_flush();
    free(text);
    return id;
}

START_TEST(long_target_is_414)
{
    int32_t id = ask_with_long(9000, true);
    peer_run_until_closed(1);
    peer_assert_answer(id, 414, NULL);
}
END_TEST

START_TEST(large_head_is_431)
{
    int32_t id = ask_with_long(34000, false);
    peer_run_until_closed(1);
    peer_assert_answer(id, 431, NULL);
}
END_TEST

/* --- streams that are given up --- */

START_TEST(reset_stream_is_gone_alone)
{
    int32_t never = peer_ask("GET", "/never");
    peer_flush();
    site_await(&site.begun, 1);
    nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, never, NGHTTP2_CANCEL);
    peer_flush();
    site_await(&site.gone, 1);
    site_await(&site.ended, 1);
    int32_t now = peer_ask("GET", "/now");
    peer_run_until_closed(2);
    peer_assert_answer(now, 200, "now");
}
END_TEST

static int run_impatient(void)
{
    TCase *tests = tcase_create("impatient");
    tcase_add_checked_fixture(tests, set_up_impatient, peer_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, flow_that_nobody_reads_is_reset_alone);
    return run_case(tests, "impatient http2 stream");
}

int main(void)
{
    TCase *tests = tcase_create("http2 stream");
    tcase_add_checked_fixture(tests, peer_set_up, peer_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, request_is_answered_at_once_or_later);
    tcase_add_test(tests, slow_stream_holds_up_no_other);
    tcase_add_test(tests, head_is_answered_without_a_body);
    tcase_add_test(tests, big_answer_arrives_whole);
    tcase_add_test(tests, big_answer_waits_for_a_slow_reader);
    tcase_add_test(tests, flow_that_is_reset_is_gone_alone);
    tcase_add_test(tests, flow_is_not_read_beyond_the_window);
    tcase_add_test(tests, many_flows_share_a_connection);
    tcase_add_test(tests, large_body_is_echoed);
    tcase_add_test(tests, announced_body_above_the_limit_is_413);
    tcase_add_test(tests, unannounced_body_above_the_limit_is_413);
    tcase_add_test(tests, early_answer_comes_before_the_reset);
    tcase_add_test(tests, client_that_waits_for_100_gets_it);
    tcase_add_test(tests, unknown_paths_and_methods_are_refused);
    tcase_add_test(tests, long_target_is_414);
    tcase_add_test(tests, large_head_is_431);
    tcase_add_test(tests, reset_stream_is_gone_alone);
    return run_case(tests, "http2 stream") | run_impatient();
}
