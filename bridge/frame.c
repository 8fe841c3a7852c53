#include "bridge/frame.h"

#include "bridge/wire.h"

#include "snakepit/bridge/v1/bridge.pb-c.h"

/* Invoke, Cancel, Credit and the replies are written by hand: they are sent for every call, and
 * protobuf-c wants C strings where we have spans. Everything else goes through protobuf-c. */

/* Those of Invoke, in any order. */
enum {
    INVOKE_FIELDS = 9,
    INVOKE_TIMEOUT = 6,
    INVOKE_CALL_ID = 1,
    INVOKE_CREDIT = 11,
    INVOKE_SESSION_BEGINS = 12,
    INVOKE_PARCEL = 13,
    INVOKE_SESSION_NUMBER = 15
};
enum { ENDED_SESSIONS = 16, ONLY_INVOKES = 2 };

static void invoke_fields(const struct call *call, bool ahead, struct wire_field *out_fields)
{
    const struct wire_field fields[INVOKE_FIELDS] = {
        {2, call->tool->spec.name}, {3, ahead ? (struct bytes){0} : call->args},
        {4, call->content_type},    {5, call->session_id},
        {7, call->request_id},      {8, call->correlation_id},
        {9, call->traceparent},     {10, call->tracestate},
        {14, call->metadata},
    };
    memcpy(out_fields, fields, sizeof fields);
}

enum { PARCEL_WIRE_MAX = 2 + 3 * (1 + VARINT_MAX) };

static size_t parcel_inner_size(const struct parcel *parcel)
{
    return number_size(parcel->offset) + number_size(parcel->size) + number_size(parcel->id);
}

static size_t parcel_size(const struct parcel *parcel)
{
    return parcel->id ? 2 + parcel_inner_size(parcel) : 0;
}

static char *put_parcel(char *at, unsigned field, const struct parcel *parcel)
{
    if (!parcel->id)
        return at;
    *at++ = (char)(field << 3 | WIRE_BYTES);
    *at++ = (char)parcel_inner_size(parcel); /* three numbers: always one byte */
    at = put_number(put_number(at, 1, parcel->offset), 2, parcel->size);
    return put_number(at, 3, parcel->id);
}

static char *open_message(struct buffer *frame, unsigned field, size_t size)
{
    if (!buffer_reserve(frame, size + 1 + VARINT_MAX))
        return NULL;
    char *at = frame->data + frame->len;
    *at++ = (char)(field << 3 | WIRE_BYTES);
    return put_varint(at, size);
}

size_t frame_invoke_size(const struct call *call, bool ahead)
{
    struct wire_field fields[INVOKE_FIELDS];
    size_t size = 7 + 6 * VARINT_MAX + 1 + PARCEL_WIRE_MAX;
    invoke_fields(call, ahead, fields);
    return size + fields_size(fields, INVOKE_FIELDS);
}

void frame_add_invoke(struct buffer *frame, uint64_t call_id, const struct call *call,
                      const struct parcel *parcel, uint64_t remaining_us, bool session_begins)
{
    struct wire_field fields[INVOKE_FIELDS];
    uint64_t timeout_ms = (remaining_us + 999) / 1000;
    size_t size = number_size(call_id) + number_size(timeout_ms) + number_size(call->window) +
                  number_size(session_begins) + number_size(call->session_number) +
                  parcel_size(parcel);
    invoke_fields(call, parcel->id, fields);
    size += fields_size(fields, INVOKE_FIELDS);
    char *at = open_message(frame, 10, size);
    if (!at)
        return;
    at = put_number(at, INVOKE_CALL_ID, call_id);
    at = put_fields(at, fields, INVOKE_FIELDS);
    at = put_number(at, INVOKE_TIMEOUT, timeout_ms);
    at = put_number(at, INVOKE_CREDIT, call->window);
    at = put_number(at, INVOKE_SESSION_BEGINS, session_begins);
    at = put_parcel(at, INVOKE_PARCEL, parcel);
    at = put_number(at, INVOKE_SESSION_NUMBER, call->session_number);
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

void frame_add_cancel(struct buffer *frame, uint64_t call_id, bool recall)
{
    char *at = open_message(frame, 11, number_size(call_id) + number_size(recall));
    if (at)
        frame->len = (size_t)(put_number(put_number(at, 1, call_id), 2, recall) - frame->data);
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
    return size + (reply->parcel.id ? parcel_size(&reply->parcel) : bytes_size(reply->body)) +
           bytes_size(reply->content_type);
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
        if (!reply->parcel.id)
            at = put_bytes(at, 2, reply->body);
        at = put_bytes(at, 3, reply->content_type);
        at = put_parcel(at, 5, &reply->parcel);
    }
    frame->len = (size_t)(at - frame->data);
}

