#include "server/http/http2.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/http/http2_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READS_PER_TURN = 4,
    SENDS_PER_TURN = 4,
    STOP_UPLOAD_US = 500000, /* after an answer that came early */
    LAST_WORD_US =
        1000000, /* between the notice of a shutdown and the GOAWAY that refuses streams */
};

/* --- closing --- */

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Not from inside a callback of nghttp2. */
static void close_connection(struct http2_connection *connection)
{
    struct reactor *reactor = connection->http2->reactor;
    reactor_worked(reactor); /* whoever was still working for it wants to tell others */
    http2_session_close(connection);
    list_remove(&connection->node);
    list_remove(&connection->dirty_node);
    buffer_deinit(&connection->unsent);
    uv_close((uv_handle_t *)&connection->poll, on_poll_closed);
    close(connection->fd);
    http_stats_shift(&reactor->stats.connections[HTTP_2], -1);
    reactor_dismiss(reactor);
}

/* --- sending --- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(struct http2_connection *connection, bool for_room)
{
    if (connection->is_blocked == for_room)
        return;
    connection->is_blocked = for_room;
    uv_poll_start(&connection->poll, for_room ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready);
}

/* Returns how much the kernel took, or -1 when the connection is broken. */
static ssize_t send_some(struct http2_connection *connection, const char *data, size_t len)
{
    ssize_t sent = send(connection->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (sent > 0)
        connection->moved_us = reactor_now_us(connection->http2->reactor);
    return sent;
}

/* False when the connection is broken. */
static bool send_unsent(struct http2_connection *connection)
{
    ssize_t sent = send_some(connection, connection->unsent.data, connection->unsent.len);
    if (sent < 0)
        return false;
    buffer_consume(&connection->unsent, (size_t)sent);
    if (connection->unsent.len == 0)
        buffer_deinit(&connection->unsent);
    return true;
}

/* False when the connection is broken; `out_more` when it may have more to send. */
static bool send_frames(struct http2_connection *connection, bool *out_more)
{
    char *room = connection->http2->gather;
    ssize_t len = http2_session_gather(connection, room);
    *out_more = len > 0;
    if (len <= 0)
        return len == 0;
    ssize_t sent = send_some(connection, room, (size_t)len);
    if (sent < 0)
        return false;
    buffer_add(&connection->unsent, bytes_from(room + sent, (size_t)(len - sent)));
    return true;
}

/* False when the connection is over; `out_more` when it was only stopped to let others have their
 * turn. */
static bool flush(struct http2_connection *connection, bool *out_more)
{
    bool more = true;
    for (unsigned i = 0; i < SENDS_PER_TURN && more; i++) {
        if (connection->unsent.len > 0 && !send_unsent(connection))
            return false;
        if (connection->unsent.len > 0)
            break;
        if (!send_frames(connection, &more))
            return false;
    }
    watch(connection, connection->unsent.len > 0);
    *out_more = more && connection->unsent.len == 0;
    return connection->unsent.len > 0 || nghttp2_session_want_read(connection->session) ||
           nghttp2_session_want_write(connection->session);
}

/* Writes what the sessions have to say, as far as the sockets take it. */
static void run(struct tenant *tenant)
{
    struct http2 *http2 = (struct http2 *)tenant;
    struct list todo;
    list_init(&todo);
    for (struct list *node; (node = list_pop_front(&http2->dirty));)
        list_push_back(&todo, node);
    for (struct list *node; (node = list_pop_front(&todo));) {
        struct http2_connection *connection =
            CONTAINER_OF(node, struct http2_connection, dirty_node);
        bool more = false;
        if (!flush(connection, &more))
            close_connection(connection);
        else if (more)
            http2_mark_dirty(connection);
    }
}

static bool is_due(const struct tenant *tenant)
{
    return !list_empty(&((const struct http2 *)tenant)->dirty);
}

/* --- receiving --- */

/* False when the connection is over. A peer that closes its sending half counts as gone. */
static bool receive(struct http2_connection *connection)
{
    char *room = connection->http2->reactor->scratch;
    for (unsigned i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(connection->fd, room, REACTOR_SCRATCH, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0 || !http2_session_feed(connection, bytes_from(room, (size_t)n)))
            return false;
        if (n < REACTOR_SCRATCH)
            return true;
    }
    return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct http2_connection *connection = poll->data;
    if (status < 0 || (events & UV_READABLE && !receive(connection)))
        close_connection(connection);
    else
        http2_mark_dirty(connection);
}

/* --- connections --- */

void http2_adopt(struct http2 *http2, int fd)
{
    struct reactor *reactor = http2->reactor;
    struct http2_connection *connection = MEM_NEW(struct http2_connection);
    connection->http2 = http2;
    connection->fd = fd;
    connection->opened_us = connection->quiet_us = reactor_now_us(reactor);
    list_init(&connection->dirty_node);
    list_push_back(&http2->connections, &connection->node);
    connection->poll.data = connection;
    if (uv_poll_init(&reactor->loop, &connection->poll, fd) != 0)
        abort();
    uv_poll_start(&connection->poll, UV_READABLE, on_ready);
    http_stats_shift(&reactor->stats.connections[HTTP_2], 1);
    http2_session_open(connection);
    on_ready(&connection->poll, 0, UV_READABLE);
}

/* --- time --- */

/* The request has stopped coming, or nothing of the answer is taken. */
static bool is_stuck(const struct http2_stream *stream, uint64_t now_us)
{
    const struct http_options *options = &stream->connection->http2->reactor->options;
    if (stream->answered)
        return !stream->is_paused &&
               now_us - stream->moved_us > options->write_timeout_ms * UINT64_C(1000);
    return stream->exchange.state == EXCHANGE_READING &&
           now_us - stream->since_us > options->idle_timeout_ms * UINT64_C(1000);
}

static void stop_slow_stream(struct http2_stream *stream, uint64_t now_us)
{
    if (stream->answered && now_us - stream->answered_us > STOP_UPLOAD_US)
        http2_stream_stop_upload(stream);
    if (!is_stuck(stream, now_us))
        return;
    nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id,
                              NGHTTP2_CANCEL);
    http2_mark_dirty(stream->connection);
}

