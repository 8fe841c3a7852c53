/* HTTP/2 over real sockets on the loopback interface; the client is an nghttp2 session of our own.
 */
#include "site.h"

#include "../base/run.h"

#include <nghttp2/nghttp2.h>

enum { MAX_STREAMS = 400, READ_ALL = 1 << 30 };

/* What the client knows of one of its streams. */
struct answer {
    unsigned status;
    size_t body_len;
    char start[32]; /* of the body */
    bool is_closed;
    uint32_t error; /* of the close */
    bool was_continued;
    struct bytes upload; /* still to be sent */
    bool upload_never_ends;
};

static struct {
    int fd;
    nghttp2_session *session;
    struct answer answers[2 * MAX_STREAMS]; /* by stream id */
    unsigned closed;
    bool has_goaway;
    int32_t last_stream;
    bool is_over; /* the server has closed the connection */
    bool is_big_right;
    bool is_stingy; /* credits the window of the connection alone */
} peer;

/* --- callbacks --- */

static ssize_t peer_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                         void *context)
{
    (void)session;
    (void)flags;
    (void)context;
    ssize_t sent = send(peer.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        return NGHTTP2_ERR_WOULDBLOCK;
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    (void)session;
    (void)flags;
    (void)context;
    (void)value_len;
    if (!bytes_equal(bytes_from(name, name_len), BYTES(":status")))
        return 0;
    struct answer *answer = &peer.answers[frame->hd.stream_id];
    answer->status = (unsigned)atoi((const char *)value);
    answer->was_continued |= answer->status == 100;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *context)
{
    (void)flags;
    (void)context;
    struct answer *answer = &peer.answers[id];
    if (answer->body_len + len < sizeof(answer->start))
        memcpy(answer->start + answer->body_len, data, len);
    peer.is_big_right &=
        answer->body_len + len <= SITE_BIG && memcmp(site.big + answer->body_len, data, len) == 0;
    answer->body_len += len;
    if (peer.is_stingy)
        nghttp2_session_consume_connection(session, len);
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)session;
    (void)context;
    peer.answers[id].is_closed = true;
    peer.answers[id].error = error;
    peer.closed++;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    (void)context;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer.has_goaway = true;
        peer.last_stream = frame->goaway.last_stream_id;
    }
    return 0;
}

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct answer *answer = source->ptr;
    size_t len = answer->upload.len < size ? answer->upload.len : size;
    memcpy(room, answer->upload.data, len);
    answer->upload = bytes_skip(answer->upload, len);
    if (answer->upload.len > 0)
        return (ssize_t)len;
    if (!answer->upload_never_ends)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (len == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)len;
}

/* --- a client --- */

