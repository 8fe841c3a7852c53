#include "base/histogram.h"

#include <math.h>
#include <stdlib.h>

void histogram_init(struct histogram *histogram, const double *bounds, size_t bound_count)
{
    if (bound_count > HISTOGRAM_MAX_BOUNDS)
        abort();
    *histogram = (struct histogram){.bounds = bounds, .bound_count = bound_count};
}

void histogram_observe(struct histogram *histogram, double value)
{
    if (isnan(value))
        return;
    size_t bucket = 0;
    while (bucket < histogram->bound_count && value > histogram->bounds[bucket])
        bucket++;
    histogram->counts[bucket]++;
    histogram->sum += value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    if (histogram->bounds != other->bounds || histogram->bound_count != other->bound_count)
        abort();
    for (size_t i = 0; i <= other->bound_count; i++)
        histogram->counts[i] += other->counts[i];
    histogram->sum += other->sum;
}

uint64_t histogram_total(const struct histogram *histogram)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++)
        total += histogram->counts[i];
    return total;
}
