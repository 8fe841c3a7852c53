#include "bridge/frame.h"

#include "snakepit/bridge/v1/bridge.pb-c.h"

/* The half that reads: what a worker sends. */

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static struct bytes from_data(ProtobufCBinaryData data)
{
    return bytes_from(data.data, data.len);
}

/* Milliseconds from a worker; a year is as good as more. */
static uint64_t limit_of(uint64_t ms)
{
    const uint64_t year_ms = UINT64_C(365) * 24 * 3600 * 1000;
    return (ms < year_ms ? ms : year_ms) * 1000;
}

static struct frame_hello *read_hello(const Snakepit__Bridge__V1__Hello *from, struct arena *arena)
{
    struct frame_hello *hello = arena_zalloc(arena, sizeof *hello);
    hello->protocol_version = from->protocol_version;
    hello->worker_id = bytes_of(from->worker_id);
    hello->token = from_data(from->token);
    hello->worker.pid = (int)from->pid;
    hello->worker.slots = from->slots;
    hello->worker.python_version = bytes_of(from->python_version);
    hello->tool_count = from->n_tools;
    hello->tools = arena_zalloc(arena, from->n_tools * sizeof hello->tools[0]);
    for (size_t i = 0; i < from->n_tools; i++) {
        hello->tools[i] = (struct tool_spec){
            .name = bytes_of(from->tools[i]->name),
            .description = bytes_of(from->tools[i]->description),
            .schema = from_data(from->tools[i]->schema),
            .streaming = from->tools[i]->streaming,
            .idempotent = from->tools[i]->idempotent,
            .batch = from->tools[i]->batch,
            .limits = {.total_us = limit_of(from->tools[i]->timeout_ms),
                       .queue_us = limit_of(from->tools[i]->queue_timeout_ms),
                       .run_us = limit_of(from->tools[i]->run_timeout_ms),
                       .idle_us = limit_of(from->tools[i]->idle_timeout_ms)},
        };
    }
    return hello;
}

/* A value that is large has to be fetched: after those that were sent before it. */
static struct arrival *expect(struct worker_frame *frame, const Snakepit__Bridge__V1__Parcel *from,
                              struct arena *arena, struct bytes *value, bool *lost)
{
    struct arrival *arrival = arena_zalloc(arena, sizeof *arrival);
    *arrival = (struct arrival){
        .parcel = {.id = from->id, .size = from->size}, .value = value, .lost = lost};
    *(frame->arrivals ? &frame->last_arrival->next : &frame->arrivals) = arrival;
    frame->last_arrival = arrival;
    return arrival;
}

static struct worker_answer from_result(const Snakepit__Bridge__V1__Result *from)
{
    return (struct worker_answer){
        .call_id = from->call_id,
        .started = true,
        .body = from_data(from->body),
        .content_type = bytes_of(from->content_type),
        .run_us = from->run_us,
    };
}

static struct worker_answer from_failure(const Snakepit__Bridge__V1__Failure *from)
{
    return (struct worker_answer){
        .call_id = from->call_id,
        .failed = true,
        .started = from->started,
        .run_us = from->run_us,
        .failure = {.type = bytes_of(from->type),
                    .message = bytes_of(from->message),
                    .traceback = bytes_of(from->traceback),
                    .context = from_data(from->context),
                    .code = bytes_of(from->code),
                    .details = from_data(from->details),
                    .status = from->status},
    };
}

/* False: of a kind that we do not know. */
static bool read_emission(const Snakepit__Bridge__V1__Emission *from, struct arena *arena,
                          struct worker_frame *frame, struct worker_emission *out_emission)
{
    size_t count = from->parcel ? 1 : from->n_bodies;
    struct bytes *bodies = arena_zalloc(arena, count * sizeof bodies[0]);
    for (size_t i = 0; i < from->n_bodies && !from->parcel; i++)
        bodies[i] = from_data(from->bodies[i]);
    *out_emission = (struct worker_emission){
        .call_id = from->call_id,
        .emission = {.kind = (enum emission_kind)from->kind, .count = count, .bodies = bodies},
    };
    if (from->parcel)
        expect(frame, from->parcel, arena, &bodies[0], &out_emission->lost);
    return from->kind >= 0 && (unsigned)from->kind < EMISSION_KINDS;
}

static struct bytes *read_labels(const Snakepit__Bridge__V1__State *from, struct arena *arena)
{
    struct bytes *labels = arena_alloc(arena, from->n_loaded * sizeof labels[0]);
    for (size_t i = 0; i < from->n_loaded; i++)
        labels[i] = bytes_of(from->loaded[i]);
    return labels;
}

static struct tool_call from_tool_call(const Snakepit__Bridge__V1__ToolCall *from)
{
    return (struct tool_call){
        .call_id = from->call_id,
        .id = from->id,
        .tool = from_data(from->tool),
        .pool = from_data(from->pool),
        .args = from_data(from->args),
        .content_type = bytes_of(from->content_type),
        .timeout_us = from->timeout_ms < UINT64_MAX / 1000 ? from->timeout_ms * 1000 : UINT64_MAX,
        .trace_id = from_data(from->trace_id),
        .span_id = from_data(from->span_id),
        .idempotent = from->idempotent,
        .cancel = from->cancel,
    };
}

static void read_tool_calls(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                            struct worker_frame *frame)
{
    frame->tool_call_count = from->n_tool_calls;
    frame->tool_calls = arena_alloc(arena, from->n_tool_calls * sizeof frame->tool_calls[0]);
    for (size_t i = 0; i < from->n_tool_calls; i++) {
        struct tool_call *call = &frame->tool_calls[i];
        *call = from_tool_call(from->tool_calls[i]);
        if (from->tool_calls[i]->parcel)
            expect(frame, from->tool_calls[i]->parcel, arena, &call->args, &call->lost)->shared =
                &call->shared;
    }
}

