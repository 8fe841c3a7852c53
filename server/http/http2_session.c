/* An nghttp2 server session and its callbacks. A callback may submit frames, but never sends or
 * receives: that is left to http2.c after nghttp2 has returned. */
#include "server/http/http2_inside.h"

#include <stdlib.h>

enum {
    MAX_OUTBOUND_ACKS = 100, /* unanswered PING and SETTINGS before we call it a flood */
    MAX_SETTINGS = 32,       /* entries in one SETTINGS frame */
    MAX_CONTINUATIONS = 16,  /* frames of one head after the first */
    RESET_BURST = 200,       /* streams a peer may reset at once … */
    RESET_RATE = 50,         /* … and a second in the long run (CVE-2023-44487) */
    ENCODER_TABLE = 4096,
};

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static bool is_request_head(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    if (is_request_head(frame))
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                             http2_stream_new(context, frame->hd.stream_id));
    return 0;
}

/* Trailers are read and forgotten. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    (void)flags;
    (void)context;
    struct http2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (!stream || !is_request_head(frame))
        return 0;
    return http2_stream_add(stream, bytes_from(name, name_len), bytes_from(value, value_len))
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2_connection *connection = context;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        connection->has_settings = true;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct http2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (!stream)
        return 0;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (is_request_head(frame))
        http2_stream_begin(stream, ends);
    else if (ends)
        exchange_body_end(&stream->exchange);
    return 0;
}

/* Bytes of a request that is answered are thrown away. The peer gets a while to see the answer and
 * stop by itself, because clients are known that take the reset for a failure when it comes right
 * behind the answer, as RFC 9113, 8.1 has it (curl up to 8.x, its issues 986 and 22984); one that
 * goes on is stopped. */
static void throw_away(struct http2_stream *stream, size_t len)
{
    stream->wasted += len;
    if (stream->wasted > stream->connection->http2->reactor->options.h2_stream_window)
        http2_stream_stop_upload(stream);
}

/* nghttp2 credits the peer's windows as soon as the bytes are ours; http_options.body_limit is what
 * bounds the rest. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *context)
{
    (void)flags;
    struct http2_connection *connection = context;
    struct http2_stream *stream = stream_of(session, id);
    if (!stream)
        return 0;
    stream->since_us = reactor_now_us(connection->http2->reactor);
    if (stream->answered)
        throw_away(stream, len);
    else
        exchange_body(&stream->exchange, bytes_from(data, len));
    return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)error;
    (void)context;
    struct http2_stream *stream = stream_of(session, id);
    if (!stream)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    http2_stream_end(stream);
    return 0;
}

void http2_session_prepare(struct http2 *http2)
{
    if (nghttp2_session_callbacks_new(&http2->callbacks) != 0 ||
        nghttp2_option_new(&http2->option) != 0)
        abort();
    nghttp2_session_callbacks *callbacks = http2->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
    nghttp2_option_set_max_outbound_ack(http2->option, MAX_OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(http2->option, MAX_SETTINGS);
    nghttp2_option_set_max_continuations(http2->option, MAX_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(http2->option, RESET_BURST, RESET_RATE);
    nghttp2_option_set_max_deflate_dynamic_table_size(http2->option, ENCODER_TABLE);
}

void http2_session_unprepare(struct http2 *http2)
{
    nghttp2_session_callbacks_del(http2->callbacks);
    nghttp2_option_del(http2->option);
}

void http2_session_open(struct http2_connection *connection)
{
    struct http2 *http2 = connection->http2;
    const struct http_options *options = &http2->reactor->options;
    list_init(&connection->streams);
    if (nghttp2_session_server_new2(&connection->session, http2->callbacks, connection,
                                    http2->option) != 0)
        abort();
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options->h2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)options->head_limit},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    if (nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings,
                                sizeof(settings) / sizeof(settings[0])) != 0 ||
        nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)options->h2_connection_window) != 0)
        abort();
}

/* nghttp2_session_del() does not close the streams that are open. */
void http2_session_close(struct http2_connection *connection)
{
    connection->closing = true;
    for (struct list *node; (node = list_pop_front(&connection->streams));)
        http2_stream_end(CONTAINER_OF(node, struct http2_stream, node));
    nghttp2_session_del(connection->session);
    connection->session = NULL;
}

bool http2_session_feed(struct http2_connection *connection, struct bytes data)
{
    ssize_t taken =
        nghttp2_session_mem_recv(connection->session, (const uint8_t *)data.data, data.len);
    return taken == (ssize_t)data.len;
}

ssize_t http2_session_gather(struct http2_connection *connection, char *room)
{
    size_t len = 0;
    while (len < HTTP2_GATHER) {
        const uint8_t *frame = NULL;
        ssize_t n = nghttp2_session_mem_send(connection->session, &frame);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        if ((size_t)n > HTTP2_GATHER_ROOM - len)
            abort();
        memcpy(room + len, frame, (size_t)n);
        len += (size_t)n;
    }
    return (ssize_t)len;
}
