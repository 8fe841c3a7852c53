#include "bridge/frame.h"

#include "../base/run.h"

#include "base/mem.h"
#include "snakepit/bridge/v1/bridge.pb-c.h"

#include <stdlib.h>
#include <string.h>

/* What we write is read back by protobuf-c, and the other way round. */

static struct buffer frame;
static const struct parcel inside;

static void set_up(void)
{
    frame = (struct buffer){0};
}

static void tear_down(void)
{
    buffer_deinit(&frame);
}

static Snakepit__Bridge__V1__GatewayFrame *read_back(void)
{
    Snakepit__Bridge__V1__GatewayFrame *message =
        snakepit__bridge__v1__gateway_frame__unpack(NULL, frame.len, (const uint8_t *)frame.data);
    ck_assert_ptr_nonnull(message);
    return message;
}

static void release(Snakepit__Bridge__V1__GatewayFrame *message)
{
    snakepit__bridge__v1__gateway_frame__free_unpacked(message, NULL);
}

static struct tool tool = {.spec.name = {"text_stats", 10}};

START_TEST(an_invocation_arrives_with_all_its_members)
{
    const struct call call = {.tool = &tool,
                              .args = BYTES("{\"a\":\"\\u0000\"}"),
                              .content_type = BYTES("text/plain"),
                              .session_id = BYTES("s"),
                              .session_number = 300,
                              .request_id = BYTES("r"),
                              .correlation_id = BYTES("c"),
                              .traceparent = BYTES("tp"),
                              .tracestate = BYTES("ts"),
                              .metadata = BYTES("{\"m\":1}")};
    frame_add_invoke(&frame, 0x1234567800ff, &call, &inside, 1501, false);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->n_invokes, 1);
    const Snakepit__Bridge__V1__Invoke *invoke = message->invokes[0];
    ck_assert_uint_eq(invoke->call_id, 0x1234567800ff);
    ck_assert_uint_eq(invoke->timeout_ms, 2);
    ck_assert_str_eq(invoke->tool, "text_stats");
    ck_assert(bytes_equal(bytes_from(invoke->args.data, invoke->args.len), call.args));
    ck_assert_str_eq(invoke->content_type, "text/plain");
    ck_assert_str_eq(invoke->session_id, "s");
    ck_assert_uint_eq(invoke->session_number, 300);
    ck_assert_str_eq(invoke->request_id, "r");
    ck_assert_str_eq(invoke->correlation_id, "c");
    ck_assert(bytes_equal(bytes_from(invoke->metadata.data, invoke->metadata.len), call.metadata));
    ck_assert_str_eq(invoke->traceparent, "tp");
    ck_assert_str_eq(invoke->tracestate, "ts");
    release(message);
}
END_TEST

START_TEST(arguments_of_every_length_arrive_whole)
{
    static const size_t lengths[] = {0, 1, 126, 127, 128, 129, 16383, 16384, 2097151, 2097152};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char *data = mem_zalloc(lengths[i]);
        const struct call call = {.tool = &tool, .args = bytes_from(data, lengths[i])};
        frame.len = 0;
        frame_add_invoke(&frame, 256, &call, &inside, 1, false);
        ck_assert_uint_le(frame.len, frame_invoke_size(&call, false));
        Snakepit__Bridge__V1__GatewayFrame *message = read_back();
        ck_assert_uint_eq(message->invokes[0]->args.len, lengths[i]);
        release(message);
        free(data);
    }
}
END_TEST

START_TEST(many_messages_share_a_frame_in_order)
{
    const struct call call = {.tool = &tool, .args = BYTES("{}")};
    frame_add_welcome(&frame);
    for (unsigned i = 1; i <= 100; i++)
        frame_add_invoke(&frame, i, &call, &inside, 1000, false);
    frame_add_cancel(&frame, 7, false);
    frame_add_cancel(&frame, 8, true);
    frame_add_stop(&frame, 2000000, true);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->welcome->protocol_version, BRIDGE_PROTOCOL_VERSION);
    ck_assert_uint_eq(message->n_invokes, 100);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(message->invokes[i]->call_id, i + 1);
    ck_assert_uint_eq(message->cancels[0]->call_id, 7);
    ck_assert(!message->cancels[0]->recall);
    ck_assert_uint_eq(message->cancels[1]->call_id, 8);
    ck_assert(message->cancels[1]->recall);
    ck_assert_uint_eq(message->stop->grace_ms, 2000);
    release(message);
}
END_TEST

