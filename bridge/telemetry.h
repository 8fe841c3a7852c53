/* What tools tell of themselves beside their answers: events and spans, see bridge.proto. */
#ifndef SNAKEPIT_BRIDGE_TELEMETRY_H
#define SNAKEPIT_BRIDGE_TELEMETRY_H

#include "base/arena.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TELEMETRY_NAME_MAX = 512,  /* bytes; so are these: */
    TELEMETRY_TEXT_MAX = 4096, /* of JSON, and of messages */
    TRACE_ID_BYTES = 16,
    SPAN_ID_BYTES = 8
};

/* Where it comes from; texts may be empty. */
struct telemetry_origin {
    struct bytes request_id;
    struct bytes correlation_id;
    struct bytes trace_id; /* TRACE_ID_BYTES, or empty */
    struct bytes span_id;  /* SPAN_ID_BYTES, or empty; never of a span */
};

struct telemetry_event {
    struct telemetry_origin origin;
    struct bytes name;
    uint64_t time_ns;          /* of the epoch */
    struct bytes measurements; /* a JSON object */
    struct bytes metadata;     /* likewise */
};

struct telemetry_span {
    struct telemetry_origin origin;
    struct bytes name;
    uint64_t start_ns;       /* of the epoch */
    uint64_t end_ns;         /* not before that */
    struct bytes parent_id;  /* SPAN_ID_BYTES, or empty */
    struct bytes attributes; /* a JSON object */
    struct bytes error;      /* class of an exception, or empty: it went well */
    struct bytes message;
};

/* Those of one frame, checked. */
struct telemetry_batch {
    struct telemetry_event *events;
    size_t event_count;
    struct telemetry_span *spans;
    size_t span_count;
    uint64_t dropped; /* that the worker had no room for */
    uint64_t broken;  /* that were not as they should be, and are left out */
};

struct Snakepit__Bridge__V1__WorkerFrame;

/* Reads those of an unpacked frame; the arrays lie in the arena, the texts where they were. */
void telemetry_read(const struct Snakepit__Bridge__V1__WorkerFrame *frame, struct arena *arena,
                    struct telemetry_batch *out_batch);

#endif
