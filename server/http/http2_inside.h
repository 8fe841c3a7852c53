/* The inside of HTTP/2, for the http2*.c files and their fuzz target. Reactor thread only. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP2_INSIDE_H
#define SNAKEPIT_SERVER_HTTP_HTTP2_INSIDE_H

#include "base/list.h"
#include "server/http/exchange.h"
#include "server/http/reactor_inside.h"

#include <nghttp2/nghttp2.h>

/* What one gathering holds at most: enough frames for a full send(2), and the one that passes the
 * mark. */
enum { HTTP2_GATHER = 64 * 1024, HTTP2_GATHER_ROOM = HTTP2_GATHER + 20 * 1024 };

struct http2 {
    struct tenant tenant; /* first */
    struct reactor *reactor;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct list connections; /* of struct http2_connection */
    struct list dirty;       /* those that may have something to send */
    bool draining;
    uint64_t drain_us;              /* when draining began */
    uint64_t date_us;               /* of `date` */
    char date[32];                  /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    char gather[HTTP2_GATHER_ROOM]; /* for one send at a time */
};

/* One connection. Freed only by the loop, after its poll handle has been closed: never on its own
 * callback's stack. */
struct http2_connection {
    struct list node;
    struct list dirty_node;
    struct http2 *http2;
    int fd;
    uv_poll_t poll;
    nghttp2_session *session;
    struct list streams;  /* of struct http2_stream */
    unsigned answering;   /* streams that have something of an answer to send */
    struct buffer unsent; /* what the kernel did not take; nothing else is sent before it */
    bool is_blocked;      /* waits for the socket to become writable */
    bool has_settings;    /* the peer's first SETTINGS have come */
    bool is_told;         /* the last GOAWAY has been submitted */
    bool closing;         /* no more calls into the session */
    uint64_t opened_us;
    uint64_t quiet_us; /* since when there is no stream */
    uint64_t moved_us; /* when the peer last took something of an answer */
};

/* One request; in its own arena. nghttp2's stream user data. */
struct http2_stream {
    struct exchange exchange; /* first */
    struct http2_connection *connection;
    struct list node;
    int32_t id;
    bool begun; /* the head is complete */
    bool answered;
    bool is_paused;               /* the source of the answer has nothing now */
    bool is_stopped;              /* no more of the request is wanted, and the peer has been told */
    struct http2_header *headers; /* last one first */
    struct bytes authority;
    uint64_t since_us; /* of the last piece of the request */
    uint64_t answered_us;
    uint64_t moved_us; /* when nghttp2 last took something of the answer, or there was something
                          again */
    size_t wasted;     /* bytes of the request thrown away after the answer */
    size_t sent;       /* bytes of the answer's body given to nghttp2 */
    size_t total;
    unsigned part_count;
    struct bytes parts[RESPONSE_MAX_PARTS];
};

struct http2_header {
    struct http2_header *next;
    struct header header;
};

/* It may have something to send, which leaves at the end of the turn. */
static inline void http2_mark_dirty(struct http2_connection *connection)
{
    if (list_empty(&connection->dirty_node))
        list_push_back(&connection->http2->dirty, &connection->dirty_node);
    reactor_worked(connection->http2->reactor);
}

/* http2_session.c: a session without a socket. */

/* For all connections of a reactor. */
void http2_session_prepare(struct http2 *http2);
void http2_session_unprepare(struct http2 *http2);

/* Sets up `connection->session` and submits our SETTINGS. */
void http2_session_open(struct http2_connection *connection);

/* Ends all exchanges and frees the session. */
void http2_session_close(struct http2_connection *connection);

/* Bytes from the peer. False when the connection is to be closed. */
bool http2_session_feed(struct http2_connection *connection, struct bytes data);

/* Writes frames for the peer to `room` of HTTP2_GATHER_ROOM bytes. Returns their length, 0 when
 * there are none, negative when the connection is to be closed. */
ssize_t http2_session_gather(struct http2_connection *connection, char *room);

/* http2_stream.c: one request. */
struct http2_stream *http2_stream_new(struct http2_connection *connection, int32_t id);

/* One field of the head. False when the head has grown so far past its limit that nobody can mean
 * it. */
bool http2_stream_add(struct http2_stream *stream, struct bytes name, struct bytes value);

/* The head is complete; `ends` when there is no body. */
void http2_stream_begin(struct http2_stream *stream, bool ends);

/* The answer is out, or will be: no more of the request, please. Harmless when all of it has come.
 */
void http2_stream_stop_upload(struct http2_stream *stream);

/* nghttp2 has closed the stream, or the connection ends. Frees it. */
void http2_stream_end(struct http2_stream *stream);

#endif