static const struct parcel no_parcel;

static const struct parcel *parcel_of(const struct session_reply *reply, size_t index)
{
    return reply->parcels ? &reply->parcels[index] : &no_parcel;
}

/* The members of a Variable, in the order of their field numbers. */
enum {
    VARIABLE_FIELDS = 4,
    VARIABLE_VERSION = 4,
    VARIABLE_PARCEL = 6,
    REPLY_VARIABLES = 6,
    REPLY_REVISION = 7
};

static void variable_fields(const struct variable *variable, bool ahead,
                            struct wire_field *out_fields)
{
    bool whole = variable->value.len > 0;
    const struct wire_field fields[VARIABLE_FIELDS] = {
        {1, variable->name},
        {2, ahead ? (struct bytes){0} : variable->value},
        {3, bytes_of(whole ? variable_type_name(variable->type) : "")},
        {5, variable->constraints},
    };
    memcpy(out_fields, fields, sizeof fields);
}

static size_t variable_wire_size(const struct variable *variable, const struct parcel *parcel)
{
    struct wire_field fields[VARIABLE_FIELDS];
    size_t size = number_size(variable->version) + parcel_size(parcel);
    variable_fields(variable, parcel->id, fields);
    return size + fields_size(fields, VARIABLE_FIELDS);
}

static char *put_variable(char *at, const struct variable *variable, const struct parcel *parcel)
{
    struct wire_field fields[VARIABLE_FIELDS];
    variable_fields(variable, parcel->id, fields);
    *at++ = (char)(REPLY_VARIABLES << 3 | WIRE_BYTES);
    at = put_varint(at, variable_wire_size(variable, parcel));
    at = put_fields(at, fields, VARIABLE_FIELDS);
    at = put_number(at, VARIABLE_VERSION, variable->version);
    return put_parcel(at, VARIABLE_PARCEL, parcel);
}

static size_t session_reply_size(const struct session_reply *reply)
{
    size_t size = number_size(reply->id) + bytes_size(bytes_of(reply->code)) +
                  bytes_size(bytes_of(reply->detail)) + bytes_size(reply->name) +
                  number_size(reply->version) + number_size(reply->revision);
    for (size_t i = 0; i < reply->count; i++) {
        size_t inner = variable_wire_size(&reply->variables[i], parcel_of(reply, i));
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
            at = put_variable(at, &reply->variables[i], parcel_of(reply, i));
    }
    frame->len = (size_t)(put_number(at, REPLY_REVISION, reply->revision) - frame->data);
}

void frame_add_invalidation(struct buffer *frame, uint64_t session, uint64_t revision)
{
    char *at = open_message(frame, 15, number_size(session) + number_size(revision));
    if (at)
        frame->len = (size_t)(put_number(put_number(at, 2, revision), 3, session) - frame->data);
}

/* The members of a Transfer, and of a Part. */
enum { TRANSFER = 9, TRANSFER_PARTS = 1, TRANSFER_TAKEN, TRANSFER_DROPPED };
enum { PART_ID = 1, PART_SIZE, PART_DATA };

void frame_add_part(struct buffer *frame, const struct part *part)
{
    size_t size = number_size(part->id) + number_size(part->size) + bytes_size(part->data);
    char *at = open_message(frame, TRANSFER, 1 + varint_size(size) + size);
    if (!at)
        return;
    *at++ = (char)(TRANSFER_PARTS << 3 | WIRE_BYTES);
    at = put_varint(at, size);
    at = put_number(at, PART_ID, part->id);
    at = put_number(at, PART_SIZE, part->size);
    frame->len = (size_t)(put_bytes(at, PART_DATA, part->data) - frame->data);
}

static void add_transfer_number(struct buffer *frame, unsigned field, uint64_t number)
{
    char *at = open_message(frame, TRANSFER, number_size(number));
    if (at)
        frame->len = (size_t)(put_number(at, field, number) - frame->data);
}

void frame_add_taken(struct buffer *frame, uint64_t bytes)
{
    add_transfer_number(frame, TRANSFER_TAKEN, bytes);
}

void frame_add_dropped(struct buffer *frame, uint64_t parcel_id)
{
    add_transfer_number(frame, TRANSFER_DROPPED, parcel_id);
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
