/* Where what tools tell of goes: one of the ways out of telemetry.h. */
#ifndef SNAKEPIT_SERVER_TELEMETRY_SINK_H
#define SNAKEPIT_SERVER_TELEMETRY_SINK_H

#include "bridge/telemetry.h"

/* Any thread, several at once; must not block. `pool`: its name, which lives as long as the
 * process. What it is given is borrowed: who wants to keep a span copies it, into something with a
 * limit. */
struct telemetry_sink {
    void (*event)(void *context, const char *pool, const struct telemetry_event *event);
    void (*span)(void *context, const char *pool, const struct telemetry_span *span);
    void *context;
};

#endif
