/* Tools and the registry of all of them.
 *
 * Workers announce their tools when they become ready. Looking up is lock-free, since every request
 * does it; announcing publishes a new table. A tool, once published, lives as long as the registry.
 */
#ifndef SNAKEPIT_POOL_TOOL_H
#define SNAKEPIT_POOL_TOOL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOOL_NAME_MAX = 64, REGISTRY_MAX_TOOLS = 10000 };

struct pool;

/* What a worker says of a tool; borrowed bytes. */
struct tool_spec {
    struct bytes name;
    struct bytes description;
    struct bytes schema; /* JSON Schema of the arguments, a checked JSON object */
    bool streaming;
    bool idempotent;
};

struct tool {
    struct tool_spec spec;  /* immutable */
    struct pool *pool;      /* that runs it */
    uint64_t run_median_us; /* estimate, 0 before the first; guarded likewise */
    uint64_t run_ewma_us;   /* measured run time, 0 before the first; guarded by the pool's lock */
};

/* An immutable view of all tools, sorted by name. */
struct tool_table {
    size_t count;
    struct tool **sorted;
    size_t bucket_mask;
    struct tool **buckets;
};

struct registry;

/* An empty registry; and its end, with all tools. */
struct registry *registry_new(void) __attribute__((returns_nonnull));
void registry_free(struct registry **registry);

/* Adds or replaces tools of `pool`. What is the same already is left as it is, with its
 * measurements. Returns NULL, or a static reason and nothing changed: a bad name, a name that
 * another pool has, too many tools. Any thread. */
const char *registry_announce(struct registry *registry, struct pool *pool,
                              const struct tool_spec *specs, size_t count)
    __attribute__((warn_unused_result));

/* The tool of that name, or NULL. Any thread, lock-free. */
struct tool *registry_find(const struct registry *registry, struct bytes name);

/* The tools at this moment; valid as long as the registry. Any thread, lock-free. */
const struct tool_table *registry_table(const struct registry *registry);

#endif
