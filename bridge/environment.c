#include "bridge/environment.h"

#include "base/mem.h"
#include "bridge/run.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names, or beginnings of names, of ours that pass. */
static const char *const passed_on[] = {
    "PATH=",
    "HOME=",
    "USER=",
    "LANG=",
    "LC_",
    "TZ=",
    "TMPDIR=",
    "PYTHON",
    "VIRTUAL_ENV",
    "LD_",
    "SSL_CERT_",
    "CUDA_",
    "NVIDIA_",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
    "NUMEXPR_",
    "VECLIB_",
    "HF_",
    "XDG_CACHE_HOME=",
    "XDG_RUNTIME_DIR=",
    "ASAN_",
    "TSAN_",
    "UBSAN_",
};

/* Parts of names that pass in no case: HF_TOKEN, for one. */
static const char *const secret[] = {"TOKEN", "SECRET", "PASSW", "CREDENTIAL", "_KEY", "APIKEY"};

/* Numeric libraries must not start a thread per core in every worker. Last, so that both the
 * gateway's environment and the configuration come before. */
static const char *const thread_limits[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                            "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
                                            "VECLIB_MAXIMUM_THREADS"};

enum { THREAD_LIMITS = sizeof thread_limits / sizeof thread_limits[0] };

static size_t name_length(const char *variable)
{
    return strcspn(variable, "=");
}

static bool is_secret(const char *variable)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)name_length(variable), variable);
    for (unsigned i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        if (strcasestr(name, secret[i]))
            return true;
    }
    return false;
}

static bool is_passed_on(const char *variable)
{
    for (unsigned i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        if (strncmp(variable, passed_on[i], strlen(passed_on[i])) == 0)
            return !is_secret(variable);
    }
    return false;
}

/* The value of `name` (with its '=') in a NULL-terminated list, or NULL. */
static const char *value_of(const char *const *list, const char *name)
{
    for (; list && *list; list++) {
        if (strncmp(*list, name, strlen(name)) == 0)
            return *list + strlen(name);
    }
    return NULL;
}

static size_t length(const char *const *list)
{
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

/* Adds a copy, unless there is such a variable already. */
static void add(char **made, const char *variable)
{
    size_t at = 0, name = name_length(variable) + 1;
    for (; made[at]; at++) {
        if (strncmp(made[at], variable, name) == 0)
            return;
    }
    made[at] = mem_strdup(variable);
}

static void add_path(char **made, const struct environment_source *source)
{
    const char *path = value_of(source->extra, "PYTHONPATH=");
    if (!path)
        path = value_of(source->ours, "PYTHONPATH=");
    size_t size = strlen(source->package_path) + (path ? strlen(path) : 0) + 16;
    char *variable = mem_alloc(size);
    snprintf(variable, size, "PYTHONPATH=%s%s%s", source->package_path, path ? ":" : "",
             path ? path : "");
    add(made, variable);
    free(variable);
}

char **environment_make(const struct environment_source *source)
{
    const char *const *extra = source->extra;
    size_t room = length(source->ours) + length(extra) + THREAD_LIMITS + 4;
    char control[40], number[40], mark[160];
    char **made = mem_array(room, sizeof(char *));
    snprintf(control, sizeof control, "SNAKEPIT_CONTROL_FD=%d", source->control_fd);
    add(made, control);
    snprintf(mark, sizeof mark, "%s=%s", RUN_VARIABLE, source->mark);
    if (source->mark)
        add(made, mark);
    add_path(made, source);
    for (; extra && *extra; extra++)
        add(made, *extra);
    for (const char *const *ours = source->ours; ours && *ours; ours++) {
        if (is_passed_on(*ours))
            add(made, *ours);
    }
    for (unsigned i = 0; i < THREAD_LIMITS; i++) {
        snprintf(number, sizeof number, "%s=%u", thread_limits[i], source->threads);
        add(made, number);
    }
    return made;
}

void environment_free(char ***environment)
{
    char **gone = *environment;
    *environment = NULL;
    for (size_t i = 0; gone && gone[i]; i++)
        free(gone[i]);
    free(gone);
}
