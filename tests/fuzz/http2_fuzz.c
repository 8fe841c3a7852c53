/* An HTTP/2 connection without a socket, fed any bytes behind a good preface: it neither crashes
 * nor leaks, each exchange that begins ends once, and the gauges return to zero. The first byte of
 * the input says how the rest is cut in pieces. */
#include "base/mem.h"
#include "server/http/http2.h"
#include "server/http/http2_inside.h"
#include "server/http/problem.h"
#include "server/http/reactor.h"

#include "fuzz.h"

enum { PENDING_MAX = 4096 };

static unsigned begun, ended;
static struct exchange *pending[PENDING_MAX]; /* to be answered later; NULL once gone */
static unsigned pending_count;

/* --- handlers --- */

static void forget(struct exchange *exchange)
{
    for (unsigned i = 0; i < pending_count; i++)
        if (pending[i] == exchange)
            pending[i] = NULL;
}

static void on_end(struct exchange *exchange)
{
    forget(exchange);
    ended++;
}

static void answer(struct exchange *exchange)
{
    struct response response = {.status = 200};
    response_header(&response, "content-type", exchange_header(exchange, "content-type"));
    response_part(&response, exchange_payload(exchange));
    response_part(&response, exchange->query);
    exchange_respond(exchange, &response);
}

static void answer_now(struct exchange *exchange)
{
    begun++;
    exchange->on_end = on_end;
    answer(exchange);
}

static void answer_later(struct exchange *exchange)
{
    begun++;
    exchange->on_end = on_end;
    exchange->on_gone = forget;
    if (pending_count < PENDING_MAX)
        pending[pending_count++] = exchange;
}

static const struct route table[] = {
    {"GET", "/", answer_now, 0, 0},
    {"POST", "/", answer_now, 1000, 0},
    {"GET", "/later", answer_later, 0, 0},
    {"GET", "/x/{name}", answer_now, 0, 0},
};

/* --- a connection --- */

static struct reactor *reactor;
static struct http2 *http2;

static void start(void)
{
    struct http_options options = http_options_default();
    const struct reactor_hooks hooks = {0};
    options.head_limit = 2000;
    options.url_limit = 500;
    reactor =
        reactor_new(&options, router_new(table, sizeof(table) / sizeof(table[0])), &hooks, NULL);
    http2 = http2_new(reactor);
}

static bool gather(struct http2_connection *connection)
{
    ssize_t len = 1;
    for (unsigned i = 0; i < 1000 && len > 0; i++)
        len = http2_session_gather(connection, connection->http2->gather);
    return len >= 0;
}

static void answer_pending(void)
{
    for (unsigned i = 0; i < pending_count; i++) {
        struct exchange *exchange = pending[i];
        pending[i] = NULL;
        if (exchange && exchange->state == EXCHANGE_HANDLING)
            answer(exchange);
    }
    pending_count = 0;
}

static void feed_pieces(struct http2_connection *connection, struct bytes data, size_t piece)
{
    bool alive = true;
    while (alive && data.len > 0) {
        size_t len = data.len < piece ? data.len : piece;
        alive = http2_session_feed(connection, bytes_from(data.data, len)) && gather(connection);
        data = bytes_skip(data, len);
        if (data.len % 3 == 0)
            answer_pending();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    begun = ended = pending_count = 0;
    if (!http2)
        start();
    struct http2_connection *connection = MEM_NEW(struct http2_connection);
    connection->http2 = http2;
    connection->fd = -1;
    list_init(&connection->dirty_node);
    http2_session_open(connection);
    if (http2_session_feed(connection, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
        feed_pieces(connection, bytes_from(data + 1, size - 1), data[0] ? data[0] : size);
    answer_pending();
    gather(connection);
    http2_session_close(connection);
    list_remove(&connection->dirty_node);
    free(connection);
    fuzz_require(begun == ended, "each exchange that began has ended");
    fuzz_require(reactor_stats(reactor)->exchanges[HTTP_2] == 0, "the gauge is back at zero");
    return 0;
}
