#include "pool/tool.h"

#include "base/arena.h"
#include "base/mem.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Superseded tables and tools stay in the arena until the registry goes: readers need no lock and
 * no count. They pile up only as often as the code of the tools changes. */
struct registry {
    pthread_mutex_t lock; /* one announcement at a time; guards `arena` */
    struct arena *arena;
    _Atomic(const struct tool_table *) current;
};

static const struct tool_table empty_table;

struct registry *registry_new(void)
{
    struct registry *registry = MEM_NEW(struct registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->arena = arena_new(0);
    atomic_init(&registry->current, &empty_table);
    return registry;
}

void registry_free(struct registry **registry)
{
    struct registry *gone = *registry;
    *registry = NULL;
    if (!gone)
        return;
    arena_unref(&gone->arena);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* [A-Za-z0-9][A-Za-z0-9_.-]*, at most TOOL_NAME_MAX bytes. */
static bool tool_name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > TOOL_NAME_MAX || !isalnum((unsigned char)name.data[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}

/* FNV-1a. The names come from our own workers, not from callers, so floods of collisions are no
 * concern. */
static size_t hash(struct bytes name)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.len; i++)
        value = (value ^ (unsigned char)name.data[i]) * 0x100000001b3u;
    return (size_t)(value ^ value >> 32);
}

static struct tool *table_find(const struct tool_table *table, struct bytes name)
{
    if (table->count == 0)
        return NULL;
    for (size_t i = hash(name);; i++) {
        struct tool *tool = table->buckets[i & table->bucket_mask];
        if (!tool || bytes_equal(tool->spec.name, name))
            return tool;
    }
}

struct tool *registry_find(const struct registry *registry, struct bytes name)
{
    return table_find(registry_table(registry), name);
}

const struct tool_table *registry_table(const struct registry *registry)
{
    return atomic_load_explicit(&registry->current, memory_order_acquire);
}

static int by_name(const void *left, const void *right)
{
    const struct tool *a = *(struct tool *const *)left;
    const struct tool *b = *(struct tool *const *)right;
    size_t shorter = a->spec.name.len < b->spec.name.len ? a->spec.name.len : b->spec.name.len;
    int order = memcmp(a->spec.name.data, b->spec.name.data, shorter);
    return order ? order
                 : (a->spec.name.len > b->spec.name.len) - (a->spec.name.len < b->spec.name.len);
}

static void publish(struct registry *registry, struct tool **tools, size_t count)
{
    struct tool_table *table = arena_zalloc(registry->arena, sizeof *table);
    size_t buckets = 8;
    while (buckets < 2 * count)
        buckets *= 2;
    table->count = count;
    table->sorted = tools;
    table->bucket_mask = buckets - 1;
    table->buckets = arena_zalloc(registry->arena, buckets * sizeof(struct tool *));
    qsort(tools, count, sizeof tools[0], by_name);
    for (size_t i = 0; i < count; i++) {
        size_t at = hash(tools[i]->spec.name);
        while (table->buckets[at & table->bucket_mask])
            at++;
        table->buckets[at & table->bucket_mask] = tools[i];
    }
    atomic_store_explicit(&registry->current, table, memory_order_release);
}

static bool same(const struct tool *tool, const struct tool_spec *spec)
{
    return bytes_equal(tool->spec.description, spec->description) &&
           bytes_equal(tool->spec.schema, spec->schema) &&
           tool->spec.streaming == spec->streaming && tool->spec.idempotent == spec->idempotent;
}

static struct tool *make_tool(struct registry *registry, struct pool *pool,
                              const struct tool_spec *spec)
{
    struct tool *tool = arena_zalloc(registry->arena, sizeof *tool);
    tool->pool = pool;
    tool->spec = *spec;
    tool->spec.name = arena_copy(registry->arena, spec->name);
    tool->spec.description = arena_copy(registry->arena, spec->description);
    tool->spec.schema = arena_copy(registry->arena, spec->schema);
    return tool;
}

/* Counts what `specs` would add and change, or returns why they cannot be taken. */
static const char *examine(const struct tool_table *old, struct pool *pool,
                           const struct tool_spec *specs, size_t count, size_t *out_changes)
{
    size_t added = 0, changed = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tool *known = table_find(old, specs[i].name);
        if (!tool_name_valid(specs[i].name))
            return "bad tool name";
        if (known && known->pool != pool)
            return "another pool has a tool of that name";
        added += !known;
        changed += known && !same(known, &specs[i]);
    }
    *out_changes = added + changed;
    return old->count + added > REGISTRY_MAX_TOOLS ? "too many tools" : NULL;
}

static void merge(struct registry *registry, const struct tool_table *old, struct pool *pool,
                  const struct tool_spec *specs, size_t count)
{
    struct tool **tools =
        arena_alloc(registry->arena, (old->count + count) * sizeof(struct tool *));
    size_t kept = old->count;
    if (kept)
        memcpy(tools, old->sorted, kept * sizeof tools[0]);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < kept && !bytes_equal(tools[at]->spec.name, specs[i].name))
            at++;
        if (at == kept || !same(tools[at], &specs[i]))
            tools[at] = make_tool(registry, pool, &specs[i]);
        kept += at == kept;
    }
    publish(registry, tools, kept);
}

const char *registry_announce(struct registry *registry, struct pool *pool,
                              const struct tool_spec *specs, size_t count)
{
    pthread_mutex_lock(&registry->lock);
    const struct tool_table *old = registry_table(registry);
    size_t changes = 0;
    const char *fault = examine(old, pool, specs, count, &changes);
    if (!fault && changes)
        merge(registry, old, pool, specs, count);
    pthread_mutex_unlock(&registry->lock);
    return fault;
}
