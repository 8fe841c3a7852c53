#include "pool/tool.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/mem.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Bytes of names in a line of the log, about. */
enum { NAMES_SHOWN = 1000 };

/* So many entries of a table need about as much memory as a tool. */
enum { ENTRIES_PER_TOOL = 100 };

/* Superseded tables and tools stay in the arena until the registry goes: readers need no lock and
 * no count. They pile up as often as the code of the tools changes, within limits. */
struct registry {
    pthread_mutex_t lock; /* one announcement at a time; guards this block */
    struct arena *arena;
    struct pool *pools[REGISTRY_MAX_POOLS]; /* in the order of their ranks */
    const char *names[REGISTRY_MAX_POOLS];  /* of these */
    unsigned pool_count;
    unsigned changes;                      /* that a pool's tools may undergo */
    size_t superseded[REGISTRY_MAX_POOLS]; /* by rank: tools, with tables for so many of them */
    struct tool *last_made; /* all there ever were, the last one first; guarded likewise */

    _Atomic(const struct tool_table *) current;
};

static const struct tool_table empty_table;

struct registry *registry_new(unsigned changes)
{
    struct registry *registry = MEM_NEW(struct registry);
    pthread_mutex_init(&registry->lock, NULL);
    registry->arena = arena_new(0);
    registry->changes = changes;
    atomic_init(&registry->current, &empty_table);
    return registry;
}

