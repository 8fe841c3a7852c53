/* One HTTP/2 request as an exchange. */
#include "server/http/http2_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_FIELDS_OUT = RESPONSE_MAX_HEADERS + 3, HOPELESS = 4 };

/* --- the head --- */

struct http2_stream *http2_stream_new(struct http2_connection *connection, int32_t id)
{
    struct arena *arena = arena_new(0);
    struct http2_stream *stream = arena_zalloc(arena, sizeof(*stream));
    stream->connection = connection;
    stream->id = id;
    stream->since_us = reactor_now_us(connection->http2->reactor);
    stream->exchange.arena = arena;
    stream->exchange.content_length = -1;
    list_push_back(&connection->streams, &stream->node);
    return stream;
}

static void set_path(struct exchange *exchange, struct bytes target)
{
    const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    size_t path_len = mark ? (size_t)(mark - target.data) : target.len;
    exchange->path = bytes_from(target.data, path_len);
    if (mark)
        exchange->query = bytes_skip(target, path_len + 1);
}

static void keep_header(struct http2_stream *stream, struct bytes name, struct bytes value)
{
    struct http2_header *header = arena_alloc(stream->exchange.arena, sizeof(*header));
    header->header = (struct header){arena_copy(stream->exchange.arena, name), value};
    header->next = stream->headers;
    stream->headers = header;
}

/* A head past the limit is answered with 431 when it is complete; until then it only counts. */
bool http2_stream_add(struct http2_stream *stream, struct bytes name, struct bytes value)
{
    struct exchange *exchange = &stream->exchange;
    size_t limit = stream->connection->http2->reactor->options.head_limit;
    exchange->head_bytes += name.len + value.len;
    if (exchange->head_bytes > limit)
        return exchange->head_bytes <= HOPELESS * limit;
    value = arena_copy(exchange->arena, value);
    if (bytes_equal(name, BYTES(":method")))
        exchange->method = value;
    else if (bytes_equal(name, BYTES(":path")))
        set_path(exchange, value);
    else if (bytes_equal(name, BYTES(":authority")))
        stream->authority = value;
    else if (name.len > 0 && name.data[0] != ':')
        keep_header(stream, name, value);
    return true;
}

/* The first value: the list has the last one first. */
static struct bytes header(struct exchange *exchange, struct bytes name)
{
    const struct http2_stream *stream = (const struct http2_stream *)exchange;
    struct bytes value = {0};
    for (const struct http2_header *at = stream->headers; at; at = at->next)
        if (bytes_equal_nocase(at->header.name, name))
            value = at->header.value;
    if (!value.data && bytes_equal_nocase(name, BYTES("host")))
        return stream->authority;
    return value;
}

static unsigned count(struct exchange *exchange, struct bytes name)
{
    const struct http2_stream *stream = (const struct http2_stream *)exchange;
    unsigned found = 0;
    for (const struct http2_header *at = stream->headers; at; at = at->next)
        found += bytes_equal_nocase(at->header.name, name);
    return found;
}

/* nghttp2 has made sure that these are digits, and that the body will be as long. */
static int64_t announced_length(struct exchange *exchange)
{
    struct bytes digits = header(exchange, BYTES("content-length"));
    int64_t length = 0;
    for (size_t i = 0; i < digits.len; i++)
        if (__builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, digits.data[i] - '0', &length))
            return INT64_MAX;
    return digits.data ? length : -1;
}

/* --- the answer --- */

static void note_movement(struct http2_stream *stream)
{
    stream->moved_us = reactor_now_us(stream->exchange.reactor);
    stream->connection->moved_us = stream->moved_us;
}

/* nghttp2 asks for the next piece of the body; DATA frames are small enough that copying is cheap.
 */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct http2_stream *stream = source->ptr;
    note_movement(stream);
    size_t offset = stream->sent, filled = 0;
    for (unsigned i = 0; i < stream->part_count && filled < size; i++) {
        struct bytes part = stream->parts[i];
        if (offset >= part.len) {
            offset -= part.len;
            continue;
        }
        size_t count = part.len - offset < size - filled ? part.len - offset : size - filled;
        memcpy(room + filled, part.data + offset, count);
        filled += count;
        offset = 0;
    }
    stream->sent += filled;
    if (stream->sent == stream->total)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)filled;
}

static ssize_t read_source(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct http2_stream *stream = source->ptr;
    size_t len = 0;
    note_movement(stream);
    switch (exchange_read(&stream->exchange, (char *)room, size, &len)) {
    case BODY_PAUSES:
        stream->is_paused = true;
        stream->connection->answering--;
        return NGHTTP2_ERR_DEFERRED;
    case BODY_BREAKS: /* the reset has been submitted */
        return NGHTTP2_ERR_DEFERRED;
    case BODY_ENDS:
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        break;
    case BODY_MOVES:
        break;
    }
    return (ssize_t)len;
}

static void keep_body(struct http2_stream *stream, const struct response *response)
{
    stream->part_count = response->part_count;
    for (unsigned i = 0; i < response->part_count; i++) {
        stream->parts[i] = response->parts[i];
        stream->total += response->parts[i].len;
    }
}

