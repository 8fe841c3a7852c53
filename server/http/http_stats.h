/* What a reactor counts. Written by its thread only, read by scrapes of any thread; no sums across
 * fields are exact. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP_STATS_H
#define SNAKEPIT_SERVER_HTTP_HTTP_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum http_protocol { HTTP_1, HTTP_2, HTTP_PROTOCOLS };

/* Upper bounds of the request duration histogram in seconds; one more bucket is for all above. */
enum { HTTP_BUCKETS = 18 };
extern const double http_bucket_bounds[HTTP_BUCKETS];

enum { HTTP_STATUS_FIRST = 100, HTTP_STATUS_END = 600 };

struct http_route_stats {
    _Atomic uint64_t by_status[HTTP_STATUS_END - HTTP_STATUS_FIRST];
    _Atomic uint64_t buckets[HTTP_BUCKETS + 1]; /* not cumulative */
    _Atomic uint64_t duration_us;               /* sum */
};

struct http_stats {
    _Atomic int64_t connections[HTTP_PROTOCOLS]; /* open now */
    _Atomic int64_t exchanges[HTTP_PROTOCOLS];   /* between begin and end now */
    _Atomic uint64_t accepted;                   /* connections, ever */
    _Atomic uint64_t refused;                    /* connections above the limit, ever */
    size_t route_count;
    struct http_route_stats
        *routes; /* by row of the route table; the last one is for requests without a route */
};

void http_stats_init(struct http_stats *stats, size_t route_count);
void http_stats_deinit(struct http_stats *stats);

/* Counts one finished exchange. `route` is a row number; `status` outside 100 to 599 counts as 599.
 */
void http_stats_record(struct http_stats *stats, size_t route, unsigned status,
                       uint64_t duration_us);

/* For the owning thread: adds without a locked instruction. */
static inline void http_stats_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + amount, memory_order_relaxed);
}

static inline void http_stats_shift(_Atomic int64_t *gauge, int64_t amount)
{
    int64_t old = atomic_load_explicit(gauge, memory_order_relaxed);
    atomic_store_explicit(gauge, old + amount, memory_order_relaxed);
}

#endif
