/* Tools and the registry of all of them.
 *
 * Workers announce their tools when they become ready. Looking up is lock-free, since every request
 * does it; announcing publishes a new table. A tool, once published, lives as long as the registry.
 *
 * Several pools may have a tool of the same name. It then is that of the pool which was enlisted
 * first, whoever announces first; the others' can be had by naming the pool. */
#ifndef SNAKEPIT_POOL_TOOL_H
#define SNAKEPIT_POOL_TOOL_H

#include "base/bytes.h"
#include "base/schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOOL_NAME_MAX = 64,
    TOOL_FAULT_MAX = 160,
    REGISTRY_MAX_TOOLS = 10000,
    REGISTRY_MAX_POOLS = 16
};

struct pool;

/* How long a call may take, microseconds; 0: nothing is said. */
struct time_limits {
    uint64_t total_us; /* from submission */
    uint64_t queue_us;
    uint64_t run_us;  /* from dispatch */
    uint64_t idle_us; /* of a stream, between two emissions */
};

/* What a worker says of a tool; borrowed bytes. */
struct tool_spec {
    struct bytes name;
    struct bytes description;
    struct bytes schema; /* JSON Schema of the arguments, a checked JSON object */
    bool streaming;
    bool idempotent;
    unsigned batch;            /* calls that a worker runs at once, if they wait there */
    struct time_limits limits; /* of its calls */
};

struct tool {
    struct tool_spec spec; /* immutable */
    struct pool *pool;     /* that runs it */
    unsigned rank;         /* of the pool, the lowest goes first */
    struct schema *schema; /* immutable; NULL: arguments cannot be checked */
    struct bytes problems; /* what of the schema cannot be checked, a JSON array; empty: nothing */
    struct tool *made_before; /* the registry's */
    /* Of its measured run time, 0 before the first; guarded by the pool's lock. */
    uint64_t run_ewma_us;
    uint64_t run_median_us; /* estimate */
    uint64_t run_least_us;  /* the least of late */
    uint64_t measured_us;   /* when that was, or a call last tried whether it still holds */
};

/* An immutable view of all tools, sorted by name, and for one name by the rank of their pools. */
struct tool_table {
    size_t count;
    struct tool **sorted;
    size_t bucket_mask;
    struct tool ***buckets; /* into `sorted`, to the first of each name */
};

struct registry;

/* [A-Za-z0-9][A-Za-z0-9_.-]*, at most TOOL_NAME_MAX bytes. */
bool tool_name_valid(struct bytes name);

/* An empty registry, in which each pool's tools may be announced otherwise than before `changes`
 * times, since none that was is freed; and its end, with all tools. */
struct registry *registry_new(unsigned changes) __attribute__((returns_nonnull));
void registry_free(struct registry **registry);

/* Gives the pool, of which only the address matters, its rank, which is returned: behind those that
 * are there. Borrows the name, for the log. At most REGISTRY_MAX_POOLS; before it announces
 * anything. */
unsigned registry_enlist(struct registry *registry, struct pool *pool, const char *name);

/* Writes the pools in the order of their ranks; returns how many. Any thread. */
unsigned registry_pools(struct registry *registry, struct pool *out_pools[REGISTRY_MAX_POOLS]);

/* Adds or replaces tools of `pool`. What is the same already is left as it is, with its
 * measurements. A name that another pool has too is logged, once. False, nothing changed and the
 * reason in out_fault (TOOL_FAULT_MAX bytes): a bad name, too many tools, too many
 * changes. Any thread. */
bool registry_announce(struct registry *registry, struct pool *pool, const struct tool_spec *specs,
                       size_t count, char *out_fault) __attribute__((warn_unused_result));

/* The tool of that name, or NULL; of that pool, unless it is NULL. Any thread, lock-free. */
struct tool *registry_find(const struct registry *registry, struct bytes name,
                           const struct pool *pool);

/* Those of that name, in the order of their pools, and how many; NULL when there is none. */
struct tool **tool_table_find(const struct tool_table *table, struct bytes name, size_t *out_count);

/* The tools at this moment; valid as long as the registry. Any thread, lock-free. */
const struct tool_table *registry_table(const struct registry *registry);

#endif
