/* An answer that is produced while libmicrohttpd sends it: chunked in HTTP/1.1, up to the end of
 * the connection in HTTP/1.0. While the source has nothing the connection is suspended in it, and
 * what then comes in small pieces we write ourselves. */
#include "server/http/http1_inside.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/mman.h>

enum {
    BLOCK = 16 * 1024, /* of an HTTP/1.0 body */
    NO_BLOCK = 16,     /* chunks are put together in the rest of the connection's pool */
    PAGE = 4096,
    PIECE = 16 * 1024, /* of what we write ourselves, and how many at a time */
    PIECES = 4,
    CHUNK_HEAD = sizeof("4000\r\n") - 1,
    CHUNK_TAIL = sizeof("\r\n") - 1,
};

/* libmicrohttpd 0.9.75 sends the head with MSG_MORE, and the kernel keeps it for 200 ms unless
 * something follows. Setting the option, again or not, pushes it out (tcp(7)). */
static void push_head(const struct http1_exchange *request)
{
    const int on = 1;
    setsockopt(request->connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* False when there is nobody to pause for, and nobody would tell us again. */
static bool pause_reading(struct http1_exchange *request)
{
    if (request->connection->peer_left) {
        exchange_gone(&request->exchange);
        return false;
    }
    if (!request->has_moved)
        push_head(request);
    if (!request->has_paused)
        http1_release_room(request); /* libmicrohttpd has just zeroed the greater part of it */
    request->has_paused = true;
    request->phase = HTTP1_PAUSED;
    MHD_suspend_connection(request->connection->mhd);
    return true;
}

/* libmicrohttpd closes a connection of HTTP/1.0 here, although it calls the request completed. */
static ssize_t end_of_stream(struct http1_exchange *request)
{
    if (request->is_1_0)
        http1_let_go(request->connection);
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static ssize_t on_read(void *cls, uint64_t position, char *room, size_t size)
{
    (void)position;
    struct http1_exchange *request = cls;
    size_t len = 0;
    enum body_step step = exchange_read(&request->exchange, room, size, &len);
    request->room = bytes_from(room, size);
    request->has_moved |= len > 0;
    request->is_resident |= len > PAGE;
    switch (step) {
    case BODY_PAUSES:
        return pause_reading(request) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
    case BODY_BREAKS:
        return MHD_CONTENT_READER_END_WITH_ERROR;
    case BODY_ENDS:
        return len > 0 ? (ssize_t)len : end_of_stream(request);
    case BODY_MOVES:
        break;
    }
    return (ssize_t)len;
}

/* While an answer pauses nothing in its room is needed, and the next piece may be written into any
 * zeroed pages. */
void http1_release_room(struct http1_exchange *request)
{
    uintptr_t first = ((uintptr_t)request->room.data + PAGE - 1) / PAGE * PAGE;
    uintptr_t end = ((uintptr_t)request->room.data + request->room.len) / PAGE * PAGE;
    if (first < end)
        madvise((void *)first, end - first, MADV_DONTNEED);
    request->is_resident = false;
}

/* Where there is nothing to read, for HEAD, chunks must not be announced: 0.9.75 would write their
 * end behind the head, and the peer would take it for the begin of the next answer. An answer
 * without chunks and of no known length is the connection's last. */
struct MHD_Response *http1_source_answer(struct http1_exchange *request)
{
    size_t block = request->is_1_0 ? BLOCK : NO_BLOCK;
    struct MHD_Response *answer =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, on_read, request, NULL);
    if (answer && !request->exchange.source)
        MHD_set_response_options(answer, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return answer;
}

/* --- straight to the socket ---
 *
 * At each resume libmicrohttpd walks along all connections that are suspended: with 2,000 open
 * streams that is half of the time a chunk takes. So a connection that has paused stays suspended,
 * and what its source has is written right here, as chunks between two of libmicrohttpd's. It is
 * resumed for the end of the body, and when there is more than a little. */

/* Puts the marks of a chunk around `len` bytes that lie behind CHUNK_HEAD others. */
static struct bytes framed(const struct http1_exchange *request, char *text, size_t len)
{
    char head[CHUNK_HEAD + 1], *data = text + CHUNK_HEAD;
    if (request->is_1_0)
        return bytes_from(data, len);
    size_t head_len = (size_t)snprintf(head, sizeof(head), "%zx\r\n", len);
    memcpy(data - head_len, head, head_len);
    memcpy(data + len, "\r\n", CHUNK_TAIL);
    return bytes_from(data - head_len, head_len + len + CHUNK_TAIL);
}

/* Returns what did not fit. What is written to a broken connection is gone, and the next to touch
 * it will see that. */
static struct bytes write_out(struct http1_exchange *request, struct bytes text)
{
    int fd = request->connection->fd;
    ssize_t sent = send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        return bytes_skip(text, (size_t)sent);
    if (errno == EAGAIN)
        return text;
    shutdown(fd, SHUT_RDWR);
    return bytes_skip(text, text.len);
}

static void block(struct http1_exchange *request, struct bytes rest)
{
    request->phase = HTTP1_BLOCKED;
    request->connection->since_us = reactor_now_us(request->exchange.reactor);
    buffer_add(&request->unsent, rest);
    http1_await_room(request->connection, true);
}

void http1_source_unblock(struct http1_exchange *request)
{
    if (request->phase != HTTP1_BLOCKED)
        return;
    struct bytes rest = write_out(request, buffer_bytes(&request->unsent));
    if (rest.len < request->unsent.len)
        request->connection->since_us = reactor_now_us(request->exchange.reactor);
    buffer_consume(&request->unsent, request->unsent.len - rest.len);
    if (request->unsent.len > 0)
        return;
    buffer_deinit(&request->unsent);
    http1_await_room(request->connection, false);
    request->phase = HTTP1_SENDING;
    http1_resume(request);
}

/* Passes on what the source has: up to so many pieces, or until the socket is full. */
static void pass_on(struct http1_exchange *request)
{
    char text[CHUNK_HEAD + PIECE + CHUNK_TAIL];
    enum body_step step = BODY_MOVES;
    for (unsigned i = 0; i < PIECES && step == BODY_MOVES; i++) {
        size_t len = 0;
        step = exchange_read(&request->exchange, text + CHUNK_HEAD, PIECE, &len);
        if (len == 0 || step == BODY_BREAKS)
            continue;
        struct bytes rest = write_out(request, framed(request, text, len));
        if (rest.len > 0) {
            block(request, rest);
            return;
        }
    }
    if (step == BODY_PAUSES)
        request->phase = HTTP1_PAUSED;
    else
        http1_resume(request);
}

/* Also after a break, of which the next read tells libmicrohttpd. */
void http1_source_wake(struct exchange *exchange)
{
    struct http1_exchange *request = (struct http1_exchange *)exchange;
    if (request->phase != HTTP1_PAUSED)
        return;
    request->phase = HTTP1_SENDING; /* the source may get here itself while it is read */
    pass_on(request);
}