START_TEST(results_and_failures_are_read)
{
    Snakepit__Bridge__V1__Result result, *results[] = {&result};
    Snakepit__Bridge__V1__Failure failure, *failures[] = {&failure};
    Snakepit__Bridge__V1__WorkerFrame message;
    snakepit__bridge__v1__result__init(&result);
    snakepit__bridge__v1__failure__init(&failure);
    snakepit__bridge__v1__worker_frame__init(&message);
    static uint8_t body[] = {'1', '.', '5'};
    static char type[] = "ValueError";
    result.call_id = 5;
    result.body = (ProtobufCBinaryData){sizeof body, body};
    result.run_us = 40;
    failure.call_id = 6;
    failure.type = type;
    failure.status = 422;
    failure.started = 1;
    message.n_results = message.n_failures = 1;
    message.results = results;
    message.failures = failures;
    uint8_t packed[256];
    size_t size = snakepit__bridge__v1__worker_frame__pack(&message, packed);

    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    ck_assert_ptr_null(read.hello);
    ck_assert_uint_eq(read.answer_count, 2);
    ck_assert_uint_eq(read.answers[0].call_id, 5);
    ck_assert(!read.answers[0].failed);
    ck_assert(bytes_equal(read.answers[0].body, BYTES("1.5")));
    ck_assert_uint_eq(read.answers[0].run_us, 40);
    ck_assert(read.answers[1].failed && read.answers[1].started);
    ck_assert(bytes_equal(read.answers[1].failure.type, BYTES("ValueError")));
    ck_assert_uint_eq(read.answers[1].failure.status, 422);
    arena_unref(&arena);
}
END_TEST

static size_t pack_emission(int kind, uint8_t *packed)
{
    static uint8_t bodies_data[] = {'1', '2'};
    ProtobufCBinaryData bodies[] = {{1, bodies_data}, {1, bodies_data + 1}};
    Snakepit__Bridge__V1__Emission emission;
    snakepit__bridge__v1__emission__init(&emission);
    Snakepit__Bridge__V1__Emission *emissions[] = {&emission};
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    emission.call_id = 5;
    emission.kind = (Snakepit__Bridge__V1__Emission__Kind)kind;
    emission.n_bodies = 2;
    emission.bodies = bodies;
    message.n_emissions = 1;
    message.emissions = emissions;
    return snakepit__bridge__v1__worker_frame__pack(&message, packed);
}

START_TEST(emissions_are_read)
{
    uint8_t packed[64];
    size_t size = pack_emission(EMISSION_PROGRESS, packed);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    ck_assert_uint_eq(read.emission_count, 1);
    ck_assert_uint_eq(read.emissions[0].call_id, 5);
    ck_assert_int_eq(read.emissions[0].emission.kind, EMISSION_PROGRESS);
    ck_assert_uint_eq(read.emissions[0].emission.count, 2);
    ck_assert(bytes_equal(read.emissions[0].emission.bodies[1], BYTES("2")));
    arena_unref(&arena);
}
END_TEST

START_TEST(calls_that_are_run_together_are_read)
{
    Snakepit__Bridge__V1__Batch batch;
    snakepit__bridge__v1__batch__init(&batch);
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    uint64_t ids[] = {5, 1 << 20};
    uint8_t packed[64];
    batch.call_ids = ids;
    batch.n_call_ids = 2;
    message.batches = &(Snakepit__Bridge__V1__Batch *){&batch};
    message.n_batches = 1;
    size_t size = snakepit__bridge__v1__worker_frame__pack(&message, packed);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    ck_assert_uint_eq(read.batch_count, 1);
    ck_assert_uint_eq(read.batches[0].count, 2);
    ck_assert_uint_eq(read.batches[0].call_ids[1], 1 << 20);
    arena_unref(&arena);
}
END_TEST

