#include "bridge/frame.h"

#include "snakepit/bridge/v1/bridge.pb-c.h"

/* Invoke, Cancel, Credit and the replies are written by hand: they are sent for every call, and
 * protobuf-c wants C strings where we have spans. Everything else goes through protobuf-c. */

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, VARINT_MAX = 10 };

static char *put_varint(char *at, uint64_t value)
{
    while (value > 0x7f) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

/* proto3 leaves out what is zero or empty. Field numbers below 16 take one byte. */
static char *put_number(char *at, unsigned field, uint64_t value)
{
    if (value == 0)
        return at;
    *at++ = (char)(field << 3 | WIRE_VARINT);
    return put_varint(at, value);
}

static char *put_bytes(char *at, unsigned field, struct bytes value)
{
    if (value.len == 0)
        return at;
    *at++ = (char)(field << 3 | WIRE_BYTES);
    at = put_varint(at, value.len);
    memcpy(at, value.data, value.len);
    return at + value.len;
}

/* Bytes of a varint, from the number of its significant bits. */
static size_t varint_size(uint64_t value)
{
    return (size_t)(64 - __builtin_clzll(value | 1) + 6) / 7;
}

static size_t number_size(uint64_t value)
{
    return value ? 1 + varint_size(value) : 0;
}

static size_t bytes_size(struct bytes value)
{
    return value.len ? 1 + varint_size(value.len) + value.len : 0;
}

/* A member that is text or bytes. */
struct wire_field {
    unsigned number;
    struct bytes value;
};

static size_t fields_size(const struct wire_field *fields, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += bytes_size(fields[i].value);
    return size;
}

static char *put_fields(char *at, const struct wire_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        at = put_bytes(at, fields[i].number, fields[i].value);
    return at;
}

/* Those of Invoke, in any order. */
enum {
    INVOKE_FIELDS = 9,
    INVOKE_TIMEOUT = 6,
    INVOKE_CALL_ID = 1,
    INVOKE_CREDIT = 11,
    INVOKE_SESSION_BEGINS = 12,
    INVOKE_SHARED = 13
};
enum { ENDED_SESSIONS = 16, ONLY_INVOKES = 2 };

static void invoke_fields(const struct call *call, bool shared, struct wire_field *out_fields)
{
    const struct wire_field fields[INVOKE_FIELDS] = {
        {2, call->tool->spec.name}, {3, shared ? (struct bytes){0} : call->args},
        {4, call->content_type},    {5, call->session_id},
        {7, call->request_id},      {8, call->correlation_id},
        {9, call->traceparent},     {10, call->tracestate},
        {14, call->metadata},
    };
    memcpy(out_fields, fields, sizeof fields);
}

static char *open_message(struct buffer *frame, unsigned field, size_t size)
{
    if (!buffer_reserve(frame, size + 1 + VARINT_MAX))
        return NULL;
    char *at = frame->data + frame->len;
    *at++ = (char)(field << 3 | WIRE_BYTES);
    return put_varint(at, size);
}

size_t frame_invoke_size(const struct call *call, bool shared)
{
    struct wire_field fields[INVOKE_FIELDS];
    size_t size = 6 + 5 * VARINT_MAX + 1 + 4 + 2 * VARINT_MAX;
    invoke_fields(call, shared, fields);
    return size + fields_size(fields, INVOKE_FIELDS);
}

/* Where the arguments lie in the memory that went ahead. */
static size_t shared_size(size_t offset, size_t len)
{
    return number_size(offset) + number_size(len);
}

static char *put_shared(char *at, size_t offset, size_t len)
{
    *at++ = (char)(INVOKE_SHARED << 3 | WIRE_BYTES);
    *at++ = (char)shared_size(offset, len); /* two numbers: always one byte */
    return put_number(put_number(at, 1, offset), 2, len);
}

void frame_add_invoke(struct buffer *frame, uint64_t call_id, const struct call *call, bool shared,
                      uint64_t remaining_us, bool session_begins)
{
    struct wire_field fields[INVOKE_FIELDS];
    uint64_t timeout_ms = (remaining_us + 999) / 1000;
    size_t size = number_size(call_id) + number_size(timeout_ms) + number_size(call->window) +
                  number_size(session_begins);
    size_t offset = shared ? (size_t)(call->args.data - call->shared->data) : 0;
    invoke_fields(call, shared, fields);
    size += fields_size(fields, INVOKE_FIELDS);
    if (shared)
        size += 2 + shared_size(offset, call->args.len);
    char *at = open_message(frame, 10, size);
    if (!at)
        return;
    at = put_number(at, INVOKE_CALL_ID, call_id);
    at = put_fields(at, fields, INVOKE_FIELDS);
    at = put_number(at, INVOKE_TIMEOUT, timeout_ms);
    at = put_number(at, INVOKE_CREDIT, call->window);
    at = put_number(at, INVOKE_SESSION_BEGINS, session_begins);
    if (shared)
        at = put_shared(at, offset, call->args.len);
    frame->len = (size_t)(at - frame->data);
}

void frame_mark_only_invokes(struct buffer *frame)
{
    if (buffer_reserve(frame, 1 + VARINT_MAX))
        frame->len = (size_t)(put_number(frame->data + frame->len, ONLY_INVOKES, 1) - frame->data);
}

void frame_add_ended_session(struct buffer *frame, struct bytes id)
{
    if (!buffer_reserve(frame, id.len + 2 * (size_t)VARINT_MAX))
        return;
    char *at = put_varint(frame->data + frame->len, ENDED_SESSIONS << 3 | WIRE_BYTES);
    at = put_varint(at, id.len);
    memcpy(at, id.data, id.len);
    frame->len = (size_t)(at + id.len - frame->data);
}

void frame_add_cancel(struct buffer *frame, uint64_t call_id)
{
    char *at = open_message(frame, 11, number_size(call_id));
    if (at)
        frame->len = (size_t)(put_number(at, 1, call_id) - frame->data);
}

void frame_add_credit(struct buffer *frame, uint64_t call_id, uint64_t bytes)
{
    char *at = open_message(frame, 12, number_size(call_id) + number_size(bytes));
    if (at)
        frame->len = (size_t)(put_number(put_number(at, 1, call_id), 2, bytes) - frame->data);
}

/* The members of a reply's Failure, in the order of their field numbers. */
enum { FAILURE_FIELDS = 6, FAILURE_STATUS = 6, REPLY_FAILURE = 4 };

static void failure_fields(const struct call_failure *failure, struct wire_field *out_fields)
{
    const struct wire_field fields[FAILURE_FIELDS] = {
        {2, failure->type},    {3, failure->message}, {4, failure->traceback},
        {5, failure->context}, {7, failure->code},    {8, failure->details},
    };
    memcpy(out_fields, fields, sizeof fields);
}

static size_t failure_size(const struct call_failure *failure)
{
    struct wire_field fields[FAILURE_FIELDS];
    size_t size = number_size(failure->status);
    failure_fields(failure, fields);
    return size + fields_size(fields, FAILURE_FIELDS);
}

static char *put_failure(char *at, const struct call_failure *failure)
{
    struct wire_field fields[FAILURE_FIELDS];
    failure_fields(failure, fields);
    *at++ = (char)(REPLY_FAILURE << 3 | WIRE_BYTES);
    at = put_varint(at, failure_size(failure));
    at = put_fields(at, fields, FAILURE_FIELDS);
    return put_number(at, FAILURE_STATUS, failure->status);
}

static size_t reply_size(const struct tool_reply *reply)
{
    size_t size = number_size(reply->id);
    if (reply->failure) {
        size_t inner = failure_size(reply->failure);
        return size + 1 + varint_size(inner) + inner;
    }
    return size + bytes_size(reply->body) + bytes_size(reply->content_type);
}

void frame_add_tool_reply(struct buffer *frame, const struct tool_reply *reply)
{
    char *at = open_message(frame, 13, reply_size(reply));
    if (!at)
        return;
    at = put_number(at, 1, reply->id);
    if (reply->failure) {
        at = put_failure(at, reply->failure);
    } else {
        at = put_bytes(at, 2, reply->body);
        at = put_bytes(at, 3, reply->content_type);
    }
    frame->len = (size_t)(at - frame->data);
}

/* The members of a Variable, in the order of their field numbers. */
enum { VARIABLE_FIELDS = 4, VARIABLE_VERSION = 4, REPLY_VARIABLES = 6, REPLY_REVISION = 7 };

static void variable_fields(const struct variable *variable, struct wire_field *out_fields)
{
    bool whole = variable->value.len > 0;
    const struct wire_field fields[VARIABLE_FIELDS] = {
        {1, variable->name},
        {2, variable->value},
        {3, bytes_of(whole ? variable_type_name(variable->type) : "")},
        {5, variable->constraints},
    };
    memcpy(out_fields, fields, sizeof fields);
}

static size_t variable_wire_size(const struct variable *variable)
{
    struct wire_field fields[VARIABLE_FIELDS];
    size_t size = number_size(variable->version);
    variable_fields(variable, fields);
    return size + fields_size(fields, VARIABLE_FIELDS);
}

static char *put_variable(char *at, const struct variable *variable)
{
    struct wire_field fields[VARIABLE_FIELDS];
    variable_fields(variable, fields);
    *at++ = (char)(REPLY_VARIABLES << 3 | WIRE_BYTES);
    at = put_varint(at, variable_wire_size(variable));
    at = put_fields(at, fields, VARIABLE_FIELDS);
    return put_number(at, VARIABLE_VERSION, variable->version);
}

static size_t session_reply_size(const struct session_reply *reply)
{
    size_t size = number_size(reply->id) + bytes_size(bytes_of(reply->code)) +
                  bytes_size(bytes_of(reply->detail)) + bytes_size(reply->name) +
                  number_size(reply->version) + number_size(reply->revision);
    for (size_t i = 0; i < reply->count; i++) {
        size_t inner = variable_wire_size(&reply->variables[i]);
        size += reply->variables[i].name.len ? 1 + varint_size(inner) + inner : 0;
    }
    return size;
}

void frame_add_session_reply(struct buffer *frame, const struct session_reply *reply)
{
    char *at = open_message(frame, 14, session_reply_size(reply));
    if (!at)
        return;
    at = put_number(at, 1, reply->id);
    at = put_bytes(at, 2, bytes_of(reply->code));
    at = put_bytes(at, 3, bytes_of(reply->detail));
    at = put_bytes(at, 4, reply->name);
    at = put_number(at, 5, reply->version);
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->variables[i].name.len)
            at = put_variable(at, &reply->variables[i]);
    }
    frame->len = (size_t)(put_number(at, REPLY_REVISION, reply->revision) - frame->data);
}

