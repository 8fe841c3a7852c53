/* A reactor with a few routes on a free port of the loopback interface, for the tests of the
 * protocols. One site a test. */
#ifndef SNAKEPIT_TESTS_UNIT_SERVER_SITE_H
#define SNAKEPIT_TESTS_UNIT_SERVER_SITE_H

#include "base/clock.h"
#include "base/mem.h"
#include "server/http/exchange.h"
#include "server/http/listener.h"
#include "server/http/reactor.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SITE_BIG = 20 << 20, SITE_SMALL_LIMIT = 1000, SITE_GRACE_MS = 2000 };

/* A request that another thread answers, after a while. */
struct job {
    struct mail mail;
    struct exchange *exchange; /* NULL once it is over; reactor thread only */
    unsigned wait_ms;
};

static struct {
    struct router *router;
    struct reactor *reactor;
    uint16_t port;
    struct mailbox to_helper;
    sem_t helper_wakes;
    pthread_t helper;
    _Atomic bool quits;
    _Atomic unsigned begun, gone, ended;
    char *big;
} site;

/* --- handlers --- */

static inline void site_on_gone(struct exchange *exchange)
{
    site.gone++;
    if (exchange->handler)
        ((struct job *)exchange->handler)->exchange = NULL;
}

static inline void site_on_end(struct exchange *exchange)
{
    (void)exchange;
    site.ended++;
}

static inline void site_note(struct exchange *exchange)
{
    site.begun++;
    exchange->on_gone = site_on_gone;
    exchange->on_end = site_on_end;
}

static inline void site_answer(struct exchange *exchange, struct bytes text)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", BYTES("text/plain"));
    response_part(&response, text);
    exchange_respond(exchange, &response);
}

static inline void site_now(struct exchange *exchange)
{
    site_note(exchange);
    site_answer(exchange, BYTES("now"));
}

static inline void site_finish_job(struct mail *mail)
{
    struct job *job = CONTAINER_OF(mail, struct job, mail);
    if (job->exchange)
        site_answer(job->exchange, BYTES("later"));
    free(job);
}

/* The query is how long it takes, in milliseconds. */
static inline void site_later(struct exchange *exchange)
{
    site_note(exchange);
    struct job *job = MEM_NEW(struct job);
    job->mail.open = site_finish_job;
    job->exchange = exchange;
    if (exchange->query.len > 0)
        job->wait_ms = (unsigned)atoi(arena_string(exchange->arena, exchange->query));
    exchange->handler = job;
    mailbox_post(&site.to_helper, &job->mail);
}

static inline void site_never(struct exchange *exchange)
{
    site_note(exchange);
}

static inline void site_echo(struct exchange *exchange)
{
    site_note(exchange);
    site_answer(exchange, exchange_payload(exchange));
}

static inline void site_send_big(struct exchange *exchange)
{
    site_note(exchange);
    struct response response = {.status = 200};
    response_part(&response, bytes_from(site.big, SITE_BIG / 2));
    response_part(&response, bytes_from(site.big + SITE_BIG / 2, SITE_BIG - SITE_BIG / 2));
    exchange_respond(exchange, &response);
}

static inline void site_parts(struct exchange *exchange)
{
    site_note(exchange);
    struct response response = {.status = 200};
    response_header(&response, "x-bad", BYTES("a\r\nx-injected: b"));
    response_part(&response, BYTES("one "));
    response_part(&response, BYTES(""));
    response_part(&response, BYTES("two"));
    exchange_respond(exchange, &response);
}

#include "flow.h"

/* --- life --- */

static inline void site_wake_helper(void *context)
{
    (void)context;
    sem_post(&site.helper_wakes);
}

static inline void *site_help(void *context)
{
    (void)context;
    while (!site.quits) {
        sem_wait(&site.helper_wakes);
        struct mail *next = NULL;
        for (struct mail *mail = mailbox_drain(&site.to_helper); mail; mail = next) {
            next = mail->next;
            usleep(CONTAINER_OF(mail, struct job, mail)->wait_ms * 1000);
            mailbox_post(reactor_inbox(site.reactor), mail);
        }
    }
    return NULL;
}