START_TEST(an_emission_of_unknown_kind_is_refused)
{
    uint8_t packed[64];
    size_t size = pack_emission(EMISSION_KINDS, packed);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(!frame_read(bytes_from(packed, size), arena, &read));
    arena_unref(&arena);
}
END_TEST

START_TEST(a_stream_begins_with_credit_and_gets_more)
{
    const struct call call = {.tool = &tool, .window = 300000};
    frame_add_invoke(&frame, 256, &call, &inside, 1000, false);
    frame_add_credit(&frame, 256, 70000);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->invokes[0]->credit, 300000);
    ck_assert_uint_eq(message->credits[0]->call_id, 256);
    ck_assert_uint_eq(message->credits[0]->bytes, 70000);
    release(message);
}
END_TEST

START_TEST(a_frame_of_invocations_alone_says_so)
{
    const struct call call = {.tool = &tool};
    frame_add_invoke(&frame, 256, &call, &inside, 1000, false);
    frame_add_invoke(&frame, 257, &call, &inside, 1000, false);
    frame_mark_only_invokes(&frame);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert(message->only_invokes);
    ck_assert_uint_eq(message->n_invokes, 2);
    release(message);
}
END_TEST

START_TEST(a_tool_call_is_read)
{
    uint8_t bytes[256];
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    Snakepit__Bridge__V1__ToolCall call;
    snakepit__bridge__v1__tool_call__init(&call);
    Snakepit__Bridge__V1__ToolCall *calls[] = {&call};
    call.call_id = 256;
    call.id = 7;
    call.tool = (ProtobufCBinaryData){6, (uint8_t *)(size_t) "add\0xy"};
    call.args = (ProtobufCBinaryData){2, (uint8_t *)(size_t) "{}"};
    call.timeout_ms = UINT64_MAX;
    call.trace_id = (ProtobufCBinaryData){2, (uint8_t *)(size_t) "tr"};
    call.span_id = (ProtobufCBinaryData){3, (uint8_t *)(size_t) "spa"};
    call.idempotent = true;
    message.n_tool_calls = 1;
    message.tool_calls = calls;
    size_t size = snakepit__bridge__v1__worker_frame__pack(&message, bytes);
    ck_assert(frame_read(bytes_from(bytes, size), arena, &read));
    ck_assert_uint_eq(read.tool_call_count, 1);
    ck_assert_uint_eq(read.tool_calls[0].call_id, 256);
    ck_assert_uint_eq(read.tool_calls[0].id, 7);
    ck_assert(bytes_equal(read.tool_calls[0].tool, BYTES("add\0xy")));
    ck_assert(bytes_equal(read.tool_calls[0].args, BYTES("{}")));
    ck_assert_uint_eq(read.tool_calls[0].timeout_us, UINT64_MAX);
    ck_assert(bytes_equal(read.tool_calls[0].trace_id, BYTES("tr")));
    ck_assert(bytes_equal(read.tool_calls[0].span_id, BYTES("spa")));
    ck_assert(read.tool_calls[0].idempotent && !read.tool_calls[0].cancel);
    arena_unref(&arena);
}
END_TEST

START_TEST(arguments_that_went_ahead_are_named_by_their_place)
{
    const struct parcel parcel = {.id = 300, .offset = 200, .size = 100};
    const struct call call = {.tool = &tool, .args = BYTES("{}"), .window = 5};
    frame_add_invoke(&frame, 256, &call, &parcel, 1000, true);
    ck_assert_uint_le(frame.len, frame_invoke_size(&call, true));
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    const Snakepit__Bridge__V1__Invoke *invoke = message->invokes[0];
    ck_assert_uint_eq(invoke->args.len, 0);
    ck_assert_uint_eq(invoke->parcel->id, 300);
    ck_assert_uint_eq(invoke->parcel->offset, 200);
    ck_assert_uint_eq(invoke->parcel->size, 100);
    ck_assert_uint_eq(invoke->credit, 5);
    release(message);
}
END_TEST

