/* Exchanges without a socket: a protocol that only remembers, a few routes, and one exchange at a
 * time. */
#ifndef SNAKEPIT_TESTS_UNIT_SERVER_REHEARSAL_H
#define SNAKEPIT_TESTS_UNIT_SERVER_REHEARSAL_H

#include "server/http/exchange.h"
#include "server/http/problem.h"
#include "server/http/reactor.h"

#include "../../base/run.h"

#include <stdio.h>

/* --- a protocol that remembers --- */

static struct exchange *now; /* the exchange under test */
static struct response sent; /* what it was answered with */
static unsigned answers, gone, ended, wakes, breaks;
static struct header headers[4];
static char body[8192]; /* of the answer */

static inline struct bytes header(struct exchange *exchange, struct bytes name)
{
    (void)exchange;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        if (headers[i].name.data && bytes_equal_nocase(headers[i].name, name))
            return headers[i].value;
    return (struct bytes){0};
}

static inline unsigned count(struct exchange *exchange, struct bytes name)
{
    return header(exchange, name).data != NULL;
}

static inline void respond(struct exchange *exchange, const struct response *response)
{
    ck_assert_ptr_eq(exchange, now);
    sent = *response;
    answers++;
    size_t len = 0;
    for (unsigned i = 0; i < sent.part_count; i++) {
        if (sent.parts[i].len > 0)
            memcpy(body + len, sent.parts[i].data, sent.parts[i].len);
        len += sent.parts[i].len;
    }
    body[len] = 0;
}

static inline void note_more(struct exchange *exchange)
{
    ck_assert_ptr_eq(exchange, now);
    wakes++;
}

static inline void note_break(struct exchange *exchange)
{
    ck_assert_ptr_eq(exchange, now);
    breaks++;
}

static const struct exchange_protocol protocol = {.version = "1.1",
                                                  .header = header,
                                                  .count = count,
                                                  .respond = respond,
                                                  .more = note_more,
                                                  .break_off = note_break};

/* --- handlers --- */

static inline void on_gone(struct exchange *exchange)
{
    (void)exchange;
    gone++;
}

static inline void on_end(struct exchange *exchange)
{
    (void)exchange;
    ended++;
}

static inline void answer_now(struct exchange *exchange)
{
    struct response response = {.status = 200};
    exchange->on_end = on_end;
    response_part(&response, exchange_payload(exchange));
    exchange_respond(exchange, &response);
}

static inline void answer_later(struct exchange *exchange)
{
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
}

/* What the source of the next answers says, one after the other. */
static const char *pieces; /* each letter a piece: '.' nothing now, '$' the end, '!' a break */

static inline size_t read_piece(struct exchange *exchange, char *room, size_t size, bool *out_end)
{
    ck_assert_uint_ge(size, 1);
    room[0] = *pieces++;
    *out_end = room[0] == '$';
    if (room[0] == '!')
        exchange_break(exchange);
    return room[0] != '.' && room[0] != '!';
}

static inline void answer_bit_by_bit(struct exchange *exchange)
{
    static const struct body_source source = {.read = read_piece};
    struct response response = {.status = 200, .source = &source};
    exchange->on_gone = on_gone;
    exchange->on_end = on_end;
    exchange_respond(exchange, &response);
}

static const struct route table[] = {
    {"POST", "/now", answer_now, 10, 0},
    {"GET", "/later", answer_later, 0, 0},
    {"GET", "/named/{name}", answer_now, 0, 0},
    {"GET", "/bits", answer_bit_by_bit, 0, 0},
    {"GET", "/acts", answer_now, ROUTE_NO_BODY, ROUTE_ACTS},
};

static struct router *router;
static struct reactor *reactor;

static inline void set_up(void)
{
    struct http_options options = http_options_default();
    const struct reactor_hooks hooks = {0};
    options.url_limit = 100;
    options.head_limit = 500;
    options.hosts = "ours.example";
    router = router_new(table, sizeof(table) / sizeof(table[0]));
    reactor = reactor_new(&options, router, &hooks, NULL);
}

static inline void tear_down(void)
{
    reactor_free(&reactor);
    router_free(&router);
}

/* Begins a request; the exchange lies in its arena, as the protocols' do. */
static inline void begin(const char *method, const char *path, int64_t length, size_t head)
{
    struct arena *arena = arena_new(0);
    now = arena_zalloc(arena, sizeof(*now));
    now->protocol = &protocol;
    now->reactor = reactor;
    now->arena = arena;
    now->method = bytes_of(method);
    now->path = bytes_of(path);
    now->content_length = length;
    now->head_bytes = head;
    exchange_begin(now);
}

static inline void assert_header(const char *name, const char *value)
{
    for (unsigned i = 0; i < sent.header_count; i++) {
        if (!bytes_equal(sent.headers[i].name, bytes_of(name)))
            continue;
        ck_assert_msg(bytes_equal(sent.headers[i].value, bytes_of(value)), "%s is %.*s", name,
                      (int)sent.headers[i].value.len, sent.headers[i].value.data);
        return;
    }
    ck_abort_msg("no header %s", name);
}

static inline uint64_t recorded(size_t row, unsigned status)
{
    return reactor_stats(reactor)->routes[row].by_status[status - HTTP_STATUS_FIRST];
}

#endif