/* Once a program, before check forks: under a sanitizer it takes longer than most tests. */
__attribute__((constructor)) static void site_make_big(void)
{
    site.big = mem_alloc(SITE_BIG);
    for (size_t i = 0; i < SITE_BIG; i++)
        site.big[i] = (char)(i * 31 >> 8);
}

static inline void site_start(struct http_options options)
{
    static const struct route routes[] = {
        {"GET", "/now", site_now, 0, 0},
        {"GET", "/later", site_later, 0, 0},
        {"POST", "/later", site_later, 0, 0},
        {"GET", "/never", site_never, 0, 0},
        {"POST", "/never", site_never, 0, 0},
        {"POST", "/echo", site_echo, 32 << 20, 0},
        {"POST", "/small", site_echo, SITE_SMALL_LIMIT, 0},
        {"GET", "/big", site_send_big, 0, 0},
        {"GET", "/parts", site_parts, 0, 0},
        {"GET", "/flow", flow_get, 0, 0},
    };
    static const struct reactor_hooks hooks = {0};
    int fd;
    char error[256];
    list_init(&flows.all);
    ck_assert_msg(listener_open("localhost", 0, 1, &fd, &site.port, error, sizeof(error)), "%s",
                  error);
    site.router = router_new(routes, sizeof(routes) / sizeof(routes[0]));
    site.reactor = reactor_new(&options, site.router, &hooks, NULL);
    sem_init(&site.helper_wakes, 0, 0);
    mailbox_init(&site.to_helper, site_wake_helper, NULL);
    ck_assert_int_eq(pthread_create(&site.helper, NULL, site_help, NULL), 0);
    listener_start(site.reactor, fd);
    reactor_start(site.reactor);
}

static inline void site_set_up(void)
{
    site_start(http_options_default());
}

/* Waits for the reactor, and checks that each exchange ended once. */
static inline void site_tear_down(void)
{
    reactor_stop(site.reactor, SITE_GRACE_MS);
    reactor_join(site.reactor);
    site.quits = true;
    sem_post(&site.helper_wakes);
    pthread_join(site.helper, NULL);
    struct mail *next = NULL;
    for (struct mail *mail = mailbox_drain(reactor_inbox(site.reactor)); mail; mail = next) {
        next = mail->next;
        free(CONTAINER_OF(mail, struct job, mail));
    }
    struct http_stats *stats = reactor_stats(site.reactor);
    ck_assert_uint_eq(site.begun, site.ended);
    for (unsigned i = 0; i < HTTP_PROTOCOLS; i++) {
        ck_assert_int_eq(stats->exchanges[i], 0);
        ck_assert_int_eq(stats->connections[i], 0);
    }
    reactor_free(&site.reactor);
    router_free(&site.router);
}

/* Waits up to 5 s for a counter of another thread. */
static inline void site_await(_Atomic unsigned *counter, unsigned wanted)
{
    for (unsigned i = 0; i < 5000 && *counter < wanted; i++)
        usleep(1000);
    ck_assert_uint_eq(*counter, wanted);
}

/* --- sockets --- */

static inline int site_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(site.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void site_send(int fd, struct bytes text)
{
    while (text.len > 0) {
        ssize_t sent = send(fd, text.data, text.len, MSG_NOSIGNAL);
        ck_assert_int_gt(sent, 0);
        text = bytes_skip(text, (size_t)sent);
    }
}

/* Bytes read, 0 at the end (a reset is an end too), -1 when nothing came for `wait_ms`. */
static inline ssize_t site_receive(int fd, char *room, size_t size, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) != 1)
        return -1;
    ssize_t n = recv(fd, room, size, 0);
    return n < 0 ? 0 : n;
}

/* The peer closes within `wait_ms`; what it still says is skipped. */
static inline void site_assert_closes(int fd, int wait_ms)
{
    char room[4096];
    uint64_t end_us = clock_now_us() + (uint64_t)wait_ms * 1000;
    ssize_t n = 1;
    while (n > 0 && clock_now_us() < end_us)
        n = site_receive(fd, room, sizeof(room), wait_ms);
    ck_assert_msg(n == 0, "connection still open");
    close(fd);
}

#endif
