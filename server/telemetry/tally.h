/* A tally of the events and spans that tools tell of, by pool and name, for /metrics. Names are the
 * tools' own, so only so many are told apart; the others share one. A monitor; any thread. */
#ifndef SNAKEPIT_SERVER_TELEMETRY_TALLY_H
#define SNAKEPIT_SERVER_TELEMETRY_TALLY_H

#include "base/metrics.h"
#include "server/telemetry/sink.h"

struct tally;

/* `names`: of events and spans in all pools together, that are told apart. Returns owned. */
struct tally *tally_new(unsigned names) __attribute__((returns_nonnull));

/* Clears the pointer, accepts NULL inside. */
void tally_free(struct tally **tally);

/* Counts what it is given. */
struct telemetry_sink tally_sink(struct tally *tally);

/* Counts what has not come: workers had no room for it, or it was not as it should be. */
void tally_lost(struct tally *tally, uint64_t dropped, uint64_t broken);

/* Adds the families of all of it. */
void tally_write(struct tally *tally, struct metrics_writer *writer);

#endif
