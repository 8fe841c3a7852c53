/* Time-outs, the connection limit and the listening socket, with limits small enough to wait for.
 */
#include "site.h"

#include "../../base/run.h"

/* For what takes less than 3 s on an idle machine. */
enum { PATIENCE_MS = 20000 };

static const struct bytes preface = BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

static void set_up(void)
{
    struct http_options options = http_options_default();
    options.head_timeout_ms = 300;
    options.first_byte_timeout_ms = 300;
    options.idle_timeout_ms = 600;
    options.write_timeout_ms = 600;
    options.connection_limit = 3;
    options.memory_limit = 200000;
    site_start(options);
}

/* Sends one byte every 50 ms; true when the peer closes meanwhile. */
static bool is_closed_while_trickling(int fd, const char *bytes)
{
    char room[1024];
    for (unsigned i = 0; i < 80; i++) {
        if (send(fd, &bytes[i % strlen(bytes)], 1, MSG_NOSIGNAL) < 0 ||
            site_receive(fd, room, sizeof(room), 50) == 0)
            return true;
    }
    return false;
}

START_TEST(silent_connection_is_closed)
{
    site_assert_closes(site_connect(), PATIENCE_MS);
}
END_TEST

START_TEST(half_a_preface_is_closed)
{
    int fd = site_connect();
    site_send(fd, bytes_from(preface.data, 10));
    site_assert_closes(fd, PATIENCE_MS);
}
END_TEST

START_TEST(half_a_preface_does_not_spin)
{
    int fd = site_connect();
    site_send(fd, bytes_from(preface.data, 10));
    usleep(20000);
    clock_t before = clock();
    usleep(200000);
    ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 20);
    close(fd);
}
END_TEST

START_TEST(preface_without_settings_is_closed)
{
    int fd = site_connect();
    site_send(fd, preface);
    site_assert_closes(fd, PATIENCE_MS);
}
END_TEST

START_TEST(head_that_trickles_is_closed)
{
    int fd = site_connect();
    site_send(fd, BYTES("GET /now HTTP/1.1\r\nHost: x\r\n"));
    ck_assert(is_closed_while_trickling(fd, "a: b\r\n"));
    close(fd);
}
END_TEST

START_TEST(request_line_that_trickles_is_closed)
{
    int fd = site_connect();
    ck_assert(is_closed_while_trickling(fd, "GETGETGET"));
    close(fd);
}
END_TEST

START_TEST(body_that_there_is_no_memory_for_is_refused)
{
    int fd = site_connect();
    site_send(fd, BYTES("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"));
    static char body[300000];
    site_send(fd, bytes_from(body, sizeof body));
    char answer[512];
    ssize_t len = site_receive(fd, answer, sizeof(answer) - 1, PATIENCE_MS);
    ck_assert_int_gt(len, 13);
    ck_assert_int_eq(memcmp(answer, "HTTP/1.1 503 ", 13), 0);
    close(fd);
}
END_TEST

START_TEST(body_that_stops_is_closed)
{
    int fd = site_connect();
    site_send(fd, BYTES("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel"));
    site_assert_closes(fd, PATIENCE_MS);
}
END_TEST

START_TEST(idle_connection_is_closed)
{
    int fd = site_connect();
    site_send(fd, BYTES("GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));
    site_assert_closes(fd, PATIENCE_MS);
}
END_TEST

START_TEST(pending_request_is_not_idle)
{
    char room[1024];
    int fd = site_connect();
    site_send(fd, BYTES("GET /later?2500 HTTP/1.1\r\nHost: x\r\n\r\n"));
    ssize_t n = site_receive(fd, room, sizeof(room), PATIENCE_MS);
    ck_assert_int_gt(n, 0);
    ck_assert_mem_eq(room, "HTTP/1.1 200", 12);
    close(fd);
}
END_TEST

START_TEST(reader_that_stops_is_closed)
{
    int fd = site_connect();
    site_send(fd, BYTES("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"));
    site_await(&site.ended, 1);
    close(fd);
}
END_TEST

/* A preface, empty SETTINGS, and GET /big on stream 1 as a plain HPACK block. */
static const char big_request[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
                                  "\x00\x00\x0b\x01\x05\x00\x00\x00\x01"
                                  "\x82\x86\x04\x04/big\x41\x01x";

START_TEST(reader_that_gives_no_window_is_closed)
{
    int fd = site_connect();
    site_send(fd, bytes_from(big_request, sizeof(big_request) - 1));
    site_assert_closes(fd, PATIENCE_MS);
    site_await(&site.ended, 1);
}
END_TEST

START_TEST(connection_above_the_limit_is_closed_at_once)
{
    int fds[3];
    for (unsigned i = 0; i < 3; i++)
        fds[i] = site_connect();
    usleep(20000);
    site_assert_closes(site_connect(), 100);
    ck_assert_uint_eq(reactor_stats(site.reactor)->refused, 1);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    usleep(50000);
    char room[1024];
    int fd = site_connect();
    site_send(fd, BYTES("GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));
    ck_assert_int_gt(site_receive(fd, room, sizeof(room), 1000), 0);
    close(fd);
}
END_TEST

static bool can_open(const char *host, uint16_t port, char *error, size_t size)
{
    int fds[3];
    uint16_t chosen = 0;
    if (!listener_open(host, port, 3, fds, &chosen, error, size))
        return false;
    ck_assert_uint_gt(chosen, 0);
    ck_assert(port == 0 || port == chosen);
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    return true;
}

START_TEST(taken_port_is_an_error_that_says_so)
{
    char error[256] = "";
    ck_assert(!can_open("127.0.0.1", site.port, error, sizeof(error)));
    ck_assert_ptr_nonnull(strstr(error, "Address already in use"));
}
END_TEST

START_TEST(hosts_are_names_and_addresses)
{
    const char *hosts[] = {"localhost", "127.0.0.1", "0.0.0.0", "*", "", NULL};
    char error[256] = "";
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        ck_assert_msg(can_open(hosts[i], 0, error, sizeof(error)), "%s", error);
    ck_assert(!can_open("no.such.host.invalid", 0, error, sizeof(error)));
    ck_assert_ptr_nonnull(strstr(error, "no.such.host.invalid"));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("limits");
    tcase_add_checked_fixture(tests, set_up, site_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, silent_connection_is_closed);
    tcase_add_test(tests, half_a_preface_is_closed);
    tcase_add_test(tests, half_a_preface_does_not_spin);
    tcase_add_test(tests, preface_without_settings_is_closed);
    tcase_add_test(tests, head_that_trickles_is_closed);
    tcase_add_test(tests, request_line_that_trickles_is_closed);
    tcase_add_test(tests, body_that_there_is_no_memory_for_is_refused);
    tcase_add_test(tests, body_that_stops_is_closed);
    tcase_add_test(tests, idle_connection_is_closed);
    tcase_add_test(tests, pending_request_is_not_idle);
    tcase_add_test(tests, reader_that_stops_is_closed);
    tcase_add_test(tests, reader_that_gives_no_window_is_closed);
    tcase_add_test(tests, connection_above_the_limit_is_closed_at_once);
    tcase_add_test(tests, taken_port_is_an_error_that_says_so);
    tcase_add_test(tests, hosts_are_names_and_addresses);
    return run_case(tests, "limits");
}
