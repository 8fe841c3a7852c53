#include "server/config/config_schema.h"

#include "server/config/config_struct.h"

#include <string.h>

#define MILLISECOND UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define AT(type, member) .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)
#define TOP(member) AT(struct config, member)
#define POOL(member) AT(struct pool_config, member)
#define US(from, to) .min = (from), .max = (to), .scale = 1
#define MS(from, to) .min = (from), .max = (to), .scale = MILLISECOND

static const char *const log_levels[] = {"debug", "info", "warning", "error", "none", NULL};
static const char *const profiles[] = {"process", "thread", "async", NULL};
static const char *const timeouts[] = {
    "balanced", "production", "production_strict", "development", "ml_inference", "batch", NULL};
static const char *const affinities[] = {"hint", "strict_queue", "strict_fail_fast", NULL};
static const char *const retries[] = {"never", "idempotent", "always", NULL};

/* clang-format off */
static const struct config_row top[] = {
    {"listen", CONFIG_ADDRESS, TOP(listen),
     .help = "where to listen; port 0 takes a free one"},
    {"log_level", CONFIG_CHOICE, TOP(log_level), .choices = log_levels,
     .help = "debug, info, warning, error or none"},
    {"instance", CONFIG_NAME, TOP(instance),
     .help = "workers left behind by a dead gateway of this name are ended at the start"},
    {"instance_name", CONFIG_SAME, .help = "instance"},
    {"python", CONFIG_TEXT, TOP(python), .min = 1,
     .help = "interpreter of the workers; none: the first that has grpc and protobuf"},
    {"insecure", CONFIG_SWITCH, TOP(insecure),
     .help = "allow to listen beyond this machine, without authentication"},
    {"drain_timeout", CONFIG_DURATION, TOP(drain_timeout_us), US(0, DAY),
     .help = "for running calls to finish after SIGTERM; then they are cancelled"},

    {"http.connection_limit", CONFIG_NUMBER, TOP(http.connection_limit), .min = 1, .max = 1000000,
     .help = "connections; one too many is closed at once"},
    {"http.body_limit", CONFIG_SIZE, TOP(http.body_limit), .min = 1, .max = VALUE_MAX_BYTES,
     .help = "of a request; more is 413"},
    {"http.head_limit", CONFIG_SIZE, TOP(http.head_limit), .min = KIB, .max = MIB,
     .help = "of a request's headers; more is 431"},
    {"http.url_limit", CONFIG_SIZE, TOP(http.url_limit), .min = 64, .max = MIB,
     .help = "of a request's target; more is 414"},
    {"http.hosts", CONFIG_NAMES, TOP(hosts),
     .help = "that requests may be for, beside localhost and addresses: host, host:port, *.domain, *; others are 421; "
             "none: all, unless listen is on loopback"},
    {"http.head_timeout", CONFIG_DURATION, TOP(http.head_timeout_ms), MS(MILLISECOND, HOUR),
     .help = "from the first byte to the complete head"},
    {"http.first_byte_timeout", CONFIG_DURATION, TOP(http.first_byte_timeout_ms),
     MS(MILLISECOND, HOUR), .help = "for a connection that says nothing"},
    {"http.idle_timeout", CONFIG_DURATION, TOP(http.idle_timeout_ms), MS(MILLISECOND, DAY),
     .help = "between requests, and between two pieces of a request's body"},
    {"http.write_timeout", CONFIG_DURATION, TOP(http.write_timeout_ms), MS(MILLISECOND, HOUR),
     .help = "for a peer that does not read"},
    {"http.h1_memory", CONFIG_SIZE, TOP(http.h1_memory), .min = 16 * KIB, .max = 16 * MIB,
     .help = "of an HTTP/1.1 connection; more than head_limit"},
    {"http.h2_streams", CONFIG_NUMBER, TOP(http.h2_streams), .min = 1, .max = 10000,
     .help = "at once on an HTTP/2 connection"},
    {"http.h2_stream_window", CONFIG_SIZE, TOP(http.h2_stream_window),
     .min = 65535, .max = GIB, .help = "that a peer may send ahead on a stream"},
    {"http.h2_connection_window", CONFIG_SIZE, TOP(http.h2_connection_window),
     .min = 65535, .max = GIB, .help = "that a peer may send ahead on a connection"},

    {"streams.window", CONFIG_SIZE, TOP(streams.window), .min = KIB, .max = GIB,
     .help = "that a tool may emit before its reader has taken it"},
    {"streams.keep", CONFIG_SIZE, TOP(streams.keep), .min = 0, .max = GIB,
     .help = "of the last events of a stream, for readers that come back or are several"},
    {"streams.result_limit", CONFIG_SIZE, TOP(streams.result_limit), .min = KIB, .max = 64 * MIB,
     .help = "of what a tool returns at the end of its stream; what it yields has no limit"},
    {"streams.ahead", CONFIG_SIZE, TOP(sdk.stream_ahead), .min = KIB, .max = GIB,
     .help = "that a coroutine may emit without awaiting its reader; more is an error of the tool"},
    {"streams.keepalive", CONFIG_DURATION, TOP(streams.keepalive_us), US(0, DAY),
     .help = "of silence, after which a comment or an empty line is sent; 0: none is"},
    {"streams.head_after", CONFIG_DURATION, TOP(streams.head_after_us), US(0, DAY),
     .help = "that a worker may have a stream in silence before its answer begins, with `start`; "
             "to the second"},
    {"calls.keep_for", CONFIG_DURATION, TOP(calls.keep_us), US(0, 365 * DAY),
     .help = "that outcomes are kept which are fetched later, or again"},
    {"calls.keep_size", CONFIG_SIZE, TOP(calls.keep_bytes), .min = 0, .max = UINT64_C(1) << 50,
     .help = "of all that are kept, about; the oldest goes first"},
    {"sessions.limit", CONFIG_NUMBER, TOP(sessions.limit), .min = 1, .max = 1000000,
     .help = "sessions at once; one more is 429"},
    {"sessions.ttl", CONFIG_DURATION, TOP(sessions.ttl_us), US(MILLISECOND, 365 * DAY),
     .help = "after which one that nobody uses ends, for those that bring none"},
    {"sessions.memory_limit", CONFIG_SIZE, TOP(sessions.memory_limit), .min = 0, .max = UINT64_C(1) << 40,
     .help = "for what all sessions keep; more is 429"},
    {"sessions.variables_limit", CONFIG_NUMBER, TOP(sessions.variables.count), .min = 0, .max = 10000,
     .help = "variables of a session; one more is 429"},
    {"sessions.variable_size", CONFIG_SIZE, TOP(sessions.variables.value_size), .min = 0, .max = 32 * MIB,
     .help = "of a variable's value; more is 413"},
    {"sessions.variables_size", CONFIG_SIZE, TOP(sessions.variables.size), .min = 0, .max = 32 * MIB,
     .help = "of a session's variables together; more is 429"},
    {"sessions.variables_cache_ttl", CONFIG_DURATION, TOP(sdk.cache_us), US(0, HOUR),
     .help = "for which a worker remembers those that it has read; 0: not at all"},
    {"sessions.variables_cache_size", CONFIG_SIZE, TOP(sdk.cache), .min = 0, .max = GIB,
     .help = "of those that a worker remembers, of all sessions"},
    {"registry.changes", CONFIG_NUMBER, TOP(tool_changes), .min = 0, .max = 1000000,
     .help = "of a pool's tools by workers that announce them otherwise than before, none of which is freed"},
    {"tool_calls.depth", CONFIG_NUMBER, TOP(tool_calls.depth), .min = 0, .max = 64,
     .help = "of tools that call tools that call tools; 0: none may"},
    {"tool_call_depth", CONFIG_SAME, .help = "tool_calls.depth"},
    {"tool_calls.pending", CONFIG_NUMBER, TOP(tool_calls.pending), .min = 1, .max = 10000,
     .help = "tools that one call may wait for at once"},
    {"callbacks.allow", CONFIG_NAMES, TOP(callbacks.allow),
     .help = "hosts of tools that callers register: host, host:port, *.domain; none: none"},
    {"callbacks.limit", CONFIG_NUMBER, TOP(callbacks.limit), .min = 0, .max = 100000,
     .help = "such tools, those of sessions among them; one more is 429"},
    {"callbacks.pending", CONFIG_NUMBER, TOP(callbacks.pending), .min = 1, .max = 100000,
     .help = "runs of them that clients may wait for at once; one more is 503"},
    {"callbacks.connections", CONFIG_NUMBER, TOP(callbacks.connections), .min = 2, .max = 10000,
     .help = "to all of them at once, half of them to one host; further runs wait, which counts for their timeout"},
    {"callbacks.timeout", CONFIG_DURATION, TOP(callbacks.timeout_us), US(MILLISECOND, DAY),
     .help = "for an answer, if the tool has no limit of its own"},
    {"callbacks.response_limit", CONFIG_SIZE, TOP(callbacks.response_limit), .min = 1, .max = VALUE_MAX_BYTES,
     .help = "of an answer; more is an error"},
    {"metadata.headers", CONFIG_NAMES, TOP(metadata.headers),
     .help = "of requests, whose values tools find in context.metadata; none: none"},
    {"metadata.limit", CONFIG_SIZE, TOP(metadata.limit), .min = 0, .max = 64 * KIB,
     .help = "of a request's metadata; more is 413"},
    {"telemetry.buffer", CONFIG_NUMBER, TOP(sdk.telemetry), .min = 0, .max = 4096,
     .help = "tools' events and spans that wait in a worker; one more is lost, and counted"},
    {"telemetry.names", CONFIG_NUMBER, TOP(telemetry_names), .min = 0, .max = 10000,
     .help = "of tools' events and spans that /metrics tells apart; the others are \"other\""},
    {"values.limit", CONFIG_SIZE, TOP(sdk.value), .min = KIB, .max = VALUE_MAX_BYTES,
     .help = "of a result, a value of a stream, or a called tool's arguments; more is an error of the tool"},
    {"values.elements", CONFIG_NUMBER, TOP(sdk.elements), .min = 0, .max = 1000000000,
     .help = "of an array that is written as JSON; a larger one becomes a marker"},
    {"references.limit", CONFIG_NUMBER, TOP(sdk.references), .min = 1, .max = 10000000,
     .help = "of snakebridge, to objects in one worker; for one more the least recently used is let go"},
    {"references.ttl", CONFIG_DURATION, TOP(sdk.reference_us), US(0, 365 * DAY),
     .help = "of a reference, after its last use; 0: no limit"},
    {"max_sessions", CONFIG_SAME, .help = "sessions.limit"},

    {"pooling_enabled", CONFIG_REFUSED, .help = "there is always at least one pool"},
    {"pool_config", CONFIG_REFUSED, .help = "write its keys into an entry of pools"},
    {"pool_size", CONFIG_REFUSED, .help = "write workers into an entry of pools"},
    {"adapter_module", CONFIG_REFUSED, .help = "name the Python class: adapter in an entry of pools"},
    {"grpc_config", CONFIG_REFUSED, .help = "workers attach to a private socket"},
    {"grpc_port", CONFIG_REFUSED, .help = "workers attach to a private socket"},
    {"grpc_host", CONFIG_REFUSED, .help = "workers attach to a private socket"},
    {"rogue_cleanup", CONFIG_REFUSED, .help = "no worker outlives its gateway"},
};

