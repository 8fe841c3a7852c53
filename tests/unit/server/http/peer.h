/* A client of HTTP/2 for the tests of it: an nghttp2 session over a real socket to the site. One a
 * test. */
#ifndef SNAKEPIT_TESTS_UNIT_SERVER_PEER_H
#define SNAKEPIT_TESTS_UNIT_SERVER_PEER_H

#include "site.h"

#include <nghttp2/nghttp2.h>

enum { PEER_MAX_STREAMS = 400 };

/* What the client knows of one of its streams. */
struct peer_answer {
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
    struct peer_answer answers[2 * PEER_MAX_STREAMS]; /* by stream id */
    unsigned closed;
    bool has_goaway;
    int32_t last_stream;
    bool is_over; /* the server has closed the connection */
    bool is_big_right;
    bool is_stingy; /* credits the window of the connection alone */
} peer;

/* --- callbacks --- */

static inline ssize_t peer_send(nghttp2_session *session, const uint8_t *data, size_t len,
                                int flags, void *context)
{
    (void)session;
    (void)flags;
    (void)context;
    ssize_t sent = send(peer.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        return NGHTTP2_ERR_WOULDBLOCK;
    return sent < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : sent;
}

static inline int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                 const uint8_t *name, size_t name_len, const uint8_t *value,
                                 size_t value_len, uint8_t flags, void *context)
{
    (void)session;
    (void)flags;
    (void)context;
    (void)value_len;
    if (!bytes_equal(bytes_from(name, name_len), BYTES(":status")))
        return 0;
    struct peer_answer *answer = &peer.answers[frame->hd.stream_id];
    answer->status = (unsigned)atoi((const char *)value);
    answer->was_continued |= answer->status == 100;
    return 0;
}

static inline int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                               const uint8_t *data, size_t len, void *context)
{
    (void)flags;
    (void)context;
    struct peer_answer *answer = &peer.answers[id];
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

static inline int peer_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)session;
    (void)context;
    peer.answers[id].is_closed = true;
    peer.answers[id].error = error;
    peer.closed++;
    return 0;
}

static inline int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    (void)context;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer.has_goaway = true;
        peer.last_stream = frame->goaway.last_stream_id;
    }
    return 0;
}

static inline ssize_t peer_read_upload(nghttp2_session *session, int32_t id, uint8_t *room,
                                       size_t size, uint32_t *flags, nghttp2_data_source *source,
                                       void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct peer_answer *answer = source->ptr;
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

static inline void peer_open(void)
{
    nghttp2_session_callbacks *callbacks;
    ck_assert_int_eq(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_send_callback(callbacks, peer_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_option *option;
    ck_assert_int_eq(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&peer.session, callbacks, NULL, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, NULL, 0);
    peer.is_big_right = true;
}

static inline void peer_set_up(void)
{
    site_set_up();
    peer.fd = site_connect();
    peer_open();
}

static inline void peer_tear_down(void)
{
    nghttp2_session_del(peer.session);
    close(peer.fd);
    site_tear_down();
}

static inline nghttp2_nv peer_field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), 0};
}

static inline int32_t peer_ask_with(const char *method, const char *path, const char *upload,
                                    size_t len, const char *more_name, const char *more_value)
{
    nghttp2_nv fields[5] = {peer_field(":method", method), peer_field(":scheme", "http"),
                            peer_field(":authority", "x"), peer_field(":path", path)};
    size_t count = 4;
    if (more_name)
        fields[count++] = peer_field(more_name, more_value);
    int32_t id = (int32_t)nghttp2_session_get_next_stream_id(peer.session);
    ck_assert_int_lt(id, 2 * PEER_MAX_STREAMS);
    peer.answers[id].upload = bytes_from(upload, len);
    nghttp2_data_provider provider = {.source.ptr = &peer.answers[id],
                                      .read_callback = peer_read_upload};
    ck_assert_int_eq(
        nghttp2_submit_request(peer.session, NULL, fields, count, upload ? &provider : NULL, NULL),
        id);
    return id;
}

static inline int32_t peer_ask(const char *method, const char *path)
{
    return peer_ask_with(method, path, NULL, 0, NULL, NULL);
}

static inline void peer_flush(void)
{
    nghttp2_session_send(peer.session);
}

/* Sends and receives until `wanted` streams are closed in all, or the connection is. */
static inline void peer_run_until_closed(unsigned wanted)
{
    static char room[65536];
    peer_flush();
    while (peer.closed < wanted && !peer.is_over) {
        ssize_t n = site_receive(peer.fd, room, sizeof(room), 5000);
        ck_assert_msg(n >= 0, "no answer, %u of %u streams closed", peer.closed, wanted);
        peer.is_over = n == 0;
        ck_assert_int_ge(nghttp2_session_mem_recv(peer.session, (uint8_t *)room, (size_t)n), 0);
        peer_flush();
    }
}

static inline void peer_run_until_over(void)
{
    peer_run_until_closed(UINT32_MAX);
}

static inline void peer_assert_answer(int32_t id, unsigned status, const char *body)
{
    ck_assert(peer.answers[id].is_closed);
    ck_assert_uint_eq(peer.answers[id].status, status);
    if (body)
        ck_assert_str_eq(peer.answers[id].start, body);
}

#endif
