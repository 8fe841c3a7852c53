#include "bridge/frame.h"

#include "../base/run.h"

#include "base/mem.h"
#include "snakepit/bridge/v1/bridge.pb-c.h"

#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct telemetry_batch *batch;

static void set_up(void)
{
    arena = arena_new(0);
    batch = NULL;
}

static void tear_down(void)
{
    arena_unref(&arena);
}

static ProtobufCBinaryData data_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(size_t)text};
}

/* What the gateway reads of a frame with this. */
static void send(Snakepit__Bridge__V1__Event *event, Snakepit__Bridge__V1__Span *span)
{
    Snakepit__Bridge__V1__WorkerFrame message = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    struct worker_frame read;
    message.events = &event;
    message.n_events = event != NULL;
    message.spans = &span;
    message.n_spans = span != NULL;
    size_t size = snakepit__bridge__v1__worker_frame__get_packed_size(&message);
    uint8_t *packed = arena_alloc(arena, size + 1);
    snakepit__bridge__v1__worker_frame__pack(&message, packed);
    ck_assert(frame_read(bytes_from(packed, size), arena, &read));
    batch = read.telemetry;
}

static Snakepit__Bridge__V1__Origin good_origin(void)
{
    Snakepit__Bridge__V1__Origin origin;
    snakepit__bridge__v1__origin__init(&origin);
    origin.request_id = (char *)(size_t) "r";
    origin.correlation_id = (char *)(size_t) "c";
    origin.trace_id = data_of("0123456789abcdef");
    origin.span_id = data_of("01234567");
    return origin;
}

static Snakepit__Bridge__V1__Span good_span(Snakepit__Bridge__V1__Origin *origin)
{
    Snakepit__Bridge__V1__Span span;
    snakepit__bridge__v1__span__init(&span);
    span.origin = origin;
    span.name = (char *)(size_t) "load";
    span.start_ns = 5;
    span.end_ns = 9;
    span.attributes = data_of("{\"a\":1}");
    return span;
}

START_TEST(an_event_is_read)
{
    Snakepit__Bridge__V1__Origin origin = good_origin();
    Snakepit__Bridge__V1__Event event;
    snakepit__bridge__v1__event__init(&event);
    event.origin = &origin;
    event.name = (char *)(size_t) "loaded";
    event.time_ns = 7;
    event.measurements = data_of("{\"n\":1}");
    send(&event, NULL);
    ck_assert_uint_eq(batch->event_count, 1);
    const struct telemetry_event *read = &batch->events[0];
    ck_assert(bytes_equal(read->name, BYTES("loaded")));
    ck_assert(bytes_equal(read->origin.request_id, BYTES("r")));
    ck_assert(bytes_equal(read->origin.correlation_id, BYTES("c")));
    ck_assert(bytes_equal(read->measurements, BYTES("{\"n\":1}")));
    ck_assert(bytes_equal(read->metadata, BYTES("{}")));
    ck_assert_uint_eq(batch->broken, 0);
}
END_TEST

START_TEST(a_span_is_read)
{
    Snakepit__Bridge__V1__Origin origin = good_origin();
    Snakepit__Bridge__V1__Span span = good_span(&origin);
    span.parent_id = data_of("76543210");
    span.error = (char *)(size_t) "ValueError";
    send(NULL, &span);
    ck_assert_uint_eq(batch->span_count, 1);
    const struct telemetry_span *read = &batch->spans[0];
    ck_assert(bytes_equal(read->origin.trace_id, BYTES("0123456789abcdef")));
    ck_assert(bytes_equal(read->origin.span_id, BYTES("01234567")));
    ck_assert(bytes_equal(read->parent_id, BYTES("76543210")));
    ck_assert(bytes_equal(read->attributes, BYTES("{\"a\":1}")));
    ck_assert(bytes_equal(read->error, BYTES("ValueError")));
    ck_assert_uint_eq(read->end_ns - read->start_ns, 4);
}
END_TEST

START_TEST(an_event_may_come_from_nowhere)
{
    Snakepit__Bridge__V1__Event event;
    snakepit__bridge__v1__event__init(&event);
    event.name = (char *)(size_t) "idle";
    send(&event, NULL);
    ck_assert_uint_eq(batch->event_count, 1);
    ck_assert_uint_eq(batch->events[0].origin.trace_id.len, 0);
}
END_TEST

/* Each change makes a good span one that is left out and counted. */
static void no_name(Snakepit__Bridge__V1__Span *span)
{
    span->name = (char *)(size_t) "";
}

static void short_trace(Snakepit__Bridge__V1__Span *span)
{
    span->origin->trace_id = data_of("0123");
}

static void no_trace(Snakepit__Bridge__V1__Span *span)
{
    span->origin->trace_id.len = 0;
}

static void no_id(Snakepit__Bridge__V1__Span *span)
{
    span->origin->span_id.len = 0;
}

static void long_parent(Snakepit__Bridge__V1__Span *span)
{
    span->parent_id = data_of("012345678");
}

static void backwards(Snakepit__Bridge__V1__Span *span)
{
    span->end_ns = span->start_ns - 1;
}

static void broken_attributes(Snakepit__Bridge__V1__Span *span)
{
    span->attributes = data_of("{\"a\":}");
}

static void list_of_attributes(Snakepit__Bridge__V1__Span *span)
{
    span->attributes = data_of("[]");
}

static void much(Snakepit__Bridge__V1__Span *span)
{
    char *text = arena_alloc(arena, TELEMETRY_TEXT_MAX + 2);
    memset(text, ' ', TELEMETRY_TEXT_MAX + 1);
    memcpy(text, "{}", 2);
    text[TELEMETRY_TEXT_MAX + 1] = '\0';
    span->attributes = data_of(text);
}

START_TEST(a_malformed_span_is_left_out_and_counted)
{
    static void (*const changes[])(Snakepit__Bridge__V1__Span *) = {
        no_name,   short_trace,       no_trace,           no_id, long_parent,
        backwards, broken_attributes, list_of_attributes, much};
    Snakepit__Bridge__V1__Origin origin = good_origin();
    Snakepit__Bridge__V1__Span span = good_span(&origin);
    changes[_i](&span);
    send(NULL, &span);
    ck_assert_uint_eq(batch->span_count, 0);
    ck_assert_uint_eq(batch->broken, 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("telemetry");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_event_is_read);
    tcase_add_test(tests, a_span_is_read);
    tcase_add_test(tests, an_event_may_come_from_nowhere);
    tcase_add_loop_test(tests, a_malformed_span_is_left_out_and_counted, 0, 9);
    return run_case(tests, "telemetry");
}