void frame_add_invalidation(struct buffer *frame, struct bytes session_id, uint64_t revision)
{
    char *at = open_message(frame, 15, bytes_size(session_id) + number_size(revision));
    if (at)
        frame->len = (size_t)(put_number(put_bytes(at, 1, session_id), 2, revision) - frame->data);
}

static void add_packed(struct buffer *frame, const Snakepit__Bridge__V1__GatewayFrame *message)
{
    size_t size = snakepit__bridge__v1__gateway_frame__get_packed_size(message);
    if (buffer_reserve(frame, size))
        frame->len +=
            snakepit__bridge__v1__gateway_frame__pack(message, (uint8_t *)frame->data + frame->len);
}

void frame_add_welcome(struct buffer *frame)
{
    Snakepit__Bridge__V1__Welcome welcome = SNAKEPIT__BRIDGE__V1__WELCOME__INIT;
    Snakepit__Bridge__V1__GatewayFrame message = SNAKEPIT__BRIDGE__V1__GATEWAY_FRAME__INIT;
    welcome.protocol_version = BRIDGE_PROTOCOL_VERSION;
    message.welcome = &welcome;
    add_packed(frame, &message);
}

void frame_add_ping(struct buffer *frame, uint64_t sequence)
{
    Snakepit__Bridge__V1__Ping ping = SNAKEPIT__BRIDGE__V1__PING__INIT;
    Snakepit__Bridge__V1__GatewayFrame message = SNAKEPIT__BRIDGE__V1__GATEWAY_FRAME__INIT;
    ping.sequence = sequence;
    message.ping = &ping;
    add_packed(frame, &message);
}