static const struct config_row pool[] = {
    {"name", CONFIG_NAME, POOL(name), .help = "letters, digits, - and _; at most 32"},
    {"adapter", CONFIG_TEXT, POOL(adapter), .min = 1,
     .help = "what to serve: module.Class, or a module of functions"},
    {"preload", CONFIG_NAMES, POOL(preload),
     .help = "modules to import once, before the workers are forked"},
    {"snakebridge_allow", CONFIG_NAMES, POOL(snakebridge_allow),
     .help = "modules that snakebridge.call may reach, with all below them; none: there is no such tool"},
    {"env", CONFIG_VARIABLES, POOL(env), .help = "more environment for the workers"},
    {"profile", CONFIG_CHOICE, POOL(profile), .choices = profiles,
     .help = "process (one call at a time), thread or async"},
    {"worker_profile", CONFIG_SAME, .help = "profile"},
    {"slots", CONFIG_NUMBER, POOL(slots), .min = 1, .max = RUNNING_MAX,
     .help = "calls a worker runs at once; none: 1 for process, 10 for thread, most for async"},
    {"threads_per_worker", CONFIG_SAME, .help = "slots"},
    {"workers", CONFIG_WORKERS, POOL(workers), .min = 1, .max = POOL_MAX_WORKERS,
     .help = "processes, instead of the next two; none: one for each processor"},
    {"pool_size", CONFIG_SAME, .help = "workers"},
    {"min_workers", CONFIG_NUMBER, POOL(options.min_workers), .min = 0, .max = POOL_MAX_WORKERS,
     .help = "processes at least; none: 1 when there is a maximum"},
    {"min", CONFIG_SAME, .help = "min_workers"},
    {"max_workers", CONFIG_NUMBER, POOL(options.max_workers), .min = 1, .max = POOL_MAX_WORKERS,
     .help = "processes at most; none: one for each processor"},
    {"max", CONFIG_SAME, .help = "max_workers"},
    {"spare_workers", CONFIG_NUMBER, POOL(options.spare), .min = 0, .max = POOL_MAX_WORKERS,
     .help = "idle processes to keep, between minimum and maximum"},
    {"spare", CONFIG_SAME, .help = "spare_workers"},
    {"start_timeout", CONFIG_DURATION, POOL(start_timeout_us), US(100 * MILLISECOND, DAY),
     .help = "for Python to import everything, and then for a worker to attach"},
    {"worker_ready_timeout", CONFIG_SAME, .scale = MILLISECOND, .help = "start_timeout"},

    {"queue_limit", CONFIG_NUMBER, POOL(options.queue_limit), .min = 0, .max = 1000000,
     .help = "calls that wait, at most"},
    {"max_queue_size", CONFIG_SAME, .help = "queue_limit"},
    {"pool_max_queue_size", CONFIG_SAME, .help = "queue_limit"},
    {"timeout_profile", CONFIG_CHOICE, POOL(timeouts), .choices = timeouts,
     .help = "sets those of the next four that are not set; none: balanced, as defaults"},
    {"queue_timeout", CONFIG_DURATION, POOL(options.queue_timeout_us), US(MILLISECOND, 365 * DAY),
     .help = "in the queue, at most; not set, nor a profile: 10s for calls that bring none"},
    {"pool_queue_timeout", CONFIG_SAME, .scale = MILLISECOND, .help = "queue_timeout"},
    {"run_timeout", CONFIG_DURATION, POOL(options.run_timeout_us), US(MILLISECOND, 365 * DAY),
     .help = "in the worker, but for streams; likewise 5m"},
    {"timeout", CONFIG_DURATION, POOL(options.timeout_us), US(MILLISECOND, 365 * DAY),
     .help = "in all, but for streams; likewise 5m"},
    {"stream_timeout", CONFIG_DURATION, POOL(options.stream_timeout_us),
     US(MILLISECOND, 365 * DAY), .help = "in all and in the worker, for streams; likewise 15m"},
    {"stream_idle_timeout", CONFIG_DURATION, POOL(options.caps.idle_us), US(0, 365 * DAY),
     .help = "for a stream to emit nothing, at most; 0: no limit"},
    {"priority_step", CONFIG_DURATION, POOL(options.priority_step_us), US(0, DAY),
     .help = "a call is overtaken by more urgent ones that come so much later, a level"},
    {"ahead_budget", CONFIG_DURATION, POOL(options.ahead_budget_us), US(0, MINUTE),
     .help = "a call sent ahead to a busy worker may wait there so long; 0: none is"},
    {"recall_after", CONFIG_DURATION, POOL(options.recall_after_us), US(0, HOUR),
     .help = "one that waits so much longer is taken back, for any worker; 0: never"},
    {"cancel_grace", CONFIG_DURATION, POOL(options.cancel_grace_us), US(0, DAY),
     .help = "after which a worker is killed that keeps a cancelled call, or has none and is stalled"},
    {"cancel_grace_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "cancel_grace"},
    {"stop_grace", CONFIG_DURATION, POOL(options.stop_grace_us), US(0, HOUR),
     .help = "for a worker that is told to leave"},
    {"graceful_shutdown_timeout_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "stop_grace"},
    {"affinity", CONFIG_CHOICE, POOL(affinity), .choices = affinities,
     .help = "of sessions that bring none: hint, strict_queue or strict_fail_fast"},
    {"poison_after", CONFIG_NUMBER, POOL(options.poison_after), .min = 0, .max = 1000,
     .help = "a request that killed so many workers is refused; 0: never"},
    {"poison_ttl", CONFIG_DURATION, POOL(options.poison_ttl_us), US(0, 365 * DAY),
     .help = "after which it is forgotten that a request killed; 0: never"},
    {"poison_ttl_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "poison_ttl"},
    {"target_queue_time", CONFIG_DURATION, POOL(options.target_queue_us), US(0, HOUR),
     .help = "more workers when calls wait longer"},
    {"target_queue_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "target_queue_time"},
    {"idle_time", CONFIG_DURATION, POOL(options.idle_us), US(MILLISECOND, 365 * DAY),
     .help = "fewer workers when some had nothing to do for so long"},

    {"crash_barrier.enabled", CONFIG_SWITCH, POOL(crash_barrier),
     .help = "false: nothing is retried, no request is poisonous, no worker tainted"},
    {"crash_barrier.retry", CONFIG_CHOICE, POOL(options.retry), .choices = retries,
     .help = "of calls whose worker died while it ran them: never, idempotent or always"},
    {"crash_barrier.max_retries", CONFIG_NUMBER, POOL(options.max_retries), .min = 0,
     .max = POOL_RETRIES_MAX, .help = "times"},
    {"crash_barrier.max_restarts", CONFIG_SAME, .help = "crash_barrier.max_retries"},
    {"crash_barrier.backoff", CONFIG_DURATIONS, POOL(options.retry_backoff_us), US(0, HOUR),
     .help = "before the first, second, … retry; the last is repeated"},
    {"crash_barrier.backoff_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "crash_barrier.backoff"},
    {"crash_barrier.taint", CONFIG_DURATION, POOL(options.taint_us), US(0, DAY),
     .help = "so long the replacement of a crashed worker gets a call only if no other is free"},
    {"crash_barrier.taint_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "crash_barrier.taint"},
    {"crash_barrier.taint_duration_ms", CONFIG_SAME, .scale = MILLISECOND,
     .help = "crash_barrier.taint"},
    {"crash_barrier.poison_after", CONFIG_SAME, .help = "poison_after"},
    {"crash_barrier.poison_ttl", CONFIG_SAME, .help = "poison_ttl"},
    {"crash_barrier.poison_ttl_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "poison_ttl"},
    {"crash_barrier.mark_on", CONFIG_REFUSED, .help = "every crash counts"},
    {"crash_barrier.taint_on_exit_codes", CONFIG_REFUSED, .help = "every unexpected exit counts"},
    {"crash_barrier.taint_on_error_types", CONFIG_REFUSED, .help = "a worker lives on after an exception"},

    {"breaker.threshold", CONFIG_NUMBER, POOL(options.breaker_threshold), .min = 0, .max = 1000000,
     .help = "workers that died with calls, or calls that ran for as long as tool and pool allow, in a "
             "row, after which all are refused; 0: no breaker"},
    {"breaker.failure_threshold", CONFIG_SAME, .help = "breaker.threshold"},
    {"breaker.open_for", CONFIG_DURATION, POOL(options.breaker_open_us), US(MILLISECOND, DAY),
     .help = "until one call is let through to try"},
    {"breaker.reset_timeout_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "breaker.open_for"},

    {"recycle.max_age", CONFIG_DURATION, POOL(options.worker_max_age_us), US(0, 365 * DAY),
     .help = "after which a worker is replaced; 0: never"},
    {"recycle.worker_ttl", CONFIG_SAME, .help = "recycle.max_age"},
    {"worker_ttl", CONFIG_SAME, .help = "recycle.max_age"},
    {"recycle.max_calls", CONFIG_NUMBER, POOL(options.worker_max_calls), .min = 0,
     .max = UINT64_C(1000000000000), .help = "likewise"},
    {"recycle.worker_max_requests", CONFIG_SAME, .help = "recycle.max_calls"},
    {"worker_max_requests", CONFIG_SAME, .help = "recycle.max_calls"},
    {"recycle.max_memory", CONFIG_SIZE, POOL(options.worker_max_resident), .min = 0,
     .max = UINT64_C(1) << 50, .help = "resident, likewise"},
    {"recycle.memory_threshold_mb", CONFIG_SAME, .scale = MIB, .help = "recycle.max_memory"},
    {"memory_threshold_mb", CONFIG_SAME, .scale = MIB, .help = "recycle.max_memory"},
    {"recycle.jitter", CONFIG_PERCENT, POOL(options.recycle_jitter), .min = 0, .max = 100,
     .help = "by which age and calls of each worker vary downwards"},

    {"recycle.refork_after", CONFIG_NUMBER, POOL(options.refork_after), .min = 0,
     .max = UINT64_C(1000000000000),
     .help = "calls of a worker, from which all others are then forked, warm as it is; 0: never"},

    {"heartbeat.interval", CONFIG_DURATION, POOL(heartbeat_us), US(0, HOUR),
     .help = "between two pings to a worker; 0: none"},
    {"heartbeat.ping_interval_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "heartbeat.interval"},
    {"heartbeat.stall_after", CONFIG_DURATION, POOL(stall_after_us), US(MILLISECOND, DAY),
     .help = "a worker that leaves a ping unanswered for so long is stalled: it gets no calls"},
    {"heartbeat.timeout_ms", CONFIG_SAME, .scale = MILLISECOND, .help = "heartbeat.stall_after"},
    {"heartbeat.kill_after", CONFIG_DURATION, POOL(kill_stalled_us), US(0, DAY),
     .help = "and for so long is killed, with calls or without, as one that crashed; 0: never"},
    {"heartbeat.enabled", CONFIG_REFUSED, .help = "interval 0 is none"},
    {"heartbeat.max_missed", CONFIG_REFUSED, .help = "kill_after is a time"},
    {"heartbeat.max_missed_heartbeats", CONFIG_REFUSED, .help = "kill_after is a time"},
    {"heartbeat.initial_delay_ms", CONFIG_REFUSED, .help = "pings begin when a worker is ready"},
    {"heartbeat.dependent", CONFIG_REFUSED, .help = "workers end with their gateway"},

    {"output_lines", CONFIG_NUMBER, POOL(output_lines), .min = 0, .max = 1000000,
     .help = "a second of what a worker prints that are logged, of stdout and of stderr; 0: all"},
    {"no_new_privs", CONFIG_SWITCH, POOL(no_new_privs),
     .help = "workers gain no rights by set-user-ID programs"},
    {"limits.memory", CONFIG_SIZE, POOL(limits.memory), .min = 16 * MIB, .max = UINT64_C(1) << 50,
     .help = "of addresses of a worker; more is a MemoryError"},
    {"limits.core", CONFIG_SIZE, POOL(limits.core), .min = 0, .max = UINT64_C(1) << 50,
     .help = "of a core dump"},
    {"limits.cpu_time", CONFIG_DURATION, POOL(limits.cpu_s), .min = SECOND, .max = 365 * DAY,
     .scale = SECOND, .help = "of a worker in its whole life, after which it is killed"},
    {"limits.open_files", CONFIG_NUMBER, POOL(limits.files), .min = 16, .max = 1 << 30,
     .help = "of a worker"},
    {"limits.processes", CONFIG_NUMBER, POOL(limits.processes), .min = 1, .max = 1 << 22,
     .help = "and threads of the whole user"},

    {"adapter_module", CONFIG_REFUSED, .help = "name the Python class: adapter"},
    {"adapter_args", CONFIG_REFUSED, .help = "give the adapter what it needs by env"},
    {"adapter_env", CONFIG_SAME, .help = "env"},
    {"adapter_spec", CONFIG_REFUSED, .help = "name the Python class: adapter"},
    {"capacity_strategy", CONFIG_REFUSED, .help = "workers times slots is the capacity"},
    {"thread_safety_checks", CONFIG_REFUSED, .help = "profile thread trusts the adapter"},
    {"startup_batch_size", CONFIG_REFUSED, .help = "workers are forked, all at once"},
    {"startup_batch_delay_ms", CONFIG_REFUSED, .help = "workers are forked, all at once"},
};
/* clang-format on */

const struct config_schema config_schema_top = {top, sizeof top / sizeof top[0]};
const struct config_schema config_schema_pool = {pool, sizeof pool / sizeof pool[0]};
_Static_assert(sizeof top / sizeof top[0] <= CONFIG_ROWS_MAX, "more marks are needed");
_Static_assert(sizeof pool / sizeof pool[0] <= CONFIG_ROWS_MAX, "more marks are needed");

const struct config_row *config_schema_find(const struct config_schema *schema, struct bytes path)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (bytes_equal(bytes_of(schema->rows[i].path), path))
            return &schema->rows[i];
    }
    return NULL;
}

const struct config_row *config_schema_canonical(const struct config_schema *schema,
                                                 const struct config_row *row)
{
    return row->kind == CONFIG_SAME ? config_schema_find(schema, bytes_of(row->help)) : row;
}

bool config_schema_is_section(const struct config_schema *schema, struct bytes path)
{
    for (size_t i = 0; i < schema->count; i++) {
        const char *row = schema->rows[i].path;
        if (strncmp(row, path.data, path.len) == 0 && row[path.len] == '.')
            return true;
    }
    return false;
}

/* --- the nearest name --- */

enum { DISTANCE_MAX_LEN = 64 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Three rows of the usual matrix: swapped neighbours need the one before the last. */
unsigned config_distance(struct bytes a, struct bytes b, unsigned limit)
{
    unsigned rows[3][DISTANCE_MAX_LEN + 1] = {{0}};
    size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN || gap > limit)
        return limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + !same);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return least(rows[a.len % 3][b.len], limit + 1);
}

static struct bytes last_part(struct bytes path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.data[i - 1] == '.')
            return bytes_skip(path, i);
    }
    return path;
}

/* Takes `name` when it is nearer to what was written than the best so far. */
static void consider(struct bytes name, struct bytes compared, struct bytes written,
                     unsigned *best_distance, struct bytes *best)
{
    unsigned distance = config_distance(compared, written, *best_distance);
    if (distance < *best_distance) {
        *best_distance = distance;
        *best = name;
    }
}

struct bytes config_schema_nearest(const struct config_schema *schema, struct bytes path)
{
    struct bytes best = {0}, leaf = last_part(path);
    unsigned best_distance = leaf.len < 4 ? 2 : leaf.len < 8 ? 3 : 4;
    for (size_t i = 0; i < schema->count; i++) {
        struct bytes name = bytes_of(schema->rows[i].path);
        const char *dot = strchr(name.data, '.');
        struct bytes section = bytes_from(name.data, dot ? (size_t)(dot - name.data) : 0);
        if (schema->rows[i].kind == CONFIG_REFUSED)
            continue;
        consider(name, name, path, &best_distance, &best);
        if (dot)
            consider(section, section, path, &best_distance, &best);
    }
    for (size_t i = 0; i < schema->count && best.len == 0; i++) {
        struct bytes name = bytes_of(schema->rows[i].path);
        if (schema->rows[i].kind != CONFIG_REFUSED)
            consider(name, last_part(name), leaf, &best_distance, &best);
    }
    return best;
}
