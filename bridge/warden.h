/* The warden: a small process that outlives the gateway by a moment. When the gateway is gone,
 * however it went, it kills the process groups of the workers and what else their tools have
 * started, and removes the gateway's directory. */
#ifndef SNAKEPIT_BRIDGE_WARDEN_H
#define SNAKEPIT_BRIDGE_WARDEN_H

#include "bridge/run.h"
#include "bridge/rundir.h"
#include "pool/pool.h"

#include <stdbool.h>
#include <sys/types.h>

struct warden;

/* Process groups that it can keep in mind: each pool's seats, and the three processes at most from
 * which its workers are forked. */
enum { WARDEN_GROUPS = RUNDIR_SOCKETS * (POOL_MAX_SEATS + 3) };

/* Forks the warden; to be called before there are threads. NULL, with the reason logged, when that
 * fails. Both are borrowed. */
struct warden *warden_start(const struct run *run, const struct rundir *rundir);

/* Ends the warden, lets it clean up and frees. Accepts NULL inside. */
void warden_stop(struct warden **warden);

/* Whether that is the warden's own process. Any thread. */
bool warden_is(const struct warden *warden, pid_t pid);

/* A process is being started whose group is not known yet: should the gateway end now, it is looked
 * for by the run's mark. One thread. */
void warden_expect(struct warden *warden, bool expects);

/* Notes, or forgets, a process group to be killed. One that finds no room is logged. One thread. */
void warden_watch(struct warden *warden, pid_t group);
void warden_forget(struct warden *warden, pid_t group);

#endif
