#include "server/config/config.h"

#include "server/config/config_schema.h"
#include "server/config/config_value.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREAD_SLOTS = 10, ASYNC_SLOTS = 100 };

/* Milliseconds in all, of a stream, and in the queue. */
enum { NEARLY_FOR_EVER = 365ll * 24 * 3600 * 1000 };
static const struct {
    uint64_t timeout_ms, stream_timeout_ms, queue_timeout_ms;
} timeout_profiles[TIMEOUTS_COUNT] = {
    [TIMEOUTS_BALANCED] = {300000, 900000, 10000},
    [TIMEOUTS_PRODUCTION] = {300000, 900000, 10000},
    [TIMEOUTS_PRODUCTION_STRICT] = {60000, 300000, 5000},
    [TIMEOUTS_DEVELOPMENT] = {900000, 3600000, 60000},
    [TIMEOUTS_ML_INFERENCE] = {900000, 3600000, 60000},
    [TIMEOUTS_BATCH] = {3600000, NEARLY_FOR_EVER, 300000},
};

void config_init(struct config *config)
{
    *config = (struct config){
        .listen = {.host = "127.0.0.1", .port = 8080},
        .log_level = LOG_INFO,
        .instance = "default",
        .drain_timeout_us = UINT64_C(25000000),
        .http = http_options_default(),
        .streams = {.window = 256 << 10,
                    .keep = 64 << 10,
                    .result_limit = 1 << 20,
                    .keepalive_us = UINT64_C(15000000),
                    .head_after_us = UINT64_C(1000000)},
        .calls = {.keep_us = UINT64_C(300000000), .keep_bytes = 64 << 20},
        .sessions = session_defaults(),
        .tool_calls = {.depth = 8, .pending = 100},
        .metadata = {.limit = 8192},
        .tool_changes = 10000,
        .telemetry_names = 100,
        .sdk = sdk_limits_default(),
        .callbacks = {.limit = 1000,
                      .pending = 1000,
                      .connections = 256,
                      .timeout_us = UINT64_C(30000000),
                      .response_limit = 1 << 20},
        .arena = arena_new(0),
    };
}

void config_deinit(struct config *config)
{
    arena_unref(&config->arena);
}

struct pool_config *config_add_pool(struct config *config)
{
    if (config->pool_count == CONFIG_POOLS_MAX)
        return NULL;
    struct pool_config *pool = &config->pools[config->pool_count++];
    *pool = (struct pool_config){
        .adapter = "snakepit_bridge.demo.Demo",
        .preload = "",
        .snakebridge_allow = "",
        .crash_barrier = true,
        .start_timeout_us = UINT64_C(60000000),
        .heartbeat_us = UINT64_C(2000000),
        .stall_after_us = UINT64_C(5000000),
        .output_lines = 1000,
        .options = pool_defaults(),
    };
    pool->name = pool->options.name;
    return pool;
}

bool config_fault_set(struct config_fault *out_fault, struct config_mark mark, const char *format,
                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    out_fault->line = mark.line;
    out_fault->column = mark.column;
    (void)vsnprintf(out_fault->text, sizeof out_fault->text, format, arguments);
    va_end(arguments);
    for (char *at = out_fault->text; *at; at++) {
        if ((unsigned char)*at < ' ')
            *at = '?';
    }
    return false;
}

/* --- names --- */

/* Keys of a pool that may be named without it. */
static const char *const brief_names[] = {"workers", "adapter", "preload"};
enum { BRIEF_NAMES = sizeof brief_names / sizeof brief_names[0] };

static struct pool_config *main_pool(struct config *config)
{
    for (unsigned i = 0; i < config->pool_count; i++) {
        if (strcmp(config->pools[i].name, "default") == 0)
            return &config->pools[i];
    }
    return &config->pools[0];
}

bool config_target_at(struct config *config, size_t index, struct config_target *out_target)
{
    if (index < BRIEF_NAMES && config->pool_count == 0)
        return false;
    if (index < BRIEF_NAMES) {
        *out_target = (struct config_target){
            config_schema_find(&config_schema_pool, bytes_of(brief_names[index])),
            main_pool(config), true};
        return true;
    }
    index -= BRIEF_NAMES;
    if (index < config_schema_top.count) {
        *out_target = (struct config_target){&config_schema_top.rows[index], NULL, false};
        return true;
    }
    index -= config_schema_top.count;
    if (index / config_schema_pool.count >= config->pool_count)
        return false;
    *out_target = (struct config_target){&config_schema_pool.rows[index % config_schema_pool.count],
                                         &config->pools[index / config_schema_pool.count], false};
    return true;
}

/* Capitals, and _ for all that is not a letter or digit. */
static void shout(char *text)
{
    for (; *text; text++)
        *text = isalnum((unsigned char)*text) ? (char)toupper((unsigned char)*text) : '_';
}