void registry_free(struct registry **registry)
{
    struct registry *gone = *registry;
    *registry = NULL;
    if (!gone)
        return;
    for (struct tool *tool = gone->last_made; tool; tool = tool->made_before)
        schema_free(&tool->schema);
    arena_unref(&gone->arena);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

bool tool_name_valid(struct bytes name)
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

/* Where those of that name begin, or NULL. */
static struct tool **find_first(const struct tool_table *table, struct bytes name)
{
    if (table->count == 0)
        return NULL;
    for (size_t i = hash(name);; i++) {
        struct tool **first = table->buckets[i & table->bucket_mask];
        if (!first || bytes_equal(first[0]->spec.name, name))
            return first;
    }
}

struct tool **tool_table_find(const struct tool_table *table, struct bytes name, size_t *out_count)
{
    struct tool **first = find_first(table, name), **end = table->sorted + table->count;
    *out_count = 0;
    for (struct tool **tool = first; tool && tool < end; tool++) {
        if (!bytes_equal((*tool)->spec.name, name))
            break;
        ++*out_count;
    }
    return first;
}

static struct tool *find(const struct tool_table *table, struct bytes name, const struct pool *pool)
{
    size_t count;
    struct tool **tools = tool_table_find(table, name, &count);
    for (size_t i = 0; i < count; i++) {
        if (tools[i]->pool == pool)
            return tools[i];
    }
    return NULL;
}

struct tool *registry_find(const struct registry *registry, struct bytes name,
                           const struct pool *pool)
{
    const struct tool_table *table = registry_table(registry);
    if (pool)
        return find(table, name, pool);
    struct tool **first = find_first(table, name);
    return first ? first[0] : NULL;
}

const struct tool_table *registry_table(const struct registry *registry)
{
    return atomic_load_explicit(&registry->current, memory_order_acquire);
}

static int by_name_and_rank(const void *left, const void *right)
{
    const struct tool *a = *(struct tool *const *)left;
    const struct tool *b = *(struct tool *const *)right;
    size_t shorter = a->spec.name.len < b->spec.name.len ? a->spec.name.len : b->spec.name.len;
    int order = memcmp(a->spec.name.data, b->spec.name.data, shorter);
    if (order == 0)
        order = (a->spec.name.len > b->spec.name.len) - (a->spec.name.len < b->spec.name.len);
    return order ? order : (a->rank > b->rank) - (a->rank < b->rank);
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
    table->buckets = arena_zalloc(registry->arena, buckets * sizeof(struct tool **));
    qsort(tools, count, sizeof(struct tool *), by_name_and_rank);
    for (size_t i = 0; i < count; i++) {
        if (i && bytes_equal(tools[i]->spec.name, tools[i - 1]->spec.name))
            continue;
        size_t at = hash(tools[i]->spec.name);
        while (table->buckets[at & table->bucket_mask])
            at++;
        table->buckets[at & table->bucket_mask] = &tools[i];
    }
    atomic_store_explicit(&registry->current, table, memory_order_release);
}

static bool same(const struct tool *tool, const struct tool_spec *spec)
{
    return bytes_equal(tool->spec.description, spec->description) &&
           bytes_equal(tool->spec.schema, spec->schema) &&
           tool->spec.streaming == spec->streaming && tool->spec.idempotent == spec->idempotent &&
           tool->spec.batch == spec->batch &&
           memcmp(&tool->spec.limits, &spec->limits, sizeof spec->limits) == 0;
}

static unsigned rank_of(const struct registry *registry, const struct pool *pool)
{
    unsigned rank = 0;
    while (rank < registry->pool_count && registry->pools[rank] != pool)
        rank++;
    return rank;
}

/* --- schemas --- */

static struct bytes list_problems(struct arena *arena, const struct schema_faults *problems)
{
    struct buffer text = {0};
    for (unsigned i = 0; i < problems->count; i++) {
        const struct schema_fault *problem = &problems->list[i];
        buffer_add_string(&text, i ? ",{\"pointer\":" : "[{\"pointer\":");
        buffer_add_json_string(&text, bytes_of(problem->pointer));
        buffer_add_string(&text, ",\"detail\":");
        buffer_add_json_string(&text, bytes_of(problem->detail));
        buffer_add_string(&text, "}");
    }
    buffer_add_string(&text, "]");
    struct bytes copy = arena_copy(arena, buffer_bytes(&text));
    buffer_deinit(&text);
    return copy;
}

static void compile_schema(struct registry *registry, struct tool *tool)
{
    struct schema_faults problems;
    tool->schema = schema_compile(tool->spec.schema, &problems);
    if (problems.count)
        tool->problems = list_problems(registry->arena, &problems);
}

/* Says what cannot be checked of the tools from `last` back to `known`. */
static void log_problems(const struct tool *last, const struct tool *known)
{
    for (const struct tool *tool = last; tool != known; tool = tool->made_before) {
        if (tool->problems.len)
            log_event(LOG_WARNING, "part of a tool's schema cannot be checked",
                      LOG_STR("tool", tool->spec.name.data),
                      LOG_STR("problems", tool->problems.data), LOG_END);
    }
}

static struct tool *make_tool(struct registry *registry, struct pool *pool,
                              const struct tool_spec *spec)
{
    struct tool *tool = arena_zalloc(registry->arena, sizeof *tool);
    tool->pool = pool;
    tool->rank = rank_of(registry, pool);
    tool->spec = *spec;
    tool->spec.name = arena_copy(registry->arena, spec->name);
    tool->spec.description = arena_copy(registry->arena, spec->description);
    tool->spec.schema = arena_copy(registry->arena, spec->schema);
    compile_schema(registry, tool);
    tool->made_before = registry->last_made;
    registry->last_made = tool;
    return tool;
}

/* What announcing `specs` would change. */
struct changes {
    size_t added;
    size_t changed;
    size_t superseded; /* as in the registry */
};

/* Whether there is room for the changes; if not, why. */
static bool has_room(const struct registry *registry, const struct tool_table *old, unsigned rank,
                     const struct changes *changes, char *out_fault)
{
    if (old->count + changes->added > REGISTRY_MAX_TOOLS)
        snprintf(out_fault, TOOL_FAULT_MAX, "too many tools: more than %d", REGISTRY_MAX_TOOLS);
    else if (registry->superseded[rank] + changes->superseded > registry->changes)
        snprintf(out_fault, TOOL_FAULT_MAX,
                 "tools have changed too often, perhaps with each start of a worker: more than %u "
                 "times since the gateway started (registry.changes)",
                 registry->changes);
    else
        return true;
    return false;
}

/* Counts what `specs` would add and change. False, and why, when they cannot be taken. */
static bool examine(const struct registry *registry, const struct pool *pool,
                    const struct tool_spec *specs, size_t count, struct changes *out_changes,
                    char *out_fault)
{
    const struct tool_table *old = registry_table(registry);
    struct changes changes = {0};
    for (size_t i = 0; i < count; i++) {
        struct bytes name = specs[i].name;
        if (!tool_name_valid(name)) {
            snprintf(out_fault, TOOL_FAULT_MAX, "bad tool name: \"%.*s\"",
                     name.len > TOOL_NAME_MAX ? TOOL_NAME_MAX : (int)name.len, name.data);
            return false;
        }
        const struct tool *known = find(old, name, pool);
        changes.added += !known;
        changes.changed += known && !same(known, &specs[i]);
    }
    if (changes.added + changes.changed)
        changes.superseded = changes.changed + old->count / ENTRIES_PER_TOOL;
    *out_changes = changes;
    return has_room(registry, old, rank_of(registry, pool), &changes, out_fault);
}

static size_t place_of(struct tool **tools, size_t count, struct bytes name,
                       const struct pool *pool)
{
    size_t at = 0;
    while (at < count && (tools[at]->pool != pool || !bytes_equal(tools[at]->spec.name, name)))
        at++;
    return at;
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
        size_t at = place_of(tools, kept, specs[i].name, pool);
        if (at == kept || !same(tools[at], &specs[i]))
            tools[at] = make_tool(registry, pool, &specs[i]);
        kept += at == kept;
    }
    publish(registry, tools, kept);
}