static struct variable_write from_write(const Snakepit__Bridge__V1__VariableWrite *from)
{
    return (struct variable_write){
        .name = from_data(from->name),
        .value = from_data(from->value),
        .type = from_data(from->type),
        .constraints = from_data(from->constraints),
        .remove = from->remove,
        .expects = from->expects,
        .expected_version = from->expected_version,
    };
}

/* False: of a kind that we do not know. */
static bool read_session_op(const Snakepit__Bridge__V1__SessionOp *from, struct arena *arena,
                            struct worker_frame *frame, struct session_op *out_op)
{
    struct bytes *names = arena_alloc(arena, from->n_names * sizeof names[0]);
    struct variable_write *writes = arena_alloc(arena, from->n_writes * sizeof writes[0]);
    for (size_t i = 0; i < from->n_names; i++)
        names[i] = from_data(from->names[i]);
    for (size_t i = 0; i < from->n_writes; i++) {
        writes[i] = from_write(from->writes[i]);
        if (from->writes[i]->parcel)
            expect(frame, from->writes[i]->parcel, arena, &writes[i].value, &out_op->lost);
    }
    *out_op = (struct session_op){
        .call_id = from->call_id,
        .id = from->id,
        .session_id = bytes_of(from->session_id),
        .session_number = from->session_number,
        .kind = (enum session_op_kind)from->kind,
        .names = names,
        .name_count = from->n_names,
        .writes = writes,
        .write_count = from->n_writes,
    };
    return from->kind >= 0 && (unsigned)from->kind <= SESSION_OP_WRITE;
}

static bool read_session_ops(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                             struct worker_frame *frame)
{
    bool good = true;
    frame->session_op_count = from->n_session_ops;
    frame->session_ops = arena_alloc(arena, from->n_session_ops * sizeof frame->session_ops[0]);
    for (size_t i = 0; good && i < from->n_session_ops; i++)
        good = read_session_op(from->session_ops[i], arena, frame, &frame->session_ops[i]);
    return good;
}

static void read_batches(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                         struct worker_frame *frame)
{
    frame->batch_count = from->n_batches;
    frame->batches = arena_alloc(arena, from->n_batches * sizeof frame->batches[0]);
    for (size_t i = 0; i < from->n_batches; i++)
        frame->batches[i] = (struct worker_batch){.call_ids = from->batches[i]->call_ids,
                                                  .count = from->batches[i]->n_call_ids};
}

static void read_answers(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                         struct worker_frame *frame)
{
    frame->answer_count = from->n_results + from->n_failures;
    frame->answers = arena_alloc(arena, frame->answer_count * sizeof frame->answers[0]);
    for (size_t i = 0; i < from->n_results; i++) {
        struct worker_answer *answer = &frame->answers[i];
        *answer = from_result(from->results[i]);
        if (from->results[i]->parcel)
            expect(frame, from->results[i]->parcel, arena, &answer->body, &answer->lost)->shared =
                &answer->shared;
    }
    for (size_t i = 0; i < from->n_failures; i++)
        frame->answers[from->n_results + i] = from_failure(from->failures[i]);
}

static bool read_emissions(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                           struct worker_frame *frame)
{
    bool good = true;
    frame->emission_count = from->n_emissions;
    frame->emissions = arena_alloc(arena, from->n_emissions * sizeof frame->emissions[0]);
    for (size_t i = 0; good && i < from->n_emissions; i++)
        good = read_emission(from->emissions[i], arena, frame, &frame->emissions[i]);
    return good;
}

static void read_transfer(const Snakepit__Bridge__V1__Transfer *from, struct arena *arena,
                          struct worker_frame *frame)
{
    frame->taken = from->taken;
    frame->dropped = from->dropped;
    frame->dropped_count = from->n_dropped;
    frame->part_count = from->n_parts;
    frame->parts = arena_alloc(arena, from->n_parts * sizeof frame->parts[0]);
    for (size_t i = 0; i < from->n_parts; i++)
        frame->parts[i] = (struct part){.id = from->parts[i]->id,
                                        .size = from->parts[i]->size,
                                        .data = from_data(from->parts[i]->data)};
}

static struct telemetry_batch *read_telemetry(const Snakepit__Bridge__V1__WorkerFrame *from,
                                              struct arena *arena)
{
    if (from->n_events + from->n_spans + from->telemetry_dropped == 0)
        return NULL;
    struct telemetry_batch *batch = arena_alloc(arena, sizeof *batch);
    telemetry_read(from, arena, batch);
    return batch;
}

bool frame_read(struct bytes data, struct arena *arena, struct worker_frame *out_frame)
{
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = arena};
    const Snakepit__Bridge__V1__WorkerFrame *frame = snakepit__bridge__v1__worker_frame__unpack(
        &allocator, data.len, (const uint8_t *)data.data);
    if (!frame)
        return false;
    *out_frame = (struct worker_frame){
        .hello = frame->hello ? read_hello(frame->hello, arena) : NULL,
        .pong = frame->state ? frame->state->sequence : 0,
        .recycle = frame->state && frame->state->recycle,
        .loaded = frame->state ? read_labels(frame->state, arena) : NULL,
        .loaded_count = frame->state ? frame->state->n_loaded : 0,
        .telemetry = read_telemetry(frame, arena),
    };
    if (frame->transfer)
        read_transfer(frame->transfer, arena, out_frame);
    read_batches(frame, arena, out_frame);
    read_answers(frame, arena, out_frame);
    read_tool_calls(frame, arena, out_frame);
    return read_emissions(frame, arena, out_frame) && read_session_ops(frame, arena, out_frame);
}