START_TEST(values_that_went_ahead_are_expected_in_their_places)
{
    Snakepit__Bridge__V1__Parcel parcel;
    snakepit__bridge__v1__parcel__init(&parcel);
    Snakepit__Bridge__V1__Result result;
    snakepit__bridge__v1__result__init(&result);
    Snakepit__Bridge__V1__ToolCall call;
    snakepit__bridge__v1__tool_call__init(&call);
    Snakepit__Bridge__V1__Emission emission;
    snakepit__bridge__v1__emission__init(&emission);
    Snakepit__Bridge__V1__VariableWrite write;
    snakepit__bridge__v1__variable_write__init(&write);
    Snakepit__Bridge__V1__SessionOp op;
    snakepit__bridge__v1__session_op__init(&op);
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    uint8_t packed[256];
    parcel.id = 9;
    parcel.size = 1 << 20;
    result.parcel = call.parcel = emission.parcel = write.parcel = &parcel;
    op.writes = &(Snakepit__Bridge__V1__VariableWrite *){&write};
    message.results = &(Snakepit__Bridge__V1__Result *){&result};
    message.tool_calls = &(Snakepit__Bridge__V1__ToolCall *){&call};
    message.emissions = &(Snakepit__Bridge__V1__Emission *){&emission};
    message.session_ops = &(Snakepit__Bridge__V1__SessionOp *){&op};
    op.n_writes = message.n_results = message.n_tool_calls = message.n_emissions =
        message.n_session_ops = 1;
    size_t size = snakepit__bridge__v1__worker_frame__pack(&message, packed), count = 0;
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    for (const struct arrival *arrival = read.arrivals; arrival; arrival = arrival->next) {
        ck_assert(arrival->parcel.id == 9 && arrival->parcel.size == 1 << 20);
        *arrival->value = BYTES("here");
        count++;
    }
    ck_assert_uint_eq(count, 4);
    ck_assert(bytes_equal(read.answers[0].body, BYTES("here")));
    ck_assert(bytes_equal(read.tool_calls[0].args, BYTES("here")));
    ck_assert(bytes_equal(read.emissions[0].emission.bodies[0], BYTES("here")));
    ck_assert(bytes_equal(read.session_ops[0].writes[0].value, BYTES("here")));
    arena_unref(&arena);
}
END_TEST

/* The channel keeps a limited number of those that come before the one that is asked for. */
START_TEST(values_that_went_ahead_are_expected_in_the_order_of_their_messages)
{
    enum { COUNT = 200 };
    Snakepit__Bridge__V1__Parcel parcels[COUNT];
    Snakepit__Bridge__V1__VariableWrite writes[COUNT], *places[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        snakepit__bridge__v1__parcel__init(&parcels[i]);
        snakepit__bridge__v1__variable_write__init(&writes[i]);
        parcels[i].id = i + 1;
        writes[i].parcel = &parcels[i];
        places[i] = &writes[i];
    }
    Snakepit__Bridge__V1__SessionOp op;
    snakepit__bridge__v1__session_op__init(&op);
    op.n_writes = COUNT;
    op.writes = places;
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    message.n_session_ops = 1;
    message.session_ops = &(Snakepit__Bridge__V1__SessionOp *){&op};
    uint8_t packed[16 * COUNT];
    size_t size = snakepit__bridge__v1__worker_frame__pack(&message, packed);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    uint64_t last = 0;
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    for (const struct arrival *arrival = read.arrivals; arrival; arrival = arrival->next)
        ck_assert_uint_eq(arrival->parcel.id, ++last);
    ck_assert_uint_eq(last, COUNT);
    arena_unref(&arena);
}
END_TEST

