/* Writes metrics as text, for Prometheus (text format 0.0.4) or as OpenMetrics 1.0.0.
 *
 *     struct metrics_writer writer = {.out = &text, .format = METRICS_OPENMETRICS};
 *     metrics_family(&writer, "snakepit_calls", METRICS_COUNTER, "Calls that have ended.");
 *     metrics_sample(&writer, METRICS_LABELS({"tool", name}, {"outcome", "ok"}), 12);
 *     metrics_end(&writer);
 *
 * Samples follow their family, and a family is written once: that order is the caller's business.
 */
#ifndef SNAKEPIT_BASE_METRICS_H
#define SNAKEPIT_BASE_METRICS_H

#include "base/buffer.h"
#include "base/histogram.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* The caller's; one thread at a time. */
struct metrics_writer {
    struct buffer *out; /* borrowed; without a ceiling */
    enum metrics_format format;
    enum metrics_type type; /* of the family begun last */
    const char *name;
};

/* A name as Prometheus wants it, and any text: it is escaped, and what is not UTF-8 becomes U+FFFD.
 */
struct metrics_label {
    const char *name; /* NULL ends the list */
    const char *value;
};

#define METRICS_LABELS(...) ((const struct metrics_label[]){__VA_ARGS__, {NULL, NULL}})

/* Begins a family. `name` is borrowed until the next one; a counter's has no "_total", which is
 * added to samples, and in the Prometheus format to the family too. */
void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_type type,
                    const char *help);

/* One sample of a counter or gauge. `labels` may be NULL. */
void metrics_sample(struct metrics_writer *writer, const struct metrics_label *labels,
                    double value);

/* All buckets, the sum and the count of one histogram. `labels` may be NULL. */
void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       const struct histogram *histogram);

/* After the last family. */
void metrics_end(struct metrics_writer *writer);

#endif
