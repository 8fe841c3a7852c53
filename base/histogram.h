/* Counts of observations by size, for Prometheus. */
#ifndef SNAKEPIT_BASE_HISTOGRAM_H
#define SNAKEPIT_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_MAX_BOUNDS = 24 };

/* Embedded by its owner, who is also its lock: one thread, or whoever holds the owner's mutex.
 * Copying the struct is a snapshot. */
struct histogram {
    const double
        *bounds; /* borrowed, lives as long as the process; inclusive upper bounds, ascending */
    size_t bound_count;
    uint64_t
        counts[HISTOGRAM_MAX_BOUNDS + 1]; /* of each bucket alone; the last is above all bounds */
    double sum;
};

/* Aborts when there are more bounds than HISTOGRAM_MAX_BOUNDS. Units are those of the bounds. */
void histogram_init(struct histogram *histogram, const double *bounds, size_t bound_count);

/* NaN is not counted. */
void histogram_observe(struct histogram *histogram, double value);

/* Adds what `other` has seen; aborts when its bounds are not the same array. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* Observations in all. */
uint64_t histogram_total(const struct histogram *histogram);

#endif