START_TEST(parts_of_a_value_and_a_receipt_make_one_transfer)
{
    const struct part part = {.id = 5, .size = 1 << 20, .data = BYTES("some")};
    frame_add_part(&frame, &part);
    frame_add_taken(&frame, 70000);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    const Snakepit__Bridge__V1__Transfer *transfer = message->transfer;
    ck_assert_uint_eq(transfer->n_parts, 1);
    ck_assert_uint_eq(transfer->parts[0]->id, 5);
    ck_assert_uint_eq(transfer->parts[0]->size, 1 << 20);
    ck_assert_uint_eq(transfer->parts[0]->data.len, 4);
    ck_assert_uint_eq(transfer->taken, 70000);
    release(message);
}
END_TEST

START_TEST(several_values_are_dropped_by_one_transfer)
{
    frame_add_dropped(&frame, 4);
    frame_add_dropped(&frame, 300);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->transfer->n_dropped, 2);
    ck_assert_uint_eq(message->transfer->dropped[0], 4);
    ck_assert_uint_eq(message->transfer->dropped[1], 300);
    release(message);
}
END_TEST

START_TEST(replies_say_where_their_large_values_are)
{
    struct parcel parcels[] = {{0}, {.id = 7, .size = 70000}};
    const struct variable variables[] = {{.name = BYTES("a"), .value = BYTES("1"), .version = 1},
                                         {.name = BYTES("b"), .value = BYTES("2"), .version = 1}};
    const struct session_reply reply = {
        .id = 1, .variables = variables, .count = 2, .parcels = parcels};
    frame_add_tool_reply(&frame, &(struct tool_reply){.id = 2,
                                                      .body = BYTES("large"),
                                                      .content_type = BYTES("image/png"),
                                                      .parcel = parcels[1]});
    frame_add_session_reply(&frame, &reply);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    const Snakepit__Bridge__V1__ToolReply *told = message->tool_replies[0];
    Snakepit__Bridge__V1__Variable **read = message->session_replies[0]->variables;
    ck_assert(told->body.len == 0 && told->parcel->id == 7 && told->parcel->size == 70000);
    ck_assert_str_eq(told->content_type, "image/png");
    ck_assert(read[0]->value.len == 1 && !read[0]->parcel);
    ck_assert(read[1]->value.len == 0 && read[1]->parcel->id == 7);
    release(message);
}
END_TEST

START_TEST(a_reply_arrives_with_its_value)
{
    const struct tool_reply reply = {
        .id = 300, .body = BYTES("\0\1"), .content_type = BYTES("image/png")};
    frame_add_tool_reply(&frame, &reply);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    const Snakepit__Bridge__V1__ToolReply *read = message->tool_replies[0];
    ck_assert_uint_eq(read->id, 300);
    ck_assert(bytes_equal(bytes_from(read->body.data, read->body.len), reply.body));
    ck_assert_str_eq(read->content_type, "image/png");
    ck_assert_ptr_null(read->failure);
    release(message);
}
END_TEST

START_TEST(a_reply_arrives_with_its_failure)
{
    static const struct call_failure nothing;
    char text[300];
    memset(text, 'x', sizeof text);
    const struct call_failure failure = {.type = BYTES("ValueError"),
                                         .message = bytes_from(text, sizeof text),
                                         .traceback = BYTES("tb"),
                                         .context = BYTES("{}"),
                                         .code = BYTES("teapot"),
                                         .details = BYTES("[1]"),
                                         .status = 418};
    frame_add_tool_reply(&frame, &(struct tool_reply){.id = 1, .failure = &failure});
    frame_add_tool_reply(&frame, &(struct tool_reply){.id = 2, .failure = &nothing});
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->n_tool_replies, 2);
    const Snakepit__Bridge__V1__Failure *read = message->tool_replies[0]->failure;
    ck_assert_str_eq(read->type, "ValueError");
    ck_assert_uint_eq(strlen(read->message), sizeof text);
    ck_assert_str_eq(read->traceback, "tb");
    ck_assert_uint_eq(read->context.len, 2);
    ck_assert_str_eq(read->code, "teapot");
    ck_assert_uint_eq(read->details.len, 3);
    ck_assert_uint_eq(read->status, 418);
    ck_assert_ptr_nonnull(message->tool_replies[1]->failure);
    release(message);
}
END_TEST