void frame_add_stop(struct buffer *frame, uint64_t grace_us, bool refork)
{
    Snakepit__Bridge__V1__Stop stop = SNAKEPIT__BRIDGE__V1__STOP__INIT;
    Snakepit__Bridge__V1__GatewayFrame message = SNAKEPIT__BRIDGE__V1__GATEWAY_FRAME__INIT;
    stop.grace_ms = grace_us / 1000;
    stop.refork = refork;
    message.stop = &stop;
    add_packed(frame, &message);
}

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

static struct worker_answer from_result(const Snakepit__Bridge__V1__Result *from)
{
    return (struct worker_answer){
        .call_id = from->call_id,
        .started = true,
        .body = from_data(from->body),
        .content_type = bytes_of(from->content_type),
        .shared_size = from->shared ? from->shared->size : 0,
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
                          struct worker_emission *out_emission)
{
    struct bytes *bodies = arena_alloc(arena, from->n_bodies * sizeof bodies[0]);
    for (size_t i = 0; i < from->n_bodies; i++)
        bodies[i] = from_data(from->bodies[i]);
    *out_emission = (struct worker_emission){
        .call_id = from->call_id,
        .emission = {.kind = (enum emission_kind)from->kind,
                     .count = from->n_bodies,
                     .bodies = bodies},
    };
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
        .tool = bytes_of(from->tool),
        .args = from_data(from->args),
        .content_type = bytes_of(from->content_type),
        .timeout_us = from->timeout_ms < UINT64_MAX / 1000 ? from->timeout_ms * 1000 : UINT64_MAX,
        .idempotent = from->idempotent,
        .cancel = from->cancel,
    };
}

