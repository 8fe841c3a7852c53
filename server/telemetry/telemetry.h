/* Telemetry: where the events and spans go that tools tell of. Each sink gets them all, on the
 * bridge thread that read them: the counts that /metrics shows (tally.h), and the log at level
 * "debug". An exporter of spans is one more sink (sink.h). */
#ifndef SNAKEPIT_SERVER_TELEMETRY_TELEMETRY_H
#define SNAKEPIT_SERVER_TELEMETRY_TELEMETRY_H

#include "bridge/telemetry.h"

struct tally;
struct telemetry;

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
