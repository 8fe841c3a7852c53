/* An answer that is produced while libmicrohttpd sends it: chunked in HTTP/1.1, up to the end of
 * the connection in HTTP/1.0. While the source has nothing the connection is suspended. */
#include "server/http1_inside.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>

enum {
    BLOCK = 16 * 1024, /* of an HTTP/1.0 body */
    NO_BLOCK = 16,     /* chunks are put together in the rest of the connection's pool */
    PAGE = 4096,
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
        return len > 0 ? (ssize_t)len : MHD_CONTENT_READER_END_OF_STREAM;
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

struct MHD_Response *http1_source_answer(struct http1_exchange *request)
{
    size_t block = request->is_1_0 ? BLOCK : NO_BLOCK;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, on_read, request, NULL);
}

/* Also after a break, of which the next read tells libmicrohttpd. */
void http1_source_wake(struct exchange *exchange)
{
    struct http1_exchange *request = (struct http1_exchange *)exchange;
    if (request->phase != HTTP1_PAUSED)
        return;
    request->phase = HTTP1_SENDING;
    http1_resume(request);
}