void config_target_name(const struct config_target *target, char *out_name, size_t size)
{
    bool whole = target->pool && !target->brief;
    snprintf(out_name, size, "%s%s%s%s", whole ? "POOLS_" : "", whole ? target->pool->name : "",
             whole ? "_" : "", target->row->path);
    shout(out_name);
}

bool config_find(struct config *config, const char *name, struct config_target *out_target)
{
    struct config_target target, nearest = {0};
    size_t len = strlen(name);
    unsigned best = len < 4 ? 2 : len < 8 ? 3 : 4;
    for (size_t i = 0; config_target_at(config, i, &target); i++) {
        char candidate[128];
        config_target_name(&target, candidate, sizeof candidate);
        unsigned distance = config_distance(bytes_of(candidate), bytes_of(name), best);
        if (strcmp(candidate, name) == 0) {
            *out_target = target;
            return true;
        }
        if (distance < best && target.row->kind != CONFIG_REFUSED) {
            best = distance;
            nearest = target;
        }
    }
    *out_target = nearest;
    return false;
}

/* --- one value --- */

bool config_set(struct config *config, const struct config_target *target, struct bytes text,
                struct config_mark mark, struct config_fault *out_fault)
{
    char expected[512];
    struct pool_config *pool = target->pool;
    const struct config_schema *schema = pool ? &config_schema_pool : &config_schema_top;
    const struct config_row *row = config_schema_canonical(schema, target->row);
    uint64_t plain = target->row != row ? target->row->scale : config_value_plain(row);
    if (row->kind == CONFIG_REFUSED)
        return config_fault_set(out_fault, mark, "is Snakepit's and not honoured here: %s",
                                row->help);
    if (!config_value_set(row, pool ? (void *)pool : config, text, plain, config->arena)) {
        config_value_expected(row, text, expected, sizeof expected);
        return config_fault_set(out_fault, mark, "is \"%.*s\", expected %s%s",
                                text.len > 80 ? 80 : (int)text.len, text.data ? text.data : "",
                                expected,
                                plain == 0 && row->kind == CONFIG_DURATION ? ", with a unit" : "");
    }
    (pool ? pool->marks : config->marks)[row - schema->rows] = mark;
    if (pool && row->kind == CONFIG_WORKERS) {
        pool->options.min_workers = pool->options.max_workers = pool->workers;
        for (size_t i = 0; i < schema->count; i++) {
            if (schema->rows[i].offset == offsetof(struct pool_config, options.min_workers) ||
                schema->rows[i].offset == offsetof(struct pool_config, options.max_workers))
                pool->marks[i] = mark;
        }
    }
    return true;
}

/* --- in the end --- */

static struct config_mark mark_of(const struct pool_config *pool, const char *path)
{
    return pool
        ->marks[config_schema_find(&config_schema_pool, bytes_of(path)) - config_schema_pool.rows];
}

static struct config_mark top_mark(const struct config *config, const char *path)
{
    return config
        ->marks[config_schema_find(&config_schema_top, bytes_of(path)) - config_schema_top.rows];
}

static bool is_given(const struct pool_config *pool, const char *path)
{
    return mark_of(pool, path).given;
}

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > POOL_MAX_WORKERS ? POOL_MAX_WORKERS : (unsigned)count;
}

static bool finish_workers(struct pool_config *pool, struct config_fault *out_fault)
{
    struct pool_options *options = &pool->options;
    bool has_min = is_given(pool, "min_workers"), has_max = is_given(pool, "max_workers");
    if (!has_max)
        options->max_workers =
            has_min && options->min_workers > processors() ? options->min_workers : processors();
    if (!has_min)
        options->min_workers = has_max ? 1 : options->max_workers;
    if (options->min_workers > options->max_workers)
        return config_fault_set(out_fault, mark_of(pool, "min_workers"),
                                "pools.%s.min_workers is %u, more than max_workers, which is %u",
                                pool->name, options->min_workers, options->max_workers);
    if (options->spare > options->max_workers)
        return config_fault_set(out_fault, mark_of(pool, "spare_workers"),
                                "pools.%s.spare_workers is %u, more than max_workers, which is %u",
                                pool->name, options->spare, options->max_workers);
    return true;
}

static bool finish_slots(struct pool_config *pool, struct config_fault *out_fault)
{
    static const unsigned slots[] = {
        1, THREAD_SLOTS, (unsigned)ASYNC_SLOTS < (unsigned)RUNNING_MAX ? ASYNC_SLOTS : RUNNING_MAX};
    if (!is_given(pool, "slots"))
        pool->slots = slots[pool->profile];
    if (pool->profile == PROFILE_PROCESS && pool->slots != 1)
        return config_fault_set(out_fault, mark_of(pool, "slots"),
                                "pools.%s.slots is %u, expected 1 where the profile is process; "
                                "thread and async run several calls at once",
                                pool->name, pool->slots);
    if (pool->profile != PROFILE_PROCESS && pool->options.refork_after)
        return config_fault_set(
            out_fault, mark_of(pool, "recycle.refork_after"),
            "pools.%s.recycle.refork_after wants the profile process: no process "
            "with other threads can be forked",
            pool->name);
    return true;
}

