/* The supervisor: the thread that does the clock's work and watches processes. A libuv loop; other
 * threads send it messages. */
#ifndef SNAKEPIT_BRIDGE_SUPERVISOR_H
#define SNAKEPIT_BRIDGE_SUPERVISOR_H

#include "base/list.h"
#include "base/mailbox.h"
#include "bridge/warden.h"
#include "pool/call.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct supervisor;

/* Something to be done on the supervisor's thread. Allocated by the sender; `run` frees it. */
struct errand {
    struct mail mail;
    void (*run)(struct errand *errand);
};

/* A process that is watched. Embedded in its owner; supervisor's thread only. */
struct process {
    struct list place;
    pid_t pid;   /* 0: none */
    bool killed; /* by supervisor_kill() */
    void (*on_exit)(struct process *process, const struct worker_exit *exit);
};

/* Makes the process that calls it a child subreaper, and starts the thread. SIGCHLD must be blocked
 * in all others. `warden` is borrowed. */
struct supervisor *supervisor_start(struct warden *warden);

/* Ends the loop as soon as every watched process has ended and every handle of others is closed,
 * joins the thread and frees. */
void supervisor_stop(struct supervisor **supervisor);

/* The loop, for handles that live on the supervisor's thread. */
uv_loop_t *supervisor_loop(struct supervisor *supervisor);

/* Any thread. */
void supervisor_send(struct supervisor *supervisor, struct errand *errand);

/* A process is about to be started, and is then watched; or it could not be. Supervisor's thread.
 */
void supervisor_expect(struct supervisor *supervisor, bool expects);

/* Tells process->on_exit() when `pid` has ended, at once if it has already. It must be our child,
 * or become it, and lead its process group, which is killed when it ends. Supervisor's thread. */
void supervisor_watch(struct supervisor *supervisor, struct process *process, pid_t pid);

/* The process is `to`'s from now on, which hears of its end. Supervisor's thread. */
void supervisor_hand_over(struct supervisor *supervisor, struct process *from, struct process *to);

/* Kills the process and its group. Harmless when there is none. Supervisor's thread. */
void supervisor_kill(struct process *process);

#endif