/* nghttp2 copies both. */
static nghttp2_nv field(const char *name, struct bytes value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value.data,
                        .valuelen = value.len};
}

static bool is_clean(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n' || value.data[i] == 0)
            return false;
    return true;
}

static struct bytes date_of(struct http2 *http2)
{
    uint64_t now_us = reactor_now_us(http2->reactor);
    if (http2->date_us == 0 || now_us - http2->date_us >= 500000) {
        time_t now = time(NULL);
        struct tm utc;
        (void)strftime(http2->date, sizeof(http2->date), "%a, %d %b %Y %H:%M:%S GMT",
                       gmtime_r(&now, &utc));
        http2->date_us = now_us;
    }
    return bytes_of(http2->date);
}

static bool has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static void submit(struct http2_stream *stream, const struct response *response)
{
    char status[12], length[24];
    snprintf(status, sizeof(status), "%u", response->status);
    snprintf(length, sizeof(length), "%zu", stream->total);
    nghttp2_nv fields[MAX_FIELDS_OUT];
    size_t count = 0;
    fields[count++] = field(":status", bytes_of(status));
    fields[count++] = field("date", date_of(stream->connection->http2));
    for (unsigned i = 0; i < response->header_count; i++)
        if (is_clean(response->headers[i].value))
            fields[count++] = field(response->headers[i].name.data, response->headers[i].value);
    if (!has_no_body(response->status) && !response->source)
        fields[count++] = field("content-length", bytes_of(length));
    bool body = (stream->total > 0 || response->source) && !has_no_body(response->status) &&
                !bytes_equal(stream->exchange.method, BYTES("HEAD"));
    const nghttp2_data_provider provider = {
        .source.ptr = stream, .read_callback = response->source ? read_source : read_body};
    if (nghttp2_submit_response(stream->connection->session, stream->id, fields, count,
                                body ? &provider : NULL) != 0)
        nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id,
                                  NGHTTP2_INTERNAL_ERROR);
}

/* There is something to send, and from now on the peer has write_timeout_ms to take some of it. */
static void begin_moving(struct http2_stream *stream)
{
    struct http2_connection *connection = stream->connection;
    stream->moved_us = reactor_now_us(stream->exchange.reactor);
    if (connection->answering++ == 0)
        connection->moved_us = stream->moved_us;
}

static void respond(struct exchange *exchange, const struct response *response)
{
    struct http2_stream *stream = (struct http2_stream *)exchange;
    struct http2_connection *connection = stream->connection;
    if (connection->closing)
        return;
    begin_moving(stream);
    stream->answered = true;
    stream->answered_us = reactor_now_us(exchange->reactor);
    keep_body(stream, response);
    submit(stream, response);
    http2_mark_dirty(connection);
}

static void more(struct exchange *exchange)
{
    struct http2_stream *stream = (struct http2_stream *)exchange;
    if (!stream->is_paused || stream->connection->closing)
        return;
    stream->is_paused = false;
    begin_moving(stream);
    nghttp2_session_resume_data(stream->connection->session, stream->id);
    http2_mark_dirty(stream->connection);
}

static void break_off(struct exchange *exchange)
{
    struct http2_stream *stream = (struct http2_stream *)exchange;
    if (stream->connection->closing)
        return;
    nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id,
                              NGHTTP2_INTERNAL_ERROR);
    http2_mark_dirty(stream->connection);
}

static const struct exchange_protocol protocol = {
    .version = "2",
    .header = header,
    .count = count,
    .respond = respond,
    .more = more,
    .break_off = break_off,
};

/* --- the way through --- */

static void invite_body(struct http2_stream *stream)
{
    const nghttp2_nv status = field(":status", BYTES("100"));
    nghttp2_submit_headers(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, NULL,
                           &status, 1, NULL);
}

void http2_stream_begin(struct http2_stream *stream, bool ends)
{
    struct exchange *exchange = &stream->exchange;
    stream->begun = true;
    stream->since_us = reactor_now_us(stream->connection->http2->reactor);
    exchange->protocol = &protocol;
    exchange->reactor = stream->connection->http2->reactor;
    exchange->content_length = ends ? 0 : announced_length(exchange);
    exchange_begin(exchange);
    if (ends)
        exchange_body_end(exchange);
    else if (exchange->state == EXCHANGE_READING && header(exchange, BYTES("expect")).len > 0)
        invite_body(stream);
}

void http2_stream_stop_upload(struct http2_stream *stream)
{
    nghttp2_session *session = stream->connection->session;
    if (!stream->is_stopped && nghttp2_session_get_stream_local_close(session, stream->id) == 1 &&
        nghttp2_session_get_stream_remote_close(session, stream->id) == 0) {
        stream->is_stopped = true;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
        http2_mark_dirty(stream->connection);
    }
}

void http2_stream_end(struct http2_stream *stream)
{
    struct http2_connection *connection = stream->connection;
    list_remove(&stream->node);
    connection->answering -= stream->answered && !stream->is_paused;
    if (list_empty(&connection->streams))
        connection->quiet_us = reactor_now_us(connection->http2->reactor);
    if (stream->begun)
        exchange_end(&stream->exchange);
    else
        arena_unref(&stream->exchange.arena);
}
