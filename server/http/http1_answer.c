/* What a struct response becomes in HTTP/1. */
#include "server/http/http1_inside.h"

#include "base/log.h"

#include <stdlib.h>
#include <time.h>

enum { GATHER_MAX = 16 * 1024, VALUE_MAX = 512 };

static char *gathered(struct arena *arena, const struct response *response, size_t total)
{
    char *body = arena_alloc(arena, total);
    char *end = body;
    for (unsigned i = 0; i < response->part_count; i++) {
        struct bytes part = response->parts[i];
        if (part.len > 0)
            memcpy(end, part.data, part.len);
        end += part.len;
    }
    return body;
}

static struct MHD_Response *of_one_piece(struct bytes piece)
{
    return MHD_create_response_from_buffer(piece.len, (void *)(uintptr_t)piece.data,
                                           MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *of_parts(const struct response *response)
{
    struct MHD_IoVec pieces[RESPONSE_MAX_PARTS];
    unsigned count = 0;
    for (unsigned i = 0; i < response->part_count; i++)
        if (response->parts[i].len > 0)
            pieces[count++] = (struct MHD_IoVec){response->parts[i].data, response->parts[i].len};
    return MHD_create_response_from_iovec(pieces, count, NULL, NULL);
}

/* One piece leaves in one sendmsg(2) with the head, so small parts are put together. */
static struct MHD_Response *with_body(struct http1_exchange *request,
                                      const struct response *response)
{
    size_t total = response_size(response);
    if (response->source)
        return http1_source_answer(request);
    if (total == 0)
        return of_one_piece(BYTES(""));
    if (response->part_count == 1)
        return of_one_piece(response->parts[0]);
    if (total > GATHER_MAX)
        return of_parts(response);
    return of_one_piece(bytes_from(gathered(request->exchange.arena, response, total), total));
}

/* libmicrohttpd refuses line breaks in values, so a response cannot be split. */
static void add_header(struct http1_exchange *request, struct MHD_Response *answer,
                       const struct header *header)
{
    char room[VALUE_MAX];
    const char *value = room;
    if (header->value.len >= sizeof(room))
        value = arena_string(request->exchange.arena, header->value);
    else if (header->value.len > 0)
        memcpy(room, header->value.data, header->value.len);
    if (value == room)
        room[header->value.len] = 0;
    if (MHD_add_response_header(answer, header->name.data, value) != MHD_YES)
        log_event(LOG_WARNING, "response header refused by libmicrohttpd",
                  LOG_STR("name", header->name.data), LOG_END);
}

struct MHD_Response *http1_answer_new(struct http1_exchange *request,
                                      const struct response *response, bool close)
{
    struct MHD_Response *answer = with_body(request, response);
    if (!answer)
        abort();
    for (unsigned i = 0; i < response->header_count; i++)
        add_header(request, answer, &response->headers[i]);
    if (close)
        MHD_add_response_header(answer, "connection", "close");
    return answer;
}

/* --- straight to the socket --- */

static bool has_line_break(struct bytes value)
{
    return value.len > 0 &&
           (memchr(value.data, '\r', value.len) || memchr(value.data, '\n', value.len));
}

static void write_head(struct buffer *text, const struct response *response)
{
    char date[40];
    time_t now = time(NULL);
    struct tm utc;
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    buffer_printf(text,
                  "HTTP/1.1 %u %s\r\ndate: %s\r\nconnection: close\r\ncontent-length: %zu\r\n",
                  response->status, MHD_get_reason_phrase_for(response->status), date,
                  response_size(response));
    for (unsigned i = 0; i < response->header_count; i++) {
        const struct header *header = &response->headers[i];
        if (has_line_break(header->value))
            continue;
        buffer_printf(text, "%.*s: %.*s\r\n", (int)header->name.len, header->name.data,
                      (int)header->value.len, header->value.data);
    }
    buffer_add(text, BYTES("\r\n"));
}

void http1_answer_directly(struct http1_exchange *request, const struct response *response)
{
    struct buffer text = {0};
    write_head(&text, response);
    if (!bytes_equal(request->exchange.method, BYTES("HEAD")))
        for (unsigned i = 0; i < response->part_count; i++)
            buffer_add(&text, response->parts[i]);
    ssize_t sent = send(request->connection->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 || (size_t)sent < text.len)
        log_event(LOG_DEBUG, "early answer not taken by the socket", LOG_END);
    buffer_deinit(&text);
    shutdown(request->connection->fd, SHUT_WR);
}
