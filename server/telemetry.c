#include "server/telemetry.h"

#include "base/log.h"
#include "base/mem.h"
#include "server/tally.h"

#include <stdlib.h>

enum { SINKS = 2 };

struct telemetry {
    struct tally *tally;
    struct telemetry_sink sinks[SINKS];
};

/* --- the log --- */

enum { HEX_MAX = 2 * TRACE_ID_BYTES + 1 };

static const char *hex(struct bytes id, char room[HEX_MAX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < id.len; i++) {
        room[2 * i] = digits[(unsigned char)id.data[i] >> 4];
        room[2 * i + 1] = digits[(unsigned char)id.data[i] & 15];
    }
    room[2 * id.len] = '\0';
    return room;
}

/* Texts of frames end with a zero byte, but those of JSON do not. */
static void log_told_event(void *context, const char *pool, const struct telemetry_event *event)
{
    char trace[HEX_MAX], span[HEX_MAX];
    (void)context;
    if (!log_enabled(LOG_DEBUG))
        return;
    struct arena *arena = arena_new(0);
    log_event(
        LOG_DEBUG, "telemetry event", LOG_STR("name", event->name.data), LOG_STR("pool", pool),
        LOG_STR("request_id", arena_string(arena, event->origin.request_id)),
        LOG_STR("correlation_id", arena_string(arena, event->origin.correlation_id)),
        LOG_STR("trace_id", hex(event->origin.trace_id, trace)),
        LOG_STR("span_id", hex(event->origin.span_id, span)), LOG_INT("time_ns", event->time_ns),
        LOG_STR("measurements", arena_string(arena, event->measurements)),
        LOG_STR("metadata", arena_string(arena, event->metadata)), LOG_END);
    arena_unref(&arena);
}

static void log_told_span(void *context, const char *pool, const struct telemetry_span *told)
{
    char trace[HEX_MAX], span[HEX_MAX], parent[HEX_MAX];
    (void)context;
    if (!log_enabled(LOG_DEBUG))
        return;
    struct arena *arena = arena_new(0);
    log_event(LOG_DEBUG, "telemetry span", LOG_STR("name", told->name.data), LOG_STR("pool", pool),
              LOG_STR("request_id", arena_string(arena, told->origin.request_id)),
              LOG_STR("correlation_id", arena_string(arena, told->origin.correlation_id)),
              LOG_STR("trace_id", hex(told->origin.trace_id, trace)),
              LOG_STR("span_id", hex(told->origin.span_id, span)),
              LOG_STR("parent_id", hex(told->parent_id, parent)),
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
