/* The environment of a worker: an explicit list, so that the gateway's secrets are not in it. Pure
 * functions, any thread. */
#ifndef SNAKEPIT_BRIDGE_ENVIRONMENT_H
#define SNAKEPIT_BRIDGE_ENVIRONMENT_H

/* Where it comes from; all borrowed for the call. */
struct environment_source {
    const char *const *ours;  /* the gateway's own: what is on the list and no secret passes */
    const char *const *extra; /* NAME=VALUE, NULL-terminated: all of it, before ours; or NULL */
    const char *package_path; /* comes first in PYTHONPATH */
    int control_fd;           /* the control socket's number in the worker */
    const char *mark;         /* of the run, or NULL */
    unsigned threads;         /* for numeric libraries, if nobody says otherwise */
};

/* Returns a NULL-terminated array, owned with its strings. */
char **environment_make(const struct environment_source *source) __attribute__((returns_nonnull));

/* Clears the pointer; accepts NULL inside. */
void environment_free(char ***environment);

#endif
