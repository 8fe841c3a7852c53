#include "bridge/telemetry.h"

#include "base/json.h"
#include "snakepit/bridge/v1/bridge.pb-c.h"

static struct bytes from_data(ProtobufCBinaryData data)
{
    return bytes_from(data.data, data.len);
}

/* A JSON object, {} for want of one. */
static bool read_object(ProtobufCBinaryData data, struct bytes *out_text)
{
    struct json_value value;
    *out_text = data.len ? from_data(data) : BYTES("{}");
    return data.len <= TELEMETRY_TEXT_MAX && json_check(*out_text, JSON_MAX_DEPTH, &value, NULL) &&
           value.type == JSON_TYPE_OBJECT;
}

static bool is_id(struct bytes id, size_t size)
{
    return id.len == 0 || id.len == size;
}

static bool is_name(struct bytes name)
{
    return name.len > 0 && name.len <= TELEMETRY_NAME_MAX;
}

static bool read_origin(const Snakepit__Bridge__V1__Origin *from,
                        struct telemetry_origin *out_origin)
{
    *out_origin = (struct telemetry_origin){0};
    if (!from)
        return true;
    out_origin->request_id = bytes_of(from->request_id);
    out_origin->correlation_id = bytes_of(from->correlation_id);
    out_origin->trace_id = from_data(from->trace_id);
    out_origin->span_id = from_data(from->span_id);
    return out_origin->request_id.len <= TELEMETRY_TEXT_MAX &&
           out_origin->correlation_id.len <= TELEMETRY_TEXT_MAX &&
           is_id(out_origin->trace_id, TRACE_ID_BYTES) && is_id(out_origin->span_id, SPAN_ID_BYTES);
}

static bool read_event(const Snakepit__Bridge__V1__Event *from, struct telemetry_event *out_event)
{
    out_event->name = bytes_of(from->name);
    out_event->time_ns = from->time_ns;
    return is_name(out_event->name) && read_origin(from->origin, &out_event->origin) &&
           read_object(from->measurements, &out_event->measurements) &&
           read_object(from->metadata, &out_event->metadata);
}

static bool read_span(const Snakepit__Bridge__V1__Span *from, struct telemetry_span *out_span)
{
    out_span->name = bytes_of(from->name);
    out_span->start_ns = from->start_ns;
    out_span->end_ns = from->end_ns;
    out_span->parent_id = from_data(from->parent_id);
    out_span->error = bytes_of(from->error);
    out_span->message = bytes_of(from->message);
    return is_name(out_span->name) && from->end_ns >= from->start_ns &&
           read_origin(from->origin, &out_span->origin) && out_span->origin.trace_id.len &&
           out_span->origin.span_id.len && is_id(out_span->parent_id, SPAN_ID_BYTES) &&
           out_span->error.len <= TELEMETRY_NAME_MAX &&
           out_span->message.len <= TELEMETRY_TEXT_MAX &&
           read_object(from->attributes, &out_span->attributes);
}

void telemetry_read(const Snakepit__Bridge__V1__WorkerFrame *frame, struct arena *arena,
                    struct telemetry_batch *out_batch)
{
    struct telemetry_batch batch = {.dropped = frame->telemetry_dropped};
    batch.events = arena_alloc(arena, frame->n_events * sizeof batch.events[0]);
    batch.spans = arena_alloc(arena, frame->n_spans * sizeof batch.spans[0]);
    for (size_t i = 0; i < frame->n_events; i++)
        batch.event_count += read_event(frame->events[i], &batch.events[batch.event_count]);
    for (size_t i = 0; i < frame->n_spans; i++)
        batch.span_count += read_span(frame->spans[i], &batch.spans[batch.span_count]);
    batch.broken = frame->n_events - batch.event_count + frame->n_spans - batch.span_count;
    *out_batch = batch;
}