/* One line for all tools, each with the pool whose tool it is for callers that name no pool. */
static void report_shared(const struct registry *registry, const struct tool_table *old,
                          const struct tool_table *new, const struct pool *pool,
                          const struct tool_spec *specs, size_t count)
{
    struct buffer names = {0};
    for (size_t i = 0; i < count; i++) {
        size_t sharers;
        struct tool **tools = tool_table_find(new, specs[i].name, &sharers);
        if (sharers < 2 || find(old, specs[i].name, pool) || names.len > NAMES_SHOWN)
            continue;
        buffer_add_string(&names, names.len ? ", " : "");
        buffer_add(&names, specs[i].name);
        buffer_printf(&names, " (%s)", registry->names[tools[0]->rank]);
    }
    if (names.len) {
        buffer_add(&names, (struct bytes){"", 1});
        log_event(LOG_WARNING,
                  "tools of several pools: callers that name none get the first pool's",
                  LOG_STR("pool", registry->names[rank_of(registry, pool)]),
                  LOG_STR("tools", names.data), LOG_END);
    }
    buffer_deinit(&names);
}

unsigned registry_enlist(struct registry *registry, struct pool *pool, const char *name)
{
    pthread_mutex_lock(&registry->lock);
    if (registry->pool_count == REGISTRY_MAX_POOLS)
        abort();
    unsigned rank = registry->pool_count++;
    registry->pools[rank] = pool;
    registry->names[rank] = name;
    pthread_mutex_unlock(&registry->lock);
    return rank;
}

unsigned registry_pools(struct registry *registry, struct pool *out_pools[REGISTRY_MAX_POOLS])
{
    pthread_mutex_lock(&registry->lock);
    unsigned count = registry->pool_count;
    memcpy(out_pools, registry->pools, count * sizeof out_pools[0]);
    pthread_mutex_unlock(&registry->lock);
    return count;
}

bool registry_announce(struct registry *registry, struct pool *pool, const struct tool_spec *specs,
                       size_t count, char *out_fault)
{
    pthread_mutex_lock(&registry->lock);
    const struct tool_table *old = registry_table(registry);
    const struct tool *known = registry->last_made;
    struct changes changes;
    bool fine = examine(registry, pool, specs, count, &changes, out_fault);
    if (fine && changes.added + changes.changed) {
        merge(registry, old, pool, specs, count);
        registry->superseded[rank_of(registry, pool)] += changes.superseded;
    }
    const struct tool_table *new = registry_table(registry);
    const struct tool *last = registry->last_made;
    pthread_mutex_unlock(&registry->lock);
    log_problems(last, known);
    if (new != old)
        report_shared(registry, old, new, pool, specs, count);
    return fine;
}
