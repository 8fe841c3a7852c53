/* The pool: a queue of calls and the workers that run them.
 *
 * A monitor: one mutex, short critical sections, no I/O and no callback under it. Every function
 * may be called from any thread unless it says otherwise. Effects of a change (frames, process
 * starts, answers) are carried out by the thread that made it, after the lock is released. */
#ifndef SNAKEPIT_POOL_POOL_H
#define SNAKEPIT_POOL_POOL_H

#include "base/histogram.h"
#include "pool/call.h"
#include "pool/observer.h"
#include "pool/runtime.h"
#include "pool/tool.h"
#include "pool/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;

struct pool_options {
    const char *name;          /* borrowed, [A-Za-z0-9_-]{1,32} */
    unsigned workers;          /* 1 to POOL_MAX_WORKERS */
    unsigned queue_limit;      /* calls that wait, at most */
    uint64_t queue_timeout_us; /* for calls that bring none */
    uint64_t timeout_us;       /* for calls that bring none */
    uint64_t ahead_budget_us; /* how long a call sent ahead to a busy worker may be expected to wait
                                 there; 0 = never */
    uint64_t cancel_grace_us; /* after which a worker that does not let go of a cancelled call is
                                 killed */
    uint64_t (*now_us)(void); /* the clock */
};

enum { POOL_MAX_WORKERS = 150, CALL_ENDS = CALL_END_SHUTDOWN + 1 };

/* name "default", one worker, queue 1,000, 10 s in the queue, 300 s in all, 1 ms ahead, 5 s of
 * grace, the monotonic clock. */
struct pool_options pool_defaults(void);

/* Borrows all but the options. `observer` is copied. No process is started yet. */
struct pool *pool_new(const struct pool_options *options, struct registry *registry,
                      struct runtime *runtime, struct observer observer)
    __attribute__((returns_nonnull));

/* Frees a pool that has no calls and no processes. Clears the pointer, accepts NULL inside. */
void pool_free(struct pool **pool);

const char *pool_name(const struct pool *pool);

/* Asks for the first processes. */
void pool_start(struct pool *pool);

/* --- for callers --- */

/* Takes a reference to the call until it is posted to call->home. Does not send: pool_flush() does.
 */
void pool_submit(struct pool *pool, struct call *call);

/* Sends what was submitted. To be called at the end of a turn of work. */
void pool_flush(struct pool *pool);

/* Nobody waits for the call any more: if it has not ended it ends now, CANCELLED. The worker is
 * told. */
void pool_cancel(struct pool *pool, struct call *call);

/* --- for the runtime --- */

/* The worker attached. False when it is not expected (any more): it must then be stopped. */
bool pool_worker_ready(struct pool *pool, struct worker_ref worker,
                       const struct worker_hello *hello) __attribute__((warn_unused_result));

/* Answers from a worker, in order. Each answer's bytes lie in `memory`, of which ended calls take
 * references. */
void pool_worker_answers(struct pool *pool, struct worker_ref worker,
                         const struct worker_answer *answers, size_t count, struct arena *memory);

/* The process is gone and nothing more will come from it. Its calls are answered or queued again; a
 * replacement is asked for. */
void pool_worker_gone(struct pool *pool, struct worker_ref worker, const struct worker_exit *exit,
                      const struct started_calls *started);

/* No process can be started, and why (copied): calls are refused from now on. */
void pool_fail(struct pool *pool, const char *reason);

/* Does what is due. Returns when it wants to be called next (UINT64_MAX: not at all);
 * runtime->alarm may ask for an earlier moment. One thread at a time. */
uint64_t pool_tick(struct pool *pool);

/* --- leaving --- */

/* Refuses new calls from now on; those that are in go on. */
void pool_drain(struct pool *pool);

/* Ends every call that is left (CALL_END_SHUTDOWN) and asks all workers to leave within `grace_us`.
 */
void pool_stop(struct pool *pool, uint64_t grace_us);

/* --- looking in --- */

enum pool_state {
    POOL_STARTING, /* not all first workers have been ready yet */
    POOL_RUNNING,
    POOL_FAILED,  /* cannot start workers; see `reason` */
    POOL_LEAVING, /* drained or stopped */
};

struct pool_view {
    enum pool_state state;
    char reason[512]; /* why it failed, or empty */
    unsigned workers_wanted;
    unsigned workers[WORKER_STATES];
    unsigned queue_depth;
    unsigned queue_limit;
    unsigned inflight; /* calls that workers have */
    uint64_t ends[CALL_ENDS];
    uint64_t late_answers; /* came for calls that had ended */
    uint64_t requeued;     /* calls taken back from dead workers */
    uint64_t starts;       /* processes asked for */
    uint64_t crashes;
    struct histogram queue_seconds;
    struct histogram run_seconds;
};

/* Writes down how the pool stands at this moment. */
void pool_look(struct pool *pool, struct pool_view *out_view);

struct worker_view {
    char id[WORKER_ID_MAX];
    enum worker_state state;
    int pid;
    unsigned slots;
    unsigned inflight;
    uint64_t calls_done;
    uint64_t age_us;     /* since it was asked for */
    uint64_t startup_us; /* from then until ready, 0 before */
};

/* Writes up to `max` workers that are not vacant; returns how many. */
unsigned pool_look_at_workers(struct pool *pool, struct worker_view *out_views, unsigned max);

const char *pool_state_name(enum pool_state state);

#endif
