#include "server/http/http_stats.h"

#include "base/mem.h"

#include <stdlib.h>

const double http_bucket_bounds[HTTP_BUCKETS] = {
    .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300};

void http_stats_init(struct http_stats *stats, size_t route_count)
{
    *stats = (struct http_stats){.route_count = route_count};
    stats->routes = mem_array(route_count + 1, sizeof(*stats->routes));
}

void http_stats_deinit(struct http_stats *stats)
{
    free(stats->routes);
    stats->routes = NULL;
}

void http_stats_record(struct http_stats *stats, size_t route, unsigned status,
                       uint64_t duration_us)
{
    struct http_route_stats *row = &stats->routes[route];
    if (status < HTTP_STATUS_FIRST || status >= HTTP_STATUS_END)
        status = HTTP_STATUS_END - 1;
    unsigned bucket = 0;
    while (bucket < HTTP_BUCKETS && (double)duration_us > http_bucket_bounds[bucket] * 1e6)
        bucket++;
    http_stats_add(&row->by_status[status - HTTP_STATUS_FIRST], 1);
    http_stats_add(&row->buckets[bucket], 1);
    http_stats_add(&row->duration_us, duration_us);
}
