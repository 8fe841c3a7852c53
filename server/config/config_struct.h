/* What the configuration holds in the end, as its users find it. */
#ifndef SNAKEPIT_SERVER_CONFIG_CONFIG_STRUCT_H
#define SNAKEPIT_SERVER_CONFIG_CONFIG_STRUCT_H

#include "base/arena.h"
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
    unsigned output_lines;     /* a second of each worker and stream that are logged; 0: all */
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

#endif