START_TEST(a_ping_goes_out_and_its_answer_comes_in)
{
    frame_add_ping(&frame, 77);
    Snakepit__Bridge__V1__GatewayFrame *message = read_back();
    ck_assert_uint_eq(message->ping->sequence, 77);
    release(message);
    Snakepit__Bridge__V1__State answer = SNAKEPIT__BRIDGE__V1__STATE__INIT;
    Snakepit__Bridge__V1__WorkerFrame from = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    answer.sequence = 77;
    from.state = &answer;
    uint8_t bytes[64];
    size_t size = snakepit__bridge__v1__worker_frame__pack(&from, bytes);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read(bytes_from(bytes, size), arena, &read));
    ck_assert_uint_eq(read.pong, 77);
    ck_assert_uint_eq(read.answer_count, 0);
    arena_unref(&arena);
}
END_TEST

static bool read_op(Snakepit__Bridge__V1__SessionOp *op, struct arena *arena,
                    struct worker_frame *out_frame)
{
    uint8_t bytes[256];
    Snakepit__Bridge__V1__WorkerFrame from = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    from.session_ops = &op;
    from.n_session_ops = 1;
    size_t size = snakepit__bridge__v1__worker_frame__pack(&from, bytes);
    return frame_read(arena_copy(arena, bytes_from(bytes, size)), arena, out_frame);
}

START_TEST(a_session_op_is_read)
{
    Snakepit__Bridge__V1__SessionOp op;
    snakepit__bridge__v1__session_op__init(&op);
    Snakepit__Bridge__V1__VariableWrite write;
    snakepit__bridge__v1__variable_write__init(&write);
    Snakepit__Bridge__V1__VariableWrite *writes[] = {&write};
    char session[] = "s";
    uint8_t first[] = "a", second[] = "b\0c", name[] = "x\0y", value[] = {'1', '7'};
    ProtobufCBinaryData names[] = {{1, first}, {3, second}};
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    write.name = (ProtobufCBinaryData){3, name};
    write.value = (ProtobufCBinaryData){.data = value, .len = sizeof value};
    write.expects = true;
    write.expected_version = 9;
    op.id = 5;
    op.session_id = session;
    op.session_number = 300;
    op.kind = SNAKEPIT__BRIDGE__V1__SESSION_OP__KIND__WRITE;
    op.names = names;
    op.n_names = 2;
    op.writes = writes;
    op.n_writes = 1;
    ck_assert(read_op(&op, arena, &read));
    ck_assert_uint_eq(read.session_op_count, 1);
    const struct session_op *got = &read.session_ops[0];
    ck_assert_uint_eq(got->id, 5);
    ck_assert_uint_eq(got->session_number, 300);
    ck_assert_int_eq(got->kind, SESSION_OP_WRITE);
    ck_assert(bytes_equal(got->names[1], BYTES("b\0c")));
    ck_assert(bytes_equal(got->writes[0].name, BYTES("x\0y")));
    ck_assert(bytes_equal(got->writes[0].value, BYTES("17")));
    ck_assert(got->writes[0].expects && got->writes[0].expected_version == 9);
    arena_unref(&arena);
}
END_TEST

START_TEST(a_session_op_of_unknown_kind_is_refused)
{
    Snakepit__Bridge__V1__SessionOp op;
    snakepit__bridge__v1__session_op__init(&op);
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    op.kind = (Snakepit__Bridge__V1__SessionOp__Kind)3;
    ck_assert(!read_op(&op, arena, &read));
    op.kind = (Snakepit__Bridge__V1__SessionOp__Kind)-1;
    ck_assert(!read_op(&op, arena, &read));
    arena_unref(&arena);
}
END_TEST