/* Ends streams that are stuck; true when one is in the middle of a head, which blocks the whole
 * connection. */
static bool has_stuck_head(struct http2_connection *connection, uint64_t now_us)
{
    uint64_t head_us = connection->http2->reactor->options.head_timeout_ms * UINT64_C(1000);
    LIST_FOREACH (&connection->streams, node, following) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, node);
        if (stream->begun)
            stop_slow_stream(stream, now_us);
        else if (now_us - stream->since_us > head_us)
            return true;
    }
    return false;
}

static bool is_overdue(struct http2_connection *connection, uint64_t now_us)
{
    const struct http_options *options = &connection->http2->reactor->options;
    if (!connection->has_settings)
        return now_us - connection->opened_us > options->head_timeout_ms * UINT64_C(1000);
    bool owes = connection->unsent.len > 0 || connection->answering > 0;
    if (owes && now_us - connection->moved_us > options->write_timeout_ms * UINT64_C(1000))
        return true;
    return has_stuck_head(connection, now_us);
}

static bool is_idle(const struct http2_connection *connection, uint64_t now_us)
{
    return list_empty(&connection->streams) && connection->unsent.len == 0 &&
           now_us - connection->quiet_us >
               connection->http2->reactor->options.idle_timeout_ms * UINT64_C(1000);
}

/* Refuses streams from now on; the session ends with the last one it has. */
static void say_last_word(struct http2_connection *connection)
{
    if (connection->is_told)
        return;
    connection->is_told = true;
    nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(connection->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
    http2_mark_dirty(connection);
}

static void sweep(struct tenant *tenant, uint64_t now_us)
{
    struct http2 *http2 = (struct http2 *)tenant;
    bool last_word = http2->draining && now_us - http2->drain_us > LAST_WORD_US;
    LIST_FOREACH (&http2->connections, node, following) {
        struct http2_connection *connection = CONTAINER_OF(node, struct http2_connection, node);
        if (is_overdue(connection, now_us))
            close_connection(connection);
        else if (last_word || is_idle(connection, now_us) ||
                 (http2->draining && list_empty(&connection->streams)))
            say_last_word(connection);
    }
}

/* --- the end --- */

/* A peer with running streams learns first that we are about to stop, and only later which of its
 * streams are too late, so that none of those under way to us is lost (RFC 9113, 6.8). */
static void drain(struct tenant *tenant)
{
    struct http2 *http2 = (struct http2 *)tenant;
    run(tenant); /* python-h2 takes nothing behind a GOAWAY: answers go first */
    http2->draining = true;
    http2->drain_us = reactor_now_us(http2->reactor);
    LIST_FOREACH (&http2->connections, node, following) {
        struct http2_connection *connection = CONTAINER_OF(node, struct http2_connection, node);
        if (list_empty(&connection->streams)) {
            say_last_word(connection);
        } else {
            nghttp2_submit_shutdown_notice(connection->session);
            http2_mark_dirty(connection);
        }
    }
}

static void cut(struct tenant *tenant)
{
    struct http2 *http2 = (struct http2 *)tenant;
    LIST_FOREACH (&http2->connections, node, following)
        close_connection(CONTAINER_OF(node, struct http2_connection, node));
}

static bool is_empty(const struct tenant *tenant)
{
    return list_empty(&((const struct http2 *)tenant)->connections);
}

static void stop(struct tenant *tenant)
{
    http2_session_unprepare((struct http2 *)tenant);
}

static void release(struct tenant *tenant)
{
    free(tenant);
}

static const struct tenant_ops tenant_ops = {.run = run,
                                             .is_due = is_due,
                                             .sweep = sweep,
                                             .drain = drain,
                                             .cut = cut,
                                             .is_empty = is_empty,
                                             .stop = stop,
                                             .free = release};

struct http2 *http2_new(struct reactor *reactor)
{
    struct http2 *http2 = MEM_NEW(struct http2);
    http2->tenant.ops = &tenant_ops;
    http2->reactor = reactor;
    list_init(&http2->connections);
    list_init(&http2->dirty);
    http2_session_prepare(http2);
    reactor_add(reactor, &http2->tenant);
    return http2;
}
