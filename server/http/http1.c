#include "server/http/http1.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/http/http1_inside.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    RUNS_PER_TURN = 2, /* the second run often completes what the first one began */
    LEAVERS_PER_READ = 64,
    LINGER_US = 5000000,
    QUIET_US = 1000000,      /* idle for longer: give memory back */
    TIMER_SLACK_US = 500000, /* libmicrohttpd's own timer, which destroys the pool, may be ahead */
    PAGE = 4096,
};

/* --- connections --- */

static void on_opened(struct http1 *http1, struct MHD_Connection *mhd, void **socket_context)
{
    struct http1_connection *connection = MEM_NEW(struct http1_connection);
    connection->http1 = http1;
    connection->mhd = mhd;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->since_us = reactor_now_us(http1->reactor);
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(http1->leaving_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        log_event(LOG_WARNING, "cannot watch a connection for its end", LOG_INT("errno", errno),
                  LOG_END);
    list_push_back(&http1->connections, &connection->node);
    list_init(&connection->leaving);
    list_init(&connection->expected);
    http_stats_shift(&http1->reactor->stats.connections[HTTP_1], 1);
    *socket_context = connection;
}

static void on_closed(struct http1 *http1, struct http1_connection *connection)
{
    /* Closing it would do, were it not for a child between fork and exec that has a copy. */
    epoll_ctl(http1->leaving_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    list_remove(&connection->node);
    list_remove(&connection->leaving);
    list_remove(&connection->expected);
    free(connection);
    http_stats_shift(&http1->reactor->stats.connections[HTTP_1], -1);
    reactor_dismiss(http1->reactor);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        on_opened(cls, mhd, socket_context);
    else
        on_closed(cls, *socket_context);
}

/* libmicrohttpd sees the end on its own epoll set, and closes and tells us as if the peer had done
 * it. */
static void hang_up(struct http1_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    if (connection->exchange)
        http1_request_gone(connection->exchange);
    connection->http1->due = true;
}

void http1_adopt(struct http1 *http1, int fd, const struct sockaddr *address, socklen_t len)
{
    http1->due = true;
    if (MHD_add_connection(http1->daemon, fd, address, len) == MHD_YES)
        return;
    log_event(LOG_WARNING, "connection refused by libmicrohttpd", LOG_INT("errno", errno), LOG_END);
    reactor_dismiss(http1->reactor);
}

/* --- peers that leave ---
 *
 * libmicrohttpd does not look at the socket of a suspended connection, so nobody would tell us that
 * the peer has gone. A second, edge-triggered epoll set watches every connection for that one
 * event, and costs nothing per request. It also tells when there is room for what we write to
 * suspended connections ourselves (http1_source.c). */

static void on_leaver(struct http1_connection *connection)
{
    connection->peer_left = true;
    if (connection->exchange)
        http1_request_gone(connection->exchange);
    http1_read_on(connection);
}

static bool is_read(const struct http1_connection *connection)
{
    const struct http1_exchange *request = connection->exchange;
    return !request || request->phase == HTTP1_HEAD || request->phase == HTTP1_BODY ||
           request->phase == HTTP1_DRAINING;
}

/* libmicrohttpd 0.9.75 takes a short read for the end of what there is until its edge-triggered
 * epoll set tells of more, and so never reads the end when that came together with the last bytes.
 * This makes another edge, and leaves what has arrived to be read. */
static void nudge_leavers(struct http1 *http1)
{
    LIST_FOREACH (&http1->leavers, node, following) {
        struct http1_connection *connection = CONTAINER_OF(node, struct http1_connection, leaving);
        if (is_read(connection))
            shutdown(connection->fd, SHUT_RD);
        else
            list_remove(node);
    }
}

static void on_leaving(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http1 *http1 = poll->data;
    struct epoll_event leavers[LEAVERS_PER_READ];
    int count = epoll_wait(http1->leaving_fd, leavers, LEAVERS_PER_READ, 0);
    for (int i = 0; i < count; i++) {
        struct http1_connection *connection = leavers[i].data.ptr;
        if (leavers[i].events & ~(unsigned)EPOLLOUT)
            on_leaver(connection);
        else if (connection->exchange)
            http1_source_unblock(connection->exchange);
    }
    reactor_worked(http1->reactor);
}

/* --- bodies that come later ---
 *
 * A client that writes head and body in two pieces, as httpx does, and has not switched off Nagle's
 * algorithm (RFC 896), sends the second one when the first has been acknowledged; which the kernel
 * delays by 40 ms. So it is told to do that now. */

static void acknowledge_heads(struct http1 *http1)
{
    const int on = 1;
    LIST_FOREACH (&http1->expecting, node, following) {
        struct http1_connection *connection = CONTAINER_OF(node, struct http1_connection, expected);
        setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
        list_remove(node);
    }
}

/* --- running --- */

static void on_daemon_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct http1 *http1 = poll->data;
    http1->due = true;
    reactor_worked(http1->reactor);
}

static void run(struct tenant *tenant)
{
    struct http1 *http1 = (struct http1 *)tenant;
    for (unsigned i = 0; http1->due && i < RUNS_PER_TURN; i++) {
        http1->due = false;
        reactor_worked(http1->reactor);
        MHD_run(http1->daemon);
        nudge_leavers(http1);
        acknowledge_heads(http1);
        MHD_UNSIGNED_LONG_LONG wait_ms = 0;
        if (MHD_get_timeout(http1->daemon, &wait_ms) == MHD_YES && wait_ms == 0)
            http1->due = true;
    }
}

static bool is_due(const struct tenant *tenant)
{
    return ((const struct http1 *)tenant)->due;
}

/* --- time --- */

static uint64_t patience_us(const struct http1_connection *connection)
{
    const struct http_options *options = &connection->http1->reactor->options;
    const struct http1_exchange *request = connection->exchange;
    if (!request && connection->is_used && connection->http1->reactor->draining)
        return 0;
    if (!request) /* a first request line, or quiet between requests */
        return (connection->is_used ? options->idle_timeout_ms : options->head_timeout_ms) *
               UINT64_C(1000);
    switch (request->phase) {
    case HTTP1_HEAD:
        return options->head_timeout_ms * UINT64_C(1000);
    case HTTP1_BODY:
    case HTTP1_BLOCKED:
        return options->idle_timeout_ms * UINT64_C(1000);
    case HTTP1_DRAINING:
        return LINGER_US;
    case HTTP1_HANDLING:
    case HTTP1_WAITING: /* the pool's deadlines are what ends these */
    case HTTP1_SENDING: /* libmicrohttpd's own timer sees whether anything is sent */
    case HTTP1_PAUSED:  /* and is reset by the resume */
    case HTTP1_CLOSING:
        break;
    }
    return UINT64_MAX;
}

/* libmicrohttpd 0.9.75 zeroes the whole pool of a connection after each answer, which makes all its
 * pages resident: 40 KiB for each idle connection. The kernel takes zeroed pages back, and gives
 * the same zeroes again when they are touched. The first page is left alone, and so is a pool that
 * is not zero, because the start of a request has been read. */
static bool is_zero(const char *memory, size_t size)
{
    return memory[0] == 0 && memcmp(memory, memory + 1, size - 1) == 0;
}

static void release_memory(struct http1_connection *connection)
{
    size_t size = connection->http1->reactor->options.h1_memory / PAGE * PAGE - PAGE;
    char *tail = connection->memory + PAGE;
    if (is_zero(tail, size))
        madvise(tail, size, MADV_DONTNEED);
    connection->is_resident = false;
}

static void look_after(struct http1_connection *connection, uint64_t now_us)
{
    struct http1_exchange *request = connection->exchange;
    uint64_t quiet = now_us - connection->since_us, patience = patience_us(connection);
    if (quiet > patience)
        hang_up(connection);
    else if (connection->is_resident && !request && quiet > QUIET_US &&
             quiet + TIMER_SLACK_US < patience)
        release_memory(connection);
    else if (request && request->phase == HTTP1_PAUSED && request->is_resident)
        http1_release_room(request);
}

static void sweep(struct tenant *tenant, uint64_t now_us)
{
    struct http1 *http1 = (struct http1 *)tenant;
    LIST_FOREACH (&http1->connections, node, following)
        look_after(CONTAINER_OF(node, struct http1_connection, node), now_us);
    http1->due = true; /* for the timer of libmicrohttpd itself */
}

/* --- the end --- */

/* From now on each answer closes its connection. */
static void drain(struct tenant *tenant)
{
    struct http1 *http1 = (struct http1 *)tenant;
    LIST_FOREACH (&http1->connections, node, following) {
        struct http1_connection *connection = CONTAINER_OF(node, struct http1_connection, node);
        if (!connection->exchange)
            hang_up(connection);
    }
}

static void cut(struct tenant *tenant)
{
    struct http1 *http1 = (struct http1 *)tenant;
    LIST_FOREACH (&http1->connections, node, following)
        hang_up(CONTAINER_OF(node, struct http1_connection, node));
}

static bool is_empty(const struct tenant *tenant)
{
    return list_empty(&((const struct http1 *)tenant)->connections);
}

static void stop(struct tenant *tenant)
{
    struct http1 *http1 = (struct http1 *)tenant;
    uv_close((uv_handle_t *)&http1->daemon_poll, NULL);
    uv_close((uv_handle_t *)&http1->leaving_poll, NULL);
    MHD_stop_daemon(http1->daemon);
    http1->daemon = NULL;
    close(http1->leaving_fd);
}

static void release(struct tenant *tenant)
{
    free(tenant);
}

/* --- the beginning --- */

static void log_line(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void log_line(void *cls, const char *format, va_list args)
{
    (void)cls;
    if (!log_enabled(LOG_DEBUG))
        return;
    char line[512];
    int len = vsnprintf(line, sizeof(line), format, args);
    if (len > 0 && (size_t)len < sizeof(line) && line[len - 1] == '\n')
        line[len - 1] = 0;
    log_event(LOG_DEBUG, "libmicrohttpd", LOG_STR("line", line), LOG_END);
}

/* Targets and values stay as they were sent. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct http1 *http1)
{
    const struct http_options *options = &http1->reactor->options;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_TURBO | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, http1_on_request, http1, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http1, MHD_OPTION_NOTIFY_COMPLETED,
        http1_on_completed, http1, MHD_OPTION_URI_LOG_CALLBACK, http1_on_target, http1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_LIMIT,
        options->connection_limit + 1, MHD_OPTION_CONNECTION_TIMEOUT,
        (options->idle_timeout_ms + 999) / 1000, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)options->h1_memory, MHD_OPTION_END);
}

static void watch(struct http1 *http1, uv_poll_t *poll, int fd, uv_poll_cb on_ready)
{
    poll->data = http1;
    if (uv_poll_init(&http1->reactor->loop, poll, fd) != 0)
        abort();
    uv_poll_start(poll, UV_READABLE, on_ready);
}

static const struct tenant_ops tenant_ops = {.run = run,
                                             .is_due = is_due,
                                             .sweep = sweep,
                                             .drain = drain,
                                             .cut = cut,
                                             .is_empty = is_empty,
                                             .stop = stop,
                                             .free = release};

struct http1 *http1_new(struct reactor *reactor)
{
    struct http1 *http1 = MEM_NEW(struct http1);
    http1->tenant.ops = &tenant_ops;
    http1->reactor = reactor;
    list_init(&http1->connections);
    list_init(&http1->leavers);
    list_init(&http1->expecting);
    http1->daemon = start_daemon(http1);
    http1->leaving_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!http1->daemon || http1->leaving_fd < 0)
        abort();
    /* Above 32 KiB the pool is a mapping of its own. */
    http1->may_release_memory =
        strcmp(MHD_get_version(), "0.9.75") == 0 && reactor->options.h1_memory > 32 * 1024;
    watch(http1, &http1->daemon_poll,
          MHD_get_daemon_info(http1->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, on_daemon_ready);
    watch(http1, &http1->leaving_poll, http1->leaving_fd, on_leaving);
    reactor_add(reactor, &http1->tenant);
    return http1;
}
