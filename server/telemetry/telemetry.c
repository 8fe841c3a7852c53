#include "server/telemetry/telemetry.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/telemetry/tally.h"
#include "server/telemetry/trace.h"

#include <stdlib.h>

enum { SINKS = 2 };

struct telemetry {
    struct tally *tally;
    struct telemetry_sink sinks[SINKS];
};

/* --- the log --- */

/* Texts of frames end with a zero byte, but those of JSON do not. */
static void log_told_event(void *context, const char *pool, const struct telemetry_event *event)
{
    char trace[TRACE_HEX_MAX], span[TRACE_HEX_MAX];
    (void)context;
    if (!log_enabled(LOG_DEBUG))
        return;
    struct arena *arena = arena_new(0);
    log_event(LOG_DEBUG, "telemetry event", LOG_STR("name", event->name.data),
              LOG_STR("pool", pool),
              LOG_STR("request_id", arena_string(arena, event->origin.request_id)),
              LOG_STR("correlation_id", arena_string(arena, event->origin.correlation_id)),
              LOG_STR("trace_id", trace_hex(event->origin.trace_id, trace)),
              LOG_STR("span_id", trace_hex(event->origin.span_id, span)),
              LOG_INT("time_ns", event->time_ns),
              LOG_STR("measurements", arena_string(arena, event->measurements)),
              LOG_STR("metadata", arena_string(arena, event->metadata)), LOG_END);
    arena_unref(&arena);
}

static void log_told_span(void *context, const char *pool, const struct telemetry_span *told)
{
    char trace[TRACE_HEX_MAX], span[TRACE_HEX_MAX], parent[TRACE_HEX_MAX];
    (void)context;
    if (!log_enabled(LOG_DEBUG))
        return;
    struct arena *arena = arena_new(0);
    log_event(LOG_DEBUG, "telemetry span", LOG_STR("name", told->name.data), LOG_STR("pool", pool),
              LOG_STR("request_id", arena_string(arena, told->origin.request_id)),
              LOG_STR("correlation_id", arena_string(arena, told->origin.correlation_id)),
              LOG_STR("trace_id", trace_hex(told->origin.trace_id, trace)),
              LOG_STR("span_id", trace_hex(told->origin.span_id, span)),
              LOG_STR("parent_id", trace_hex(told->parent_id, parent)),
              LOG_INT("start_ns", told->start_ns),
              LOG_INT("duration_ns", told->end_ns - told->start_ns),
              LOG_STR("error", arena_string(arena, told->error)),
              LOG_STR("message", arena_string(arena, told->message)),
              LOG_STR("attributes", arena_string(arena, told->attributes)), LOG_END);
    arena_unref(&arena);
}

/* --- for all --- */

struct telemetry *telemetry_new(unsigned names)
{
    struct telemetry *telemetry = MEM_NEW(struct telemetry);
    telemetry->tally = tally_new(names);
    telemetry->sinks[0] = tally_sink(telemetry->tally);
    telemetry->sinks[1] = (struct telemetry_sink){.event = log_told_event, .span = log_told_span};
    return telemetry;
}

void telemetry_free(struct telemetry **telemetry)
{
    struct telemetry *gone = *telemetry;
    *telemetry = NULL;
    if (gone)
        tally_free(&gone->tally);
    free(gone);
}

void telemetry_take(struct telemetry *telemetry, const char *pool,
                    const struct telemetry_batch *batch)
{
    tally_lost(telemetry->tally, batch->dropped, batch->broken);
    for (unsigned i = 0; i < SINKS; i++) {
        const struct telemetry_sink *sink = &telemetry->sinks[i];
        for (size_t j = 0; j < batch->event_count; j++)
            sink->event(sink->context, pool, &batch->events[j]);
        for (size_t j = 0; j < batch->span_count; j++)
            sink->span(sink->context, pool, &batch->spans[j]);
    }
}

struct tally *telemetry_tally(struct telemetry *telemetry)
{
    return telemetry->tally;
}
