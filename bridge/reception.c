#include "bridge/reception.h"

#include "base/json.h"
#include "base/log.h"
#include "bridge/channel.h"
#include "bridge/order.h"
#include "bridge/seat.h"
#include "bridge/session_op.h"
#include "bridge/watch.h"
#include "bridge/zygote.h"

#include <stdio.h>

enum { SCHEMA_MAX_DEPTH = 64, SLOTS_MAX = RUNNING_MAX };

/* --- on the supervisor's thread --- */

static void run_attached(struct bridge *bridge, const struct order *order)
{
    bridge->start_failures = 0;
    seat_attached(&bridge->seats[order->worker.seat], order->worker);
}

static void run_unlinked(struct bridge *bridge, const struct order *order)
{
    struct seat *seat = &bridge->seats[order->worker.seat];
    if (seat_unlinked(seat, order->worker, order->text))
        zygote_adopt(bridge, seat);
}

static void send_unlinked(struct bridge *bridge, struct worker_ref worker, const char *fault)
{
    struct order order = {.worker = worker};
    snprintf(order.text, sizeof order.text, "%s", fault ? fault : "");
    order_send(bridge, run_unlinked, order);
}

/* --- on a bridge thread --- */

/* Why the worker cannot be taken, or NULL. `text` of TOOL_FAULT_MAX bytes may hold the answer. */
static const char *fault_of(struct bridge *bridge, const struct frame_hello *hello, char *text)
{
    if (hello->protocol_version != BRIDGE_PROTOCOL_VERSION)
        return "the worker speaks another version of the protocol";
    if (hello->worker.slots < 1 || hello->worker.slots > SLOTS_MAX)
        return "the worker has no sensible number of slots";
    for (size_t i = 0; i < hello->tool_count; i++) {
        struct json_value schema;
        if (!json_check(hello->tools[i].schema, SCHEMA_MAX_DEPTH, &schema, NULL) ||
            schema.type != JSON_TYPE_OBJECT)
            return "a tool's schema is not a JSON object";
    }
    bool taken =
        registry_announce(bridge->registry, bridge->pool, hello->tools, hello->tool_count, text);
    return taken ? NULL : text;
}

static bool on_hello(void *context, struct link *link, const struct frame_hello *hello)
{
    struct bridge *bridge = context;
    struct worker_ref worker;
    unsigned i = 0;
    while (i < POOL_MAX_SEATS && !seat_attach(&bridge->seats[i], hello, link, &worker))
        i++;
    if (i == POOL_MAX_SEATS) {
        log_event(LOG_WARNING, "a stranger tried to attach as a worker", LOG_END);
        return false;
    }
    char text[TOOL_FAULT_MAX];
    const char *fault = fault_of(bridge, hello, text);
    struct channel *channel = seat_channel_of(&bridge->seats[i], worker);
    link_set_worker(link, worker, channel);
    channel_unref(&channel);
    if (fault)
        pool_fail(bridge->pool, fault);
    if (!fault && pool_worker_ready(bridge->pool, worker, &hello->worker)) {
        order_send(bridge, run_attached, (struct order){.worker = worker});
        return true;
    }
    seat_detach(&bridge->seats[i], link);
    send_unlinked(bridge, worker, fault);
    return false;
}

static void on_tool_calls(void *context, struct link *link, const struct tool_call *calls,
                          size_t count, struct arena *memory)
{
    const struct bridge *bridge = context;
    const struct bridge_port *port = &bridge->options.port;
    port->tool_calls(port->context, bridge->pool, link_worker(link), calls, count, memory);
}

static void on_telemetry(void *context, struct link *link, const struct telemetry_batch *batch)
{
    const struct bridge *bridge = context;
    (void)link;
    bridge->options.port.telemetry(bridge->options.port.context, bridge->pool, batch);
}

/* A worker that has gone needs no telling. */
static void on_variables_changed(const struct variables_reader *reader, uint64_t session,
                                 uint64_t revision)
{
    struct bridge *bridge = reader->context;
    struct worker_ref worker = {.seat = reader->seat, .number = reader->number};
    struct link *link = seat_link_of(&bridge->seats[worker.seat], worker);
    if (!link)
        return;
    link_add_invalidation(link, session, revision);
    link_flush(link);
    link_unref(&link);
}

static void on_session_ops(void *context, struct link *link, const struct session_op *ops,
                           size_t count)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    const struct variables_reader reader = {.changed = on_variables_changed,
                                            .context = bridge,
                                            .seat = worker.seat,
                                            .number = worker.number};
    for (size_t i = 0; i < count; i++)
        session_op_answer(bridge->options.sessions, &reader, &ops[i], link);
    link_flush(link);
}

static void on_batches(void *context, struct link *link, const struct worker_batch *batches,
                       size_t count)
{
    struct bridge *bridge = context;
    pool_worker_batches(bridge->pool, link_worker(link), batches, count);
}

static void on_emissions(void *context, struct link *link, struct worker_emission *emissions,
                         size_t count)
{
    struct bridge *bridge = context;
    pool_worker_emits(bridge->pool, link_worker(link), emissions, count);
}

static void on_answers(void *context, struct link *link, struct worker_answer *answers,
                       size_t count, struct arena *memory)
{
    struct bridge *bridge = context;
    pool_worker_answers(bridge->pool, link_worker(link), answers, count, memory);
}

static void on_ended(void *context, struct link *link)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    seat_detach(&bridge->seats[worker.seat], link);
    pool_worker_lost(bridge->pool, worker, "its stream to the gateway ended");
    send_unlinked(bridge, worker, NULL);
}

static void on_wish(void *context, struct link *link)
{
    struct bridge *bridge = context;
    pool_worker_wishes(bridge->pool, link_worker(link));
}

static void on_pong(void *context, struct link *link, const struct worker_frame *frame)
{
    struct bridge *bridge = context;
    struct worker_ref worker = link_worker(link);
    watch_pong(&bridge->seats[worker.seat], worker, frame->pong);
    pool_worker_loaded(bridge->pool, worker, frame->loaded, frame->loaded_count);
}

struct link_handler reception_handler(struct bridge *bridge)
{
    return (struct link_handler){.hello = on_hello,
                                 .telemetry = on_telemetry,
                                 .tool_calls = on_tool_calls,
                                 .session_ops = on_session_ops,
                                 .batches = on_batches,
                                 .emissions = on_emissions,
                                 .answers = on_answers,
                                 .pong = on_pong,
                                 .wish = on_wish,
                                 .ended = on_ended,
                                 .context = bridge};
}
