#include "server/http/exchange.h"

#include "base/clock.h"
#include "server/http/problem_text.h"
#include "server/http/reactor.h"

#include <stdlib.h>

enum { GONE_STATUS = 499, SMALL_ANSWER = 64 * 1024 };

/* --- the state machine --- */

static bool may_move(enum exchange_state from, enum exchange_state to)
{
    switch (from) {
    case EXCHANGE_READING:
        return to != EXCHANGE_READING;
    case EXCHANGE_HANDLING:
        return to == EXCHANGE_ANSWERED || to == EXCHANGE_ENDED;
    case EXCHANGE_ANSWERED:
        return to == EXCHANGE_ENDED;
    case EXCHANGE_ENDED:
        return false;
    }
    return false;
}

/* The one place where the state changes. */
static void move(struct exchange *exchange, enum exchange_state to)
{
    if (!may_move(exchange->state, to))
        abort();
    exchange->state = to;
}

static bool is_gone(const struct exchange *exchange)
{
    return exchange->status == GONE_STATUS && exchange->state != EXCHANGE_ANSWERED;
}

static _Atomic int64_t *gauge_of(struct exchange *exchange)
{
    bool is_2 = exchange->protocol->version[0] == '2';
    return &reactor_stats(exchange->reactor)->exchanges[is_2 ? HTTP_2 : HTTP_1];
}

/* --- the way through --- */

void exchange_open(struct exchange *exchange)
{
    exchange->started_us = clock_now_us();
    http_stats_shift(gauge_of(exchange), 1);
}

bool exchange_is_reading(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_READING && !is_gone(exchange);
}

void exchange_handle(struct exchange *exchange)
{
    move(exchange, EXCHANGE_HANDLING);
    exchange->route->handle(exchange);
}

/* Whether a client that leaves now leaves too early. */
static bool is_owed(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_ANSWERED ? exchange->source != NULL
                                                : exchange->state < EXCHANGE_ANSWERED;
}

void exchange_gone(struct exchange *exchange)
{
    if (!is_owed(exchange) || is_gone(exchange))
        return;
    exchange->source = NULL;
    if (exchange->state < EXCHANGE_ANSWERED)
        exchange->status = GONE_STATUS;
    if (exchange->on_gone)
        exchange->on_gone(exchange);
}

void exchange_end(struct exchange *exchange)
{
    exchange_gone(exchange);
    move(exchange, EXCHANGE_ENDED);
    struct http_stats *stats = reactor_stats(exchange->reactor);
    http_stats_record(stats, router_index(reactor_router(exchange->reactor), exchange->route),
                      exchange->status, clock_now_us() - exchange->started_us);
    http_stats_shift(gauge_of(exchange), -1);
    if (exchange->on_end)
        exchange->on_end(exchange);
    buffer_deinit(&exchange->gathered);
    reactor_release(exchange->reactor, exchange->held);
    if (exchange->shared)
        reactor_release_descriptor(exchange->reactor);
    struct arena *arena = exchange->arena; /* the exchange itself may be in it */
    arena_unref(&arena);
}

/* --- for handlers --- */

/* Bodies that many slow peers leave in our memory must not add up without end. */
bool exchange_hold(struct exchange *exchange, size_t bytes)
{
    if (!reactor_hold(exchange->reactor, bytes))
        return false;
    exchange->held += bytes;
    return true;
}

static void answer(struct exchange *exchange, struct response *response)
{
    move(exchange, EXCHANGE_ANSWERED);
    exchange->status = response->status;
    if (!bytes_equal(exchange->method, BYTES("HEAD")))
        exchange->source = response->source;
    response_header(response, "x-request-id", exchange->request_id);
    if (exchange->remark.name.len)
        response_header(response, exchange->remark.name.data, exchange->remark.value);
    exchange->protocol->respond(exchange, response);
}

void exchange_refuse_memory(struct exchange *exchange, const char *executed)
{
    struct response response;
    const struct problem problem = {.status = 503,
                                    .code = "memory_limit",
                                    .category = "limit",
                                    .detail = "too many bodies are in memory: peers do not read",
                                    .executed = executed,
                                    .retryable = true,
                                    .retry_after_s = 1};
    problem_answer(&problem, exchange->path, exchange->request_id, exchange->arena, &response);
    answer(exchange, &response);
}

void exchange_respond(struct exchange *exchange, struct response *response)
{
    if (is_gone(exchange))
        return;
    size_t bytes = response_size(response);
    if (bytes > SMALL_ANSWER && !exchange_hold(exchange, bytes)) {
        exchange_refuse_memory(exchange, "maybe");
        return;
    }
    if (response->source && exchange->state != EXCHANGE_HANDLING)
        abort();
    answer(exchange, response);
}

enum body_step exchange_read(struct exchange *exchange, char *room, size_t size, size_t *out_len)
{
    bool end = false;
    *out_len = exchange->source ? exchange->source->read(exchange, room, size, &end) : 0;
    if (*out_len > size)
        abort();
    if (end && exchange->source) {
        exchange->source = NULL;
        exchange->is_whole = true;
    }
    if (!exchange->source)
        return exchange->is_whole ? BODY_ENDS : BODY_BREAKS;
    return *out_len > 0 ? BODY_MOVES : BODY_PAUSES;
}

void exchange_more(struct exchange *exchange)
{
    if (exchange->source)
        exchange->protocol->more(exchange);
}

void exchange_break(struct exchange *exchange)
{
    if (!exchange->source)
        return;
    exchange->source = NULL;
    exchange->protocol->break_off(exchange);
}

struct bytes exchange_payload(const struct exchange *exchange)
{
    return exchange->shared ? shared_bytes(exchange->shared) : buffer_bytes(&exchange->gathered);
}

struct bytes exchange_header(struct exchange *exchange, const char *name)
{
    return exchange->protocol->header(exchange, bytes_of(name));
}

unsigned exchange_header_count(struct exchange *exchange, const char *name)
{
    return exchange->protocol->count(exchange, bytes_of(name));
}
