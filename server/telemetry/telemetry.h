/* Telemetry: where the events and spans go that tools tell of. Each sink gets them all, on the
 * bridge thread that read them: the counts that /metrics shows (tally.h), and the log at level
 * "debug". An exporter of spans is one more sink. */
#ifndef SNAKEPIT_SERVER_TELEMETRY_TELEMETRY_H
#define SNAKEPIT_SERVER_TELEMETRY_TELEMETRY_H

#include "bridge/telemetry.h"

struct tally;
struct telemetry;

/* Any thread, several at once; must not block. `pool`: its name, which lives as long as the
 * process. What it is given is borrowed: who wants to keep a span copies it, into something with a
 * limit. */
struct telemetry_sink {
    void (*event)(void *context, const char *pool, const struct telemetry_event *event);
    void (*span)(void *context, const char *pool, const struct telemetry_span *span);
    void *context;
};

/* `names`: see tally_new(). Returns owned. */
struct telemetry *telemetry_new(unsigned names) __attribute__((returns_nonnull));

/* Once there are no workers. Clears the pointer, accepts NULL inside. */
void telemetry_free(struct telemetry **telemetry);

/* Gives each of them to all sinks. Any thread. */
void telemetry_take(struct telemetry *telemetry, const char *pool,
                    const struct telemetry_batch *batch);

/* Its counts; borrowed. */
struct tally *telemetry_tally(struct telemetry *telemetry);

#endif
