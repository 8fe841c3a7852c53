/* The configuration: what may be set, from where, and what holds in the end.
 *
 * One schema (config_schema.h) declares every key. Later sources win: defaults, the file
 * (config_yaml.c), the environment, the command line (options.c). A key `pools: - name: default,
 * max_workers` is SNAKEPIT_POOLS_DEFAULT_MAX_WORKERS in the environment and
 * --pools-default-max-workers on the command line; SNAKEPIT_WORKERS, --workers and the like mean
 * the pool named "default", or the first.
 *
 * One thread, before there are others. */
#ifndef SNAKEPIT_SERVER_CONFIG_CONFIG_H
#define SNAKEPIT_SERVER_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"
#include "bridge/bridge.h"
#include "pool/session.h"
#include "server/calls/ledger.h"
#include "server/config/sdk_limits.h"
#include "server/http/http_options.h"
#include "server/requests/origin.h"
#include "server/resources/stream.h"
#include "server/tool_calls/switchboard.h"
#include "server/tools/callbacks.h"

#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_POOLS_MAX = 16, CONFIG_ROWS_MAX = 128, CONFIG_ENV_MAX = 64 };
enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_TEXT_MAX = 4096 };

/* Snakepit's timeout profiles. */
enum timeout_profile {
    TIMEOUTS_BALANCED,
    TIMEOUTS_PRODUCTION,
    TIMEOUTS_PRODUCTION_STRICT,
    TIMEOUTS_DEVELOPMENT,
    TIMEOUTS_ML_INFERENCE,
    TIMEOUTS_BATCH,
    TIMEOUTS_COUNT
};

/* Where a key was set. Line and column count from 1; line 0: not in the file. */
struct config_mark {
    unsigned line, column;
    bool given;
};

struct config_address {
    char host[256];
    uint16_t port;
};

/* Resource limits of each worker; those that were given count. */
struct limits_config {
    uint64_t memory, core; /* bytes */
    uint64_t cpu_s;
    uint64_t files, processes;
};
enum { CONFIG_LIMITS = 5 };

struct pool_config {
    const char *name;
    const char *adapter;
    const char *preload;           /* "numpy,pandas", or empty */
    const char *snakebridge_allow; /* likewise */
    const char **env;              /* "NAME=value", NULL-terminated; NULL: none */
    bool no_new_privs;
    struct limits_config limits;
    struct worker_limit limit_list[CONFIG_LIMITS]; /* of those that were given */
    size_t limit_count;
    enum worker_profile profile;
    unsigned affinity; /* counted from AFFINITY_HINT on */
    unsigned slots;    /* calls a worker runs at once */
    enum timeout_profile timeouts;
    bool crash_barrier;        /* false: nothing is retried, remembered or tainted */
    uint64_t start_timeout_us; /* for Python to import all, and for a worker from there until it has
                                  attached */
    uint64_t heartbeat_us;     /* between two pings; 0: none */
    uint64_t stall_after_us;   /* without an answer to a ping */
    uint64_t kill_stalled_us;  /* 0: never */
    unsigned workers;          /* as given for min and max together */
    struct pool_options options;
    struct config_mark marks[CONFIG_ROWS_MAX]; /* by row */
};

struct config {
    struct config_address listen;
    enum log_level log_level;
    const char *instance;      /* gateways of other names leave our workers alone */
    const char *python;        /* NULL: find one */
    bool insecure;             /* listen beyond loopback although nobody is asked who they are */
    uint64_t drain_timeout_us; /* for running calls to finish after SIGTERM */
    const char *hosts;         /* "name,*.domain", or NULL or empty */
    struct http_options http;
    struct stream_options streams;
    struct metadata_options metadata;
    struct ledger_options calls;
    struct session_options sessions;
    struct switchboard_options tool_calls;
    struct callback_options callbacks;
    struct sdk_limits sdk;
    unsigned tool_changes;    /* of a pool, see registry_new() */
    unsigned telemetry_names; /* that are told apart, see tally.h */
    struct pool_config pools[CONFIG_POOLS_MAX];
    unsigned pool_count;
    struct config_mark marks[CONFIG_ROWS_MAX];
    struct arena *arena; /* owns all strings */
};

/* What is wrong, in one line, without the place. Line 0: it has none in the file. */
struct config_fault {
    unsigned line, column;
    char text[1024];
};

/* Defaults, and no pool yet. */
void config_init(struct config *config);
void config_deinit(struct config *config);

/* One more pool with defaults; NULL when there are CONFIG_POOLS_MAX. */
struct pool_config *config_add_pool(struct config *config);

/* One key of the schema: `pool` is NULL for those at the top. */
struct config_row;
struct config_target {
    const struct config_row *row;
    struct pool_config *pool;
    bool brief; /* named without its pool */
};

/* The target number `index`, counted over all rows of all pools there are; false past the last. */
bool config_target_at(struct config *config, size_t index, struct config_target *out_target);

/* Its name in the environment without "SNAKEPIT_": "POOLS_DEFAULT_MAX_WORKERS". */
void config_target_name(const struct config_target *target, char *out_name, size_t size);

/* The target of that name, and if there is none false and the nearest one (row NULL: none is near).
 */
bool config_find(struct config *config, const char *name, struct config_target *out_target);

/* Sets one value from text; the mark says where that was. False, with what it should have been in
 * `out_fault`, and nothing changed. */
bool config_set(struct config *config, const struct config_target *target, struct bytes text,
                struct config_mark mark, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Reads a file's text. The configuration is spoilt when this fails. */
bool config_read(struct config *config, struct bytes text, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Reads the file. */
bool config_load(struct config *config, const char *path, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Fills in what depends on other values, and checks what has to agree. After all sources. */
bool config_finish(struct config *config, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Adds all keys and their values as YAML with comments. */
void config_write(const struct config *config, struct buffer *out_text);

/* --- the parts that the reader of files shares with the rest --- */

/* Sets `out_fault` at that place. Returns false. */
bool config_fault_set(struct config_fault *out_fault, struct config_mark mark, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

#endif
