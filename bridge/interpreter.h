/* A Python process of ours on its way to being a zygote or a worker (see BOOT.md): started with a
 * control socket, told what to load, then to fork or to become a worker. All on the supervisor's
 * thread. */
#ifndef SNAKEPIT_BRIDGE_INTERPRETER_H
#define SNAKEPIT_BRIDGE_INTERPRETER_H

#include "bridge/run.h"
#include "bridge/supervisor.h"

#include <stdbool.h>

struct interpreter;

/* How a worker runs its calls. */
enum worker_profile {
    PROFILE_PROCESS, /* one at a time, in the main thread */
    PROFILE_THREAD,  /* one in each of its threads */
    PROFILE_ASYNC,   /* as tasks of one event loop; synchronous tools in up to 8 threads */
};

/* A resource limit of workers, soft and hard: "AS" or "CORE" in bytes, "CPU" in seconds, "NOFILE",
 * "NPROC" (counted for the whole user), or another name of setrlimit(2) without its RLIMIT_. */
struct worker_limit {
    const char *name;
    uint64_t value;
};

/* How to start, what to load and what workers are like. Borrowed for the life of the interpreter.
 */
struct interpreter_options {
    const char *const *pythons;    /* programs to try in turn, NULL-terminated */
    const char *package_path;      /* directory that holds snakepit_bridge */
    const char *adapter;           /* "module.Class" or "module" */
    const char *preload;           /* "numpy,pandas", or empty */
    uint64_t load_timeout_us;      /* for all that to be imported, at least 1 ms */
    const char *snakebridge_allow; /* likewise: modules that SnakeBridge may reach */
    const char *pool;
    const struct run *run;  /* whose mark they bear; NULL: none */
    unsigned threads;       /* of numeric libraries in a worker, at least 1 */
    const char *const *env; /* further NAME=VALUE for workers, NULL-terminated, or NULL */
    const struct worker_limit *limits; /* set in each worker before its adapter is made */
    size_t limit_count;
    bool no_new_privs; /* no rights by set-user-ID programs */
};

/* Who a worker is to be. Borrowed for the call. */
struct interpreter_task {
    const char *worker;
    const char *token; /* hex */
    const char *address;
    enum worker_profile profile;
    unsigned slots;
    int page_fd;
    int error_fd;    /* what it writes to standard error goes there */
    int channel_fd;  /* its end of the descriptor channel */
    int output_fd;   /* what it writes to standard output goes there */
    int template_fd; /* its control socket, should others be forked from it one day; or -1 */
};

struct interpreter_handler {
    /* Everything is imported. If not `forkable`, `reason` says why not. */
    void (*loaded)(void *context, struct interpreter *interpreter, bool forkable,
                   const char *reason);
    /* A worker was forked. */
    void (*forked)(void *context, struct interpreter *interpreter, const char *worker, pid_t pid);
    /* A worker could not be forked, or could not start and is about to end, and why. */
    void (*unable)(void *context, struct interpreter *interpreter, const char *worker,
                   const char *reason);
    /* It could not load, or it ended, or became a worker and that ended. Last; frees itself
     * afterwards. `reason` says why it could not load, and is NULL when it had loaded. */
    void (*ended)(void *context, struct interpreter *interpreter, const char *reason,
                  const struct worker_exit *exit);
};

/* Starts a process. Failures come through ended(), later. `handler` is borrowed. */
struct interpreter *interpreter_start(struct supervisor *supervisor,
                                      const struct interpreter_options *options,
                                      const struct interpreter_handler *handler, void *context);

/* A worker that has been told to let go of its stream: others are to be forked from it. `control`,
 * our end of its control socket, is taken; `worker` is its process. Then as interpreter_start(),
 * but that it has loaded already. */
struct interpreter *interpreter_adopt(struct supervisor *supervisor,
                                      const struct interpreter_options *options,
                                      const struct interpreter_handler *handler, void *context,
                                      int control, struct process *worker);

/* Asks a loaded one to fork a worker. False when it cannot be asked. */
bool interpreter_fork(struct interpreter *interpreter, const struct interpreter_task *task)
    __attribute__((warn_unused_result));

/* Makes a loaded one a worker. From then on it only ends. */
bool interpreter_become(struct interpreter *interpreter, const struct interpreter_task *task)
    __attribute__((warn_unused_result));

/* Ends it, whatever it does. ended() follows. */
void interpreter_kill(struct interpreter *interpreter);

/* Its process, 0 when there is none. */
pid_t interpreter_pid(const struct interpreter *interpreter);

#endif
