/* Limits that the Python package keeps to, in the worker: it finds them in its environment. What a
 * pool's own `env` says goes before. */
#ifndef SNAKEPIT_SERVER_CONFIG_SDK_LIMITS_H
#define SNAKEPIT_SERVER_CONFIG_SDK_LIMITS_H

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

struct sdk_limits {
    size_t value;          /* bytes of a result, a value of a stream, a called tool's arguments */
    unsigned elements;     /* of an array that is written as JSON */
    size_t stream_ahead;   /* bytes that a coroutine may emit without awaiting its reader */
    size_t cache;          /* bytes of variables that a worker remembers */
    uint64_t cache_us;     /* for so long */
    unsigned references;   /* that a worker keeps for the callers of snakebridge */
    uint64_t reference_us; /* after the last use; 0: for ever */
    unsigned telemetry;    /* events and spans that wait in a worker */
};

/* What holds unless the configuration says otherwise. */
struct sdk_limits sdk_limits_default(void);

/* A pool's environment, NULL or NULL-terminated, with these limits added; in the arena. */
const char **sdk_limits_environment(const struct sdk_limits *limits, const char *const *env,
                                    struct arena *arena);

#endif
