#include "server/telemetry/tally.h"

#include "base/mem.h"
#include "base/siphash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS = 256 };

static const double bounds[] = {.0001, .001, .01, .1, 1, 10, 60};

enum kind { EVENT, SPAN };

struct entry {
    struct entry *next_in_bucket;
    struct entry *next; /* in the order they came */
    enum kind kind;
    const char *pool; /* borrowed */
    char name[TELEMETRY_NAME_MAX + 1];
    uint64_t count; /* of events, and of spans that went well */
    uint64_t failed;
    struct histogram seconds;
};

struct tally {
    unsigned limit;
    struct siphash_key secret; /* tools choose the names */

    pthread_mutex_t lock; /* guards the following */
    struct entry *buckets[BUCKETS];
    struct entry *first, **last;
    unsigned count;
    uint64_t dropped, broken;
};

struct tally *tally_new(unsigned names)
{
    struct tally *tally = MEM_NEW(struct tally);
    tally->limit = names;
    tally->last = &tally->first;
    if (getrandom(&tally->secret, sizeof tally->secret, 0) != sizeof tally->secret)
        abort();
    pthread_mutex_init(&tally->lock, NULL);
    return tally;
}

void tally_free(struct tally **tally)
{
    struct tally *gone = *tally;
    *tally = NULL;
    if (!gone)
        return;
    while (gone->first) {
        struct entry *entry = gone->first;
        gone->first = entry->next;
        free(entry);
    }
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* --- counting, with the lock --- */

static struct entry *find(struct entry *entry, enum kind kind, const char *pool, struct bytes name)
{
    while (entry && (entry->kind != kind || entry->pool != pool ||
                     !bytes_equal(bytes_of(entry->name), name)))
        entry = entry->next_in_bucket;
    return entry;
}

static struct entry *make(struct tally *tally, struct entry **bucket, enum kind kind,
                          const char *pool, struct bytes name)
{
    struct entry *entry = MEM_NEW(struct entry);
    entry->kind = kind;
    entry->pool = pool;
    memcpy(entry->name, name.data, name.len);
    histogram_init(&entry->seconds, bounds, sizeof bounds / sizeof bounds[0]);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    *tally->last = entry;
    tally->last = &entry->next;
    return entry;
}

/* The one of that name, or that of all others. */
static struct entry *entry_of(struct tally *tally, enum kind kind, const char *pool,
                              struct bytes name)
{
    struct entry **bucket = &tally->buckets[siphash(&tally->secret, name) % BUCKETS];
    struct entry *entry = find(*bucket, kind, pool, name);
    if (entry)
        return entry;
    if (tally->count < tally->limit) {
        tally->count++;
        return make(tally, bucket, kind, pool, name);
    }
    bucket = &tally->buckets[siphash(&tally->secret, BYTES("other")) % BUCKETS];
    entry = find(*bucket, kind, pool, BYTES("other"));
    return entry ? entry : make(tally, bucket, kind, pool, BYTES("other"));
}

/* --- for all --- */

static void on_event(void *context, const char *pool, const struct telemetry_event *event)
{
    struct tally *tally = context;
    pthread_mutex_lock(&tally->lock);
    entry_of(tally, EVENT, pool, event->name)->count++;
    pthread_mutex_unlock(&tally->lock);
}

static void on_span(void *context, const char *pool, const struct telemetry_span *span)
{
    struct tally *tally = context;
    pthread_mutex_lock(&tally->lock);
    struct entry *entry = entry_of(tally, SPAN, pool, span->name);
    entry->count += span->error.len == 0;
    entry->failed += span->error.len > 0;
    histogram_observe(&entry->seconds, (double)(span->end_ns - span->start_ns) / 1e9);
    pthread_mutex_unlock(&tally->lock);
}

struct telemetry_sink tally_sink(struct tally *tally)
{
    return (struct telemetry_sink){.event = on_event, .span = on_span, .context = tally};
}

void tally_lost(struct tally *tally, uint64_t dropped, uint64_t broken)
{
    if (dropped == 0 && broken == 0)
        return;
    pthread_mutex_lock(&tally->lock);
    tally->dropped += dropped;
    tally->broken += broken;
    pthread_mutex_unlock(&tally->lock);
}

/* --- showing, with the lock --- */

static void write_events(const struct tally *tally, struct metrics_writer *writer)
{
    metrics_family(writer, "snakepit_telemetry_events", METRICS_COUNTER,
                   "Events that tools have told of.");
    for (const struct entry *entry = tally->first; entry; entry = entry->next) {
        if (entry->kind == EVENT)
            metrics_sample(writer, METRICS_LABELS({"pool", entry->pool}, {"name", entry->name}),
                           (double)entry->count);
    }
}

static void write_spans(const struct tally *tally, struct metrics_writer *writer)
{
    metrics_family(writer, "snakepit_telemetry_spans", METRICS_COUNTER,
                   "Spans that tools have measured, by how they ended.");
    for (const struct entry *entry = tally->first; entry; entry = entry->next) {
        const char *pool = entry->pool;
        if (entry->kind != SPAN)
            continue;
        metrics_sample(writer,
                       METRICS_LABELS({"pool", pool}, {"name", entry->name}, {"end", "result"}),
                       (double)entry->count);
        metrics_sample(writer,
                       METRICS_LABELS({"pool", pool}, {"name", entry->name}, {"end", "failure"}),
                       (double)entry->failed);
    }
}

static void write_seconds(const struct tally *tally, struct metrics_writer *writer)
{
    metrics_family(writer, "snakepit_telemetry_span_seconds", METRICS_HISTOGRAM,
                   "How long the spans of tools took.");
    for (const struct entry *entry = tally->first; entry; entry = entry->next) {
        if (entry->kind == SPAN)
            metrics_histogram(writer, METRICS_LABELS({"pool", entry->pool}, {"name", entry->name}),
                              &entry->seconds);
    }
}

static void write_lost(const struct tally *tally, struct metrics_writer *writer)
{
    metrics_family(writer, "snakepit_telemetry_lost", METRICS_COUNTER,
                   "Events and spans that workers had no room for, or that were malformed.");
    metrics_sample(writer, METRICS_LABELS({"reason", "dropped"}), (double)tally->dropped);
    metrics_sample(writer, METRICS_LABELS({"reason", "malformed"}), (double)tally->broken);
}

void tally_write(struct tally *tally, struct metrics_writer *writer)
{
    pthread_mutex_lock(&tally->lock);
    write_events(tally, writer);
    write_spans(tally, writer);
    write_seconds(tally, writer);
    write_lost(tally, writer);
    pthread_mutex_unlock(&tally->lock);
}