static void finish_limits(struct pool_config *pool)
{
    const struct {
        const char *path, *name;
        uint64_t value;
    } all[CONFIG_LIMITS] = {{"limits.memory", "AS", pool->limits.memory},
                            {"limits.core", "CORE", pool->limits.core},
                            {"limits.cpu_time", "CPU", pool->limits.cpu_s},
                            {"limits.open_files", "NOFILE", pool->limits.files},
                            {"limits.processes", "NPROC", pool->limits.processes}};
    pool->limit_count = 0;
    for (unsigned i = 0; i < CONFIG_LIMITS; i++) {
        if (is_given(pool, all[i].path))
            pool->limit_list[pool->limit_count++] =
                (struct worker_limit){all[i].name, all[i].value};
    }
}

/* What was set, by itself or by a profile, is a limit for callers too; what was not is a default
 * for those who bring none. */
static uint64_t cap_of(const struct pool_config *pool, const char *path, uint64_t limit_us)
{
    return is_given(pool, path) || is_given(pool, "timeout_profile") ? limit_us : 0;
}

static void finish_caps(struct pool_config *pool)
{
    struct pool_options *options = &pool->options;
    options->caps.total_us = cap_of(pool, "timeout", options->timeout_us);
    options->caps.queue_us = cap_of(pool, "queue_timeout", options->queue_timeout_us);
    options->caps.run_us = cap_of(pool, "run_timeout", options->run_timeout_us);
    options->stream_cap_us = cap_of(pool, "stream_timeout", options->stream_timeout_us);
}

static void finish_timeouts(struct pool_config *pool)
{
    uint64_t timeout_us = timeout_profiles[pool->timeouts].timeout_ms * 1000;
    if (!is_given(pool, "timeout"))
        pool->options.timeout_us = timeout_us;
    if (!is_given(pool, "run_timeout"))
        pool->options.run_timeout_us = timeout_us;
    if (!is_given(pool, "stream_timeout"))
        pool->options.stream_timeout_us = timeout_profiles[pool->timeouts].stream_timeout_ms * 1000;
    if (!is_given(pool, "queue_timeout"))
        pool->options.queue_timeout_us = timeout_profiles[pool->timeouts].queue_timeout_ms * 1000;
}

/* Names that are the same in the environment are the same. */
static bool check_name(const struct config *config, unsigned index, struct config_fault *out_fault)
{
    char name[64], other[64];
    const struct pool_config *pool = &config->pools[index];
    snprintf(name, sizeof name, "%s", pool->name);
    shout(name);
    for (unsigned i = 0; i < index; i++) {
        snprintf(other, sizeof other, "%s", config->pools[i].name);
        shout(other);
        if (strcmp(name, other) == 0)
            return config_fault_set(out_fault, mark_of(pool, "name"),
                                    "pools[%u].name is \"%s\", expected one that no other pool "
                                    "has, in capitals and with _ for - as well",
                                    index, pool->name);
    }
    return true;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static bool check_memory(const struct config *config, struct config_fault *out_fault)
{
    struct config_mark mark = top_mark(config, "http.h1_memory");
    if (config->http.h1_memory >= config->http.head_limit + config->http.head_limit / 8)
        return true;
    return config_fault_set(out_fault, mark.given ? mark : top_mark(config, "http.head_limit"),
                            "http.h1_memory is %u bytes, expected more than http.head_limit, "
                            "which is %zu, by an eighth",
                            config->http.h1_memory, config->http.head_limit);
}

/* Anybody may have a name that leads to this machine: a page of theirs would be of the same origin
 * as what we serve, for the browser of somebody here. */
static void finish_hosts(struct config *config)
{
    bool given = config->hosts && config->hosts[0];
    if (given || is_loopback(config->listen.host))
        config->http.hosts = given ? config->hosts : "";
}

bool config_finish(struct config *config, struct config_fault *out_fault)
{
    for (unsigned i = 0; i < config->pool_count; i++) {
        struct pool_config *pool = &config->pools[i];
        pool->options.name = pool->name;
        pool->options.affinity = (enum affinity)(AFFINITY_HINT + pool->affinity);
        if (!check_name(config, i, out_fault) || !finish_workers(pool, out_fault) ||
            !finish_slots(pool, out_fault))
            return false;
        finish_timeouts(pool);
        finish_caps(pool);
        finish_limits(pool);
        if (!pool->crash_barrier) {
            pool->options.retry = RETRY_NEVER;
            pool->options.poison_after = 0;
            pool->options.taint_us = 0;
        }
    }
    finish_hosts(config);
    if (!check_memory(config, out_fault))
        return false;
    if (!config->insecure && !is_loopback(config->listen.host))
        return config_fault_set(out_fault, top_mark(config, "listen"),
                                "listening on %s would let anyone run tools, since there is no "
                                "authentication: add --insecure if that is meant",
                                config->listen.host);
    return true;
}