static void read_tool_calls(const Snakepit__Bridge__V1__WorkerFrame *from, struct arena *arena,
                            struct worker_frame *frame)
{
    frame->tool_call_count = from->n_tool_calls;
    frame->tool_calls = arena_alloc(arena, from->n_tool_calls * sizeof frame->tool_calls[0]);
    for (size_t i = 0; i < from->n_tool_calls; i++)
        frame->tool_calls[i] = from_tool_call(from->tool_calls[i]);
}

static struct variable_write from_write(const Snakepit__Bridge__V1__VariableWrite *from)
{
    return (struct variable_write){
        .name = bytes_of(from->name),
        .value = from_data(from->value),
        .type = bytes_of(from->type),
        .constraints = from_data(from->constraints),
        .remove = from->remove,
        .expects = from->expects,
        .expected_version = from->expected_version,
    };
}

/* False: of a kind that we do not know. */
static bool read_session_op(const Snakepit__Bridge__V1__SessionOp *from, struct arena *arena,
                            struct session_op *out_op)
{
    struct bytes *names = arena_alloc(arena, from->n_names * sizeof names[0]);
    struct variable_write *writes = arena_alloc(arena, from->n_writes * sizeof writes[0]);
    for (size_t i = 0; i < from->n_names; i++)
        names[i] = bytes_of(from->names[i]);
    for (size_t i = 0; i < from->n_writes; i++)
        writes[i] = from_write(from->writes[i]);
    *out_op = (struct session_op){
        .id = from->id,
        .session_id = bytes_of(from->session_id),
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
        good = read_session_op(from->session_ops[i], arena, &frame->session_ops[i]);
    return good;
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
    size_t count = frame->n_results + frame->n_failures;
    struct worker_answer *answers = arena_alloc(arena, count * sizeof answers[0]);
    for (size_t i = 0; i < frame->n_results; i++)
        answers[i] = from_result(frame->results[i]);
    for (size_t i = 0; i < frame->n_failures; i++)
        answers[frame->n_results + i] = from_failure(frame->failures[i]);
    struct worker_emission *emissions =
        arena_alloc(arena, frame->n_emissions * sizeof emissions[0]);
    for (size_t i = 0; i < frame->n_emissions; i++) {
        if (!read_emission(frame->emissions[i], arena, &emissions[i]))
            return false;
    }
    *out_frame = (struct worker_frame){
        .hello = frame->hello ? read_hello(frame->hello, arena) : NULL,
        .pong = frame->state ? frame->state->sequence : 0,
        .recycle = frame->state && frame->state->recycle,
        .loaded = frame->state ? read_labels(frame->state, arena) : NULL,
        .loaded_count = frame->state ? frame->state->n_loaded : 0,
        .emissions = emissions,
        .emission_count = frame->n_emissions,
        .answers = answers,
        .answer_count = count,
        .telemetry = read_telemetry(frame, arena),
    };
    read_tool_calls(frame, arena, out_frame);
    return read_session_ops(frame, arena, out_frame);
}
