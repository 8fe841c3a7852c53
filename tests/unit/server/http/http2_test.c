/* Connections of HTTP/2: how they begin, what they bear, how they end. */
#include "peer.h"

#include "../../base/run.h"

/* --- the beginning --- */

START_TEST(many_streams_share_a_connection)
{
    for (unsigned i = 0; i < PEER_MAX_STREAMS - 1; i++)
        peer_ask("GET", i % 2 ? "/now" : "/later");
    peer_run_until_closed(PEER_MAX_STREAMS - 1);
    for (int32_t id = 1; id < 2 * (PEER_MAX_STREAMS - 1); id += 2)
        peer_assert_answer(id, 200, id % 4 == 3 ? "now" : "later");
}
END_TEST

START_TEST(preface_in_single_bytes_is_understood)
{
    int32_t id = peer_ask("GET", "/now");
    const uint8_t *bytes;
    for (ssize_t n; (n = nghttp2_session_mem_send(peer.session, &bytes)) > 0;)
        for (ssize_t i = 0; i < n; i++) {
            site_send(peer.fd, bytes_from(bytes + i, 1));
            usleep(1000);
        }
    peer_run_until_closed(1);
    peer_assert_answer(id, 200, "now");
}
END_TEST

START_TEST(connection_of_junk_is_closed)
{
    int fd = site_connect();
    site_send(fd, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    site_send(fd, bytes_from(site.big, 100));
    site_assert_closes(fd, 2000);
}
END_TEST

/* --- clients that leave --- */

START_TEST(flood_of_resets_ends_the_connection)
{
    for (unsigned i = 0; i < PEER_MAX_STREAMS - 1 && !peer.is_over; i++) {
        int32_t id = peer_ask("GET", "/never");
        peer_flush();
        nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        peer_flush();
    }
    peer_run_until_over();
    ck_assert(peer.has_goaway);
}
END_TEST

START_TEST(lost_connection_ends_all_its_streams)
{
    for (unsigned i = 0; i < 20; i++)
        peer_ask("GET", i % 2 ? "/never" : "/later?300");
    peer_flush();
    site_await(&site.begun, 20);
    shutdown(peer.fd, SHUT_RDWR);
    site_await(&site.gone, 20);
    site_await(&site.ended, 20);
}
END_TEST

START_TEST(client_that_leaves_during_a_big_answer_ends_it)
{
    peer_ask("GET", "/big");
    peer_flush();
    site_await(&site.begun, 1);
    shutdown(peer.fd, SHUT_RDWR);
    site_await(&site.ended, 1);
}
END_TEST

/* --- the end --- */

START_TEST(pending_answers_are_given_before_the_end)
{
    int32_t id = peer_ask("GET", "/later?100");
    peer_flush();
    site_await(&site.begun, 1);
    reactor_stop(site.reactor, SITE_GRACE_MS);
    peer_run_until_over();
    peer_assert_answer(id, 200, "later");
    ck_assert(peer.has_goaway);
}
END_TEST

START_TEST(late_stream_is_refused_by_the_last_word)
{
    peer_ask("GET", "/never");
    peer_flush();
    site_await(&site.begun, 1);
    reactor_stop(site.reactor, 1500);
    peer_run_until_over();
    ck_assert(peer.has_goaway);
    ck_assert_int_eq(peer.last_stream, 1);
    ck_assert_uint_eq(site.gone, 1);
}
END_TEST

START_TEST(idle_connections_do_not_delay_the_end)
{
    peer_ask("GET", "/now");
    peer_run_until_closed(1);
    uint64_t begin_us = clock_now_us();
    reactor_stop(site.reactor, 10000);
    reactor_join(site.reactor);
    ck_assert_uint_lt(clock_now_us() - begin_us, 1000000);
    peer_run_until_over();
    ck_assert(peer.has_goaway);
    ck_assert_int_eq(peer.last_stream, 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("http2");
    tcase_add_checked_fixture(tests, peer_set_up, peer_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, many_streams_share_a_connection);
    tcase_add_test(tests, preface_in_single_bytes_is_understood);
    tcase_add_test(tests, connection_of_junk_is_closed);
    tcase_add_test(tests, flood_of_resets_ends_the_connection);
    tcase_add_test(tests, lost_connection_ends_all_its_streams);
    tcase_add_test(tests, client_that_leaves_during_a_big_answer_ends_it);
    tcase_add_test(tests, pending_answers_are_given_before_the_end);
    tcase_add_test(tests, late_stream_is_refused_by_the_last_word);
    tcase_add_test(tests, idle_connections_do_not_delay_the_end);
    return run_case(tests, "http2");
}