static void open_session(void)
{
    nghttp2_session_callbacks *callbacks;
    ck_assert_int_eq(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, peer_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_option *option;
    ck_assert_int_eq(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&peer.session, callbacks, NULL, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, NULL, 0);
    peer.is_big_right = true;
}

static void set_up(void)
{
    site_set_up();
    peer.fd = site_connect();
    open_session();
}

static void set_up_impatient(void)
{
    struct http_options options = http_options_default();
    options.write_timeout_ms = 1000;
    site_start(options);
    peer.fd = site_connect();
    open_session();
}

static void tear_down(void)
{
    nghttp2_session_del(peer.session);
    close(peer.fd);
    site_tear_down();
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

static int32_t ask_with(const char *method, const char *path, const char *upload, size_t len,
                        const char *more_name, const char *more_value)
{
    nghttp2_nv fields[5] = {field(":method", method), field(":scheme", "http"),
                            field(":authority", "x"), field(":path", path)};
    size_t count = 4;
    if (more_name)
        fields[count++] = field(more_name, more_value);
    int32_t id = (int32_t)nghttp2_session_get_next_stream_id(peer.session);
    ck_assert_int_lt(id, 2 * MAX_STREAMS);
    peer.answers[id].upload = bytes_from(upload, len);
    nghttp2_data_provider provider = {.source.ptr = &peer.answers[id],
                                      .read_callback = read_upload};
    ck_assert_int_eq(
        nghttp2_submit_request(peer.session, NULL, fields, count, upload ? &provider : NULL, NULL),
        id);
    return id;
}

static int32_t ask(const char *method, const char *path)
{
    return ask_with(method, path, NULL, 0, NULL, NULL);
}

static void flush(void)
{
    nghttp2_session_send(peer.session);
}

/* Sends and receives until `wanted` streams are closed in all, or the connection is. */
static void run_until_closed(unsigned wanted)
{
    static char room[65536];
    flush();
    while (peer.closed < wanted && !peer.is_over) {
        ssize_t n = site_receive(peer.fd, room, sizeof(room), 5000);
        ck_assert_msg(n >= 0, "no answer, %u of %u streams closed", peer.closed, wanted);
        peer.is_over = n == 0;
        ck_assert_int_ge(nghttp2_session_mem_recv(peer.session, (uint8_t *)room, (size_t)n), 0);
        flush();
    }
}

static void run_until_over(void)
{
    run_until_closed(UINT32_MAX);
}

static void assert_answer(int32_t id, unsigned status, const char *body)
{
    ck_assert(peer.answers[id].is_closed);
    ck_assert_uint_eq(peer.answers[id].status, status);
    if (body)
        ck_assert_str_eq(peer.answers[id].start, body);
}

/* --- answers --- */

START_TEST(request_is_answered_at_once_or_later)
{
    int32_t now = ask("GET", "/now"), later = ask("GET", "/later?20");
    run_until_closed(2);
    assert_answer(now, 200, "now");
    assert_answer(later, 200, "later");
}
END_TEST

START_TEST(slow_stream_holds_up_no_other)
{
    int32_t never = ask("GET", "/never"), now = ask("GET", "/now");
    run_until_closed(1);
    assert_answer(now, 200, "now");
    ck_assert(!peer.answers[never].is_closed);
}
END_TEST

START_TEST(many_streams_share_a_connection)
{
    for (unsigned i = 0; i < MAX_STREAMS - 1; i++)
        ask("GET", i % 2 ? "/now" : "/later");
    run_until_closed(MAX_STREAMS - 1);
    for (int32_t id = 1; id < 2 * (MAX_STREAMS - 1); id += 2)
        assert_answer(id, 200, id % 4 == 3 ? "now" : "later");
}
END_TEST

START_TEST(preface_in_single_bytes_is_understood)
{
    int32_t id = ask("GET", "/now");
    const uint8_t *bytes;
    for (ssize_t n; (n = nghttp2_session_mem_send(peer.session, &bytes)) > 0;)
        for (ssize_t i = 0; i < n; i++) {
            site_send(peer.fd, bytes_from(bytes + i, 1));
            usleep(1000);
        }
    run_until_closed(1);
    assert_answer(id, 200, "now");
}
END_TEST

START_TEST(head_is_answered_without_a_body)
{
    int32_t id = ask("HEAD", "/now");
    run_until_closed(1);
    assert_answer(id, 200, "");
}
END_TEST

START_TEST(big_answer_arrives_whole)
{
    int32_t id = ask("GET", "/big");
    run_until_closed(1);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert(peer.is_big_right);
}
END_TEST

START_TEST(big_answer_waits_for_a_slow_reader)
{
    nghttp2_session_set_local_window_size(peer.session, NGHTTP2_FLAG_NONE, 0, READ_ALL);
    int32_t id = ask("GET", "/big"), other = ask("GET", "/big");
    flush();
    usleep(300000);
    run_until_closed(2);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert_uint_eq(peer.answers[other].body_len, SITE_BIG);
}
END_TEST

/* --- bodies that are produced while they are sent --- */

START_TEST(flow_that_is_reset_is_gone_alone)
{
    int32_t left = ask("GET", "/flow?10"), kept = ask("GET", "/flow?10");
    flush();
    site_await(&flows.begun, 2);
    nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, left, NGHTTP2_CANCEL);
    flush();
    site_await(&site.ended, 1);
    flow_order((struct flow_order){.bytes = 90, .ends = true});
    run_until_closed(2);
    assert_answer(kept, 200, NULL);
    ck_assert_uint_eq(peer.answers[kept].body_len, 100);
    ck_assert(peer.is_big_right);
    ck_assert_uint_eq(site.gone, 1);
}
END_TEST

START_TEST(flow_is_not_read_beyond_the_window)
{
    int32_t id = ask("GET", "/flow?1000000");
    flush();
    site_await(&flows.begun, 1);
    ck_assert_uint_eq(flow_await_still(), NGHTTP2_INITIAL_WINDOW_SIZE);
    flow_order((struct flow_order){.ends = true});
    run_until_closed(1);
    ck_assert_uint_eq(peer.answers[id].body_len, 1000000);
}
END_TEST

START_TEST(many_flows_share_a_connection)
{
    enum { FLOWS = 90 };
    for (unsigned i = 0; i < FLOWS; i++)
        ask("GET", "/flow");
    flush();
    site_await(&flows.begun, FLOWS);
    for (unsigned i = 0; i < 20; i++)
        flow_order((struct flow_order){.bytes = 5000});
    flow_order((struct flow_order){.ends = true});
    run_until_closed(FLOWS);
    for (int32_t id = 1; id < 2 * FLOWS; id += 2)
        ck_assert_uint_eq(peer.answers[id].body_len, 100000);
    ck_assert(peer.is_big_right);
    ck_assert_uint_eq(site.gone, 0);
}
END_TEST

/* The connection is busy, but nothing is taken of the one stream. */
START_TEST(flow_that_nobody_reads_is_reset_alone)
{
    int32_t stuck = ask("GET", "/flow?1000000"), id = 0;
    peer.is_stingy = true;
    for (unsigned i = 0; i < 60 && peer.closed <= i; i++) {
        id = ask("GET", "/later?50");
        run_until_closed(i + 1);
    }
    run_until_closed((unsigned)(id + 1) / 2); /* stream ids are 1, 3, … */
    assert_answer(id, 200, "later");
    ck_assert_uint_eq(peer.answers[stuck].error, NGHTTP2_CANCEL);
    site_await(&site.gone, 1);
}
END_TEST

/* --- bodies --- */

START_TEST(large_body_is_echoed)
{
    int32_t id = ask_with("POST", "/echo", site.big, SITE_BIG, NULL, NULL);
    run_until_closed(1);
    assert_answer(id, 200, NULL);
    ck_assert_uint_eq(peer.answers[id].body_len, SITE_BIG);
    ck_assert(peer.is_big_right);
}
END_TEST

START_TEST(announced_body_above_the_limit_is_413)
{
    int32_t id = ask_with("POST", "/small", site.big, SITE_BIG, "content-length", "20971520");
    run_until_closed(1);
    assert_answer(id, 413, NULL);
    ck_assert_uint_eq(peer.answers[id].error, NGHTTP2_NO_ERROR);
    ck_assert_uint_gt(peer.answers[id].upload.len, 0);
}
END_TEST

START_TEST(unannounced_body_above_the_limit_is_413)
{
    int32_t id = ask_with("POST", "/small", site.big, SITE_BIG, NULL, NULL);
    run_until_closed(1);
    assert_answer(id, 413, NULL);
    ask("GET", "/now");
    run_until_closed(2);
    assert_answer(id + 2, 200, "now");
}
END_TEST

/* Some clients take a reset right behind the answer for a failure of the request. */
START_TEST(early_answer_comes_before_the_reset)
{
    int32_t id = ask_with("POST", "/nowhere", "x", 1, NULL, NULL);
    peer.answers[id].upload_never_ends = true;
    flush();
    int32_t now = ask("GET", "/later?100");
    run_until_closed(1);
    assert_answer(now, 200, "later");
    ck_assert_uint_eq(peer.answers[id].status, 404);
    run_until_closed(2);
    ck_assert_uint_eq(peer.answers[id].error, NGHTTP2_NO_ERROR);
}
END_TEST

START_TEST(client_that_waits_for_100_gets_it)
{
    int32_t id = ask_with("POST", "/echo", "hello", 5, "expect", "100-continue");
    run_until_closed(1);
    assert_answer(id, 200, "hello");
    ck_assert(peer.answers[id].was_continued);
}
END_TEST

/* --- refusals --- */

START_TEST(unknown_paths_and_methods_are_refused)
{
    int32_t unknown = ask("GET", "/nowhere"), wrong = ask("DELETE", "/now");
    run_until_closed(2);
    assert_answer(unknown, 404, NULL);
    assert_answer(wrong, 405, NULL);
}
END_TEST

static int32_t ask_with_long(size_t len, bool in_path)
{
    char *text = mem_zalloc(len + 2);
    memset(text, 'a', len);
    text[0] = '/';
    int32_t id = ask_with("GET", in_path ? text : "/now", NULL, 0, in_path ? NULL : "big", text);
    flush();
    free(text);
    return id;
}

START_TEST(long_target_is_414)
{
    int32_t id = ask_with_long(9000, true);
    run_until_closed(1);
    assert_answer(id, 414, NULL);
}
END_TEST

START_TEST(large_head_is_431)
{
    int32_t id = ask_with_long(34000, false);
    run_until_closed(1);
    assert_answer(id, 431, NULL);
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

START_TEST(flood_of_resets_ends_the_connection)
{
    for (unsigned i = 0; i < MAX_STREAMS - 1 && !peer.is_over; i++) {
        int32_t id = ask("GET", "/never");
        flush();
        nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        flush();
    }
    run_until_over();
    ck_assert(peer.has_goaway);
}
END_TEST

/* --- clients that leave --- */

START_TEST(reset_stream_is_gone_alone)
{
    int32_t never = ask("GET", "/never");
    flush();
    site_await(&site.begun, 1);
    nghttp2_submit_rst_stream(peer.session, NGHTTP2_FLAG_NONE, never, NGHTTP2_CANCEL);
    flush();
    site_await(&site.gone, 1);
    site_await(&site.ended, 1);
    int32_t now = ask("GET", "/now");
    run_until_closed(2);
    assert_answer(now, 200, "now");
}
END_TEST

START_TEST(lost_connection_ends_all_its_streams)
{
    for (unsigned i = 0; i < 20; i++)
        ask("GET", i % 2 ? "/never" : "/later?300");
    flush();
    site_await(&site.begun, 20);
    shutdown(peer.fd, SHUT_RDWR);
    site_await(&site.gone, 20);
    site_await(&site.ended, 20);
}
END_TEST

START_TEST(client_that_leaves_during_a_big_answer_ends_it)
{
    ask("GET", "/big");
    flush();
    site_await(&site.begun, 1);
    shutdown(peer.fd, SHUT_RDWR);
    site_await(&site.ended, 1);
}
END_TEST

/* --- the end --- */

START_TEST(pending_answers_are_given_before_the_end)
{
    int32_t id = ask("GET", "/later?100");
    flush();
    site_await(&site.begun, 1);
    reactor_stop(site.reactor, SITE_GRACE_MS);
    run_until_over();
    assert_answer(id, 200, "later");
    ck_assert(peer.has_goaway);
}
END_TEST

START_TEST(late_stream_is_refused_by_the_last_word)
{
    ask("GET", "/never");
    flush();
    site_await(&site.begun, 1);
    reactor_stop(site.reactor, 1500);
    run_until_over();
    ck_assert(peer.has_goaway);
    ck_assert_int_eq(peer.last_stream, 1);
    ck_assert_uint_eq(site.gone, 1);
}
END_TEST

START_TEST(idle_connections_do_not_delay_the_end)
{
    ask("GET", "/now");
    run_until_closed(1);
    uint64_t begin_us = clock_now_us();
    reactor_stop(site.reactor, 10000);
    reactor_join(site.reactor);
    ck_assert_uint_lt(clock_now_us() - begin_us, 1000000);
    run_until_over();
    ck_assert(peer.has_goaway);
    ck_assert_int_eq(peer.last_stream, 1);
}
END_TEST

static void add_ends(TCase *tests)
{
    tcase_add_test(tests, connection_of_junk_is_closed);
    tcase_add_test(tests, flood_of_resets_ends_the_connection);
    tcase_add_test(tests, reset_stream_is_gone_alone);
    tcase_add_test(tests, lost_connection_ends_all_its_streams);
    tcase_add_test(tests, client_that_leaves_during_a_big_answer_ends_it);
    tcase_add_test(tests, pending_answers_are_given_before_the_end);
    tcase_add_test(tests, late_stream_is_refused_by_the_last_word);
    tcase_add_test(tests, idle_connections_do_not_delay_the_end);
}

static void add_flows(TCase *tests)
{
    tcase_add_test(tests, flow_that_is_reset_is_gone_alone);
    tcase_add_test(tests, flow_is_not_read_beyond_the_window);
    tcase_add_test(tests, many_flows_share_a_connection);
}

static int run_impatient(void)
{
    TCase *tests = tcase_create("impatient");
    tcase_add_checked_fixture(tests, set_up_impatient, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, flow_that_nobody_reads_is_reset_alone);
    return run_case(tests, "impatient http2");
}

int main(void)
{
    TCase *tests = tcase_create("http2");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, request_is_answered_at_once_or_later);
    tcase_add_test(tests, slow_stream_holds_up_no_other);
    tcase_add_test(tests, many_streams_share_a_connection);
    tcase_add_test(tests, preface_in_single_bytes_is_understood);
    tcase_add_test(tests, head_is_answered_without_a_body);
    tcase_add_test(tests, big_answer_arrives_whole);
    tcase_add_test(tests, big_answer_waits_for_a_slow_reader);
    add_flows(tests);
    tcase_add_test(tests, large_body_is_echoed);
    tcase_add_test(tests, announced_body_above_the_limit_is_413);
    tcase_add_test(tests, unannounced_body_above_the_limit_is_413);
    tcase_add_test(tests, early_answer_comes_before_the_reset);
    tcase_add_test(tests, client_that_waits_for_100_gets_it);
    tcase_add_test(tests, unknown_paths_and_methods_are_refused);
    tcase_add_test(tests, long_target_is_414);
    tcase_add_test(tests, large_head_is_431);
    add_ends(tests);
    return run_case(tests, "http2") | run_impatient();
}
