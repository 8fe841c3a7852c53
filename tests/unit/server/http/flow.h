/* The part of the site that answers with a body which is produced while it is sent: what each
 * answer may give out, and when it ends, is said by the test. Included by site.h. */
#ifndef SNAKEPIT_TESTS_UNIT_SERVER_FLOW_H
#define SNAKEPIT_TESTS_UNIT_SERVER_FLOW_H

/* One such answer; reactor thread only. Its bytes are those of site.big, again and again. */
struct flow {
    struct list node;
    struct exchange *exchange;
    uint64_t offered, taken;
    bool ends;
};

static struct {
    struct list all;
    _Atomic unsigned begun;
    _Atomic uint64_t taken; /* by all */
    _Atomic unsigned reads;
} flows;

/* What a test wants of all answers that are open, and of `site.reactor` to do it. */
struct flow_order {
    struct mail mail;
    uint64_t bytes;
    bool ends;
    bool breaks;
};

static inline size_t flow_read(struct exchange *exchange, char *room, size_t size, bool *out_end)
{
    struct flow *flow = exchange->handler;
    size_t at = flow->taken % SITE_BIG, len = SITE_BIG - at;
    len = len < size ? len : size;
    len = len < flow->offered - flow->taken ? len : flow->offered - flow->taken;
    memcpy(room, site.big + at, len);
    flow->taken += len;
    flows.taken += len;
    flows.reads++;
    *out_end = flow->ends && flow->taken == flow->offered;
    return len;
}

static inline void flow_on_gone(struct exchange *exchange)
{
    site.gone++;
    exchange_more(exchange);
    exchange_break(exchange);
}

static inline void flow_on_end(struct exchange *exchange)
{
    struct flow *flow = exchange->handler;
    site.ended++;
    list_remove(&flow->node);
}

/* The query: how many bytes there are at once, or nothing. */
static inline void flow_get(struct exchange *exchange)
{
    static const struct body_source source = {.read = flow_read};
    struct flow *flow = arena_zalloc(exchange->arena, sizeof(*flow));
    flow->exchange = exchange;
    if (exchange->query.len > 0)
        flow->offered = strtoull(arena_string(exchange->arena, exchange->query), NULL, 10);
    list_push_back(&flows.all, &flow->node);
    site.begun++;
    exchange->handler = flow;
    exchange->on_gone = flow_on_gone;
    exchange->on_end = flow_on_end;
    struct response response = {.status = 200, .source = &source};
    response_header(&response, "content-type", BYTES("text/event-stream"));
    exchange_respond(exchange, &response);
    exchange_more(exchange);
    flows.begun++;
}

static inline void flow_carry_out(struct mail *mail)
{
    const struct flow_order *order = CONTAINER_OF(mail, struct flow_order, mail);
    LIST_FOREACH (&flows.all, node, following) {
        struct flow *flow = CONTAINER_OF(node, struct flow, node);
        flow->offered += order->bytes;
        flow->ends |= order->ends;
        if (order->breaks)
            exchange_break(flow->exchange);
        exchange_more(flow->exchange);
    }
    free(mail);
}

static inline void flow_order(struct flow_order wanted)
{
    struct flow_order *order = MEM_NEW(struct flow_order);
    *order = wanted;
    order->mail.open = flow_carry_out;
    mailbox_post(reactor_inbox(site.reactor), &order->mail);
}

/* Waits until nothing more is taken. */
static inline uint64_t flow_await_still(void)
{
    uint64_t taken;
    do {
        taken = flows.taken;
        usleep(200000);
    } while (flows.taken != taken);
    return taken;
}

#endif
