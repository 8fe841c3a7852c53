#include "server/config/sdk_limits.h"

#include <stdio.h>

enum { LIMITS = 8, TEXT_MAX = 80 };

struct sdk_limits sdk_limits_default(void)
{
    return (struct sdk_limits){.value = 64 << 20,
                               .elements = 1000000,
                               .stream_ahead = 64 << 20,
                               .cache = 8 << 20,
                               .cache_us = 5000000,
                               .references = 10000,
                               .telemetry = 1024};
}

static const char *variable(struct arena *arena, const char *name, uint64_t value)
{
    char *text = arena_alloc(arena, TEXT_MAX);
    snprintf(text, TEXT_MAX, "%s=%llu", name, (unsigned long long)value);
    return text;
}

static const char *seconds(struct arena *arena, const char *name, uint64_t us)
{
    char *text = arena_alloc(arena, TEXT_MAX);
    snprintf(text, TEXT_MAX, "%s=%llu.%06llu", name, (unsigned long long)us / 1000000,
             (unsigned long long)us % 1000000);
    return text;
}

const char **sdk_limits_environment(const struct sdk_limits *limits, const char *const *env,
                                    struct arena *arena)
{
    size_t count = 0;
    while (env && env[count])
        count++;
    const char **made = arena_alloc(arena, (count + LIMITS + 1) * sizeof *made);
    for (size_t i = 0; i < count; i++)
        made[i] = env[i];
    const char **next = made + count;
    *next++ = variable(arena, "SNAKEPIT_VALUES_LIMIT", limits->value);
    *next++ = variable(arena, "SNAKEPIT_TOLIST_MAX_ELEMENTS", limits->elements);
    *next++ = variable(arena, "SNAKEPIT_STREAMS_AHEAD", limits->stream_ahead);
    *next++ = variable(arena, "SNAKEPIT_SESSIONS_VARIABLES_CACHE_SIZE", limits->cache);
    *next++ = seconds(arena, "SNAKEPIT_SESSIONS_VARIABLES_CACHE_TTL", limits->cache_us);
    *next++ = variable(arena, "SNAKEBRIDGE_REF_MAX", limits->references);
    *next++ = seconds(arena, "SNAKEBRIDGE_REF_TTL_SECONDS", limits->reference_us);
    *next++ = variable(arena, "SNAKEPIT_TELEMETRY_BUFFER", limits->telemetry);
    *next = NULL;
    return made;
}