START_TEST(a_session_reply_and_an_invalidation_arrive)
{
    const struct variable variables[] = {
        {.type = VARIABLE_FLOAT,
         .version = 300,
         .name = BYTES("x"),
         .value = BYTES("1.5"),
         .constraints = BYTES("{\"min\":0}")},
        {.version = 0},
        {.version = 4, .name = BYTES("y")},
    };
    const struct session_reply reply = {.id = 7,
                                        .code = "c",
                                        .detail = "d",
                                        .name = BYTES("n"),
                                        .version = 8,
                                        .variables = variables,
                                        .count = 3,
                                        .revision = 9};
    frame_add_session_reply(&frame, &reply);
    frame_add_invalidation(&frame, 300, 200);
    Snakepit__Bridge__V1__GatewayFrame *got =
        snakepit__bridge__v1__gateway_frame__unpack(NULL, frame.len, (const uint8_t *)frame.data);
    ck_assert(got && got->n_session_replies == 1 && got->n_invalidations == 1);
    const Snakepit__Bridge__V1__SessionReply *answer = got->session_replies[0];
    ck_assert_uint_eq(answer->id, 7);
    ck_assert_str_eq(answer->code, "c");
    ck_assert_str_eq(answer->name, "n");
    ck_assert_uint_eq(answer->version, 8);
    ck_assert_uint_eq(answer->revision, 9);
    ck_assert_uint_eq(answer->n_variables, 2);
    ck_assert_str_eq(answer->variables[0]->type, "float");
    ck_assert_uint_eq(answer->variables[0]->version, 300);
    ck_assert_uint_eq(answer->variables[0]->value.len, 3);
    ck_assert_uint_eq(answer->variables[0]->constraints.len, 9);
    ck_assert_str_eq(answer->variables[1]->name, "y");
    ck_assert_uint_eq(got->invalidations[0]->session_number, 300);
    ck_assert_uint_eq(got->invalidations[0]->revision, 200);
    snakepit__bridge__v1__gateway_frame__free_unpacked(got, NULL);
}
END_TEST

START_TEST(junk_is_refused)
{
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(!frame_read(BYTES("\x0a\xff\xff\xff\xff\x7f"), arena, &read));
    ck_assert(!frame_read(BYTES("\x52\x05\x08"), arena, &read));
    arena_unref(&arena);
}
END_TEST

START_TEST(an_empty_frame_says_nothing)
{
    struct arena *arena = arena_new(0);
    struct worker_frame read;
    ck_assert(frame_read((struct bytes){0}, arena, &read));
    ck_assert_uint_eq(read.answer_count, 0);
    arena_unref(&arena);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("frame");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_invocation_arrives_with_all_its_members);
    tcase_add_test(tests, arguments_of_every_length_arrive_whole);
    tcase_add_test(tests, many_messages_share_a_frame_in_order);
    tcase_add_test(tests, results_and_failures_are_read);
    tcase_add_test(tests, emissions_are_read);
    tcase_add_test(tests, calls_that_are_run_together_are_read);
    tcase_add_test(tests, an_emission_of_unknown_kind_is_refused);
    tcase_add_test(tests, a_stream_begins_with_credit_and_gets_more);
    tcase_add_test(tests, a_frame_of_invocations_alone_says_so);
    tcase_add_test(tests, a_tool_call_is_read);
    tcase_add_test(tests, a_reply_arrives_with_its_value);
    tcase_add_test(tests, a_reply_arrives_with_its_failure);
    tcase_add_test(tests, arguments_that_went_ahead_are_named_by_their_place);
    tcase_add_test(tests, values_that_went_ahead_are_expected_in_their_places);
    tcase_add_test(tests, values_that_went_ahead_are_expected_in_the_order_of_their_messages);
    tcase_add_test(tests, parts_of_a_value_and_a_receipt_make_one_transfer);
    tcase_add_test(tests, several_values_are_dropped_by_one_transfer);
    tcase_add_test(tests, replies_say_where_their_large_values_are);
    tcase_add_test(tests, a_ping_goes_out_and_its_answer_comes_in);
    tcase_add_test(tests, a_session_op_is_read);
    tcase_add_test(tests, a_session_op_of_unknown_kind_is_refused);
    tcase_add_test(tests, a_session_reply_and_an_invalidation_arrive);
    tcase_add_test(tests, junk_is_refused);
    tcase_add_test(tests, an_empty_frame_says_nothing);
    return run_case(tests, "frame");
}
