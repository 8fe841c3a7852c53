/* The pool: a queue of calls and the workers that run them.
 *
 * A monitor: one mutex, short critical sections, no I/O and no callback under it. Every function
 * may be called from any thread unless it says otherwise. Effects of a change (frames, process
 * starts, answers) are carried out by the thread that made it, after the lock is released.
 *
 *   pool.c       what the gateway asks of it: calls, size, reload
 *   report.c     what the bridge tells of the workers
 *   scheduler.c  which call goes to which worker; affinity.c, queue.c, breaker.c, poison.c
 *   limits.c     how long calls may take
 *   forecast.c   how long they will take, and wait
 *   stream.c     what calls say before they end, and how much they may
 *   nested.c     what calls wait for that they have asked for themselves
 *   staff.c      how many workers there are, and which one has to go
 *   death.c      what becomes of the calls of those that are gone
 *   inside.c     in and out of the monitor; turn.c: what is seen to on the way out
 *   leave.c      the end of it
 *   view.c       looking in
 */
#ifndef SNAKEPIT_POOL_POOL_H
#define SNAKEPIT_POOL_POOL_H

#include "base/histogram.h"
#include "pool/breaker.h"
#include "pool/call.h"
#include "pool/observer.h"
#include "pool/poison.h"
#include "pool/runtime.h"
#include "pool/session.h"
#include "pool/tool.h"
#include "pool/worker.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct pool;

enum {
    POOL_MAX_WORKERS = 150,
    POOL_MAX_SEATS = POOL_MAX_WORKERS + POOL_MAX_WORKERS / 4 + 1,
    POOL_RETRIES_MAX = 5
};

/* When a call whose worker died while it ran is run again. */
enum retry_policy { RETRY_NEVER, RETRY_IDEMPOTENT, RETRY_ALWAYS };

struct pool_options {
    const char *name;     /* borrowed, [A-Za-z0-9_-]{1,32} */
    unsigned min_workers; /* 0 to max_workers */
    unsigned max_workers; /* 1 to POOL_MAX_WORKERS */
    unsigned spare;       /* idle workers to keep, between min and max */

    unsigned queue_limit;       /* calls that wait, at most */
    uint64_t queue_timeout_us;  /* for calls that bring none */
    uint64_t run_timeout_us;    /* for calls that bring none */
    uint64_t timeout_us;        /* in all, for calls that bring none */
    uint64_t stream_timeout_us; /* the last two, for streams that bring none */
    struct time_limits caps;   /* for calls that bring more; of streams only queue_us and idle_us */
    uint64_t stream_cap_us;    /* both, for streams that bring more; 0: none */
    uint64_t priority_step_us; /* a call is overtaken by more urgent ones that come so much later,
                                  for each level between them */
    uint64_t ahead_budget_us; /* how long a call sent ahead to a busy worker may be expected to wait
                                 there; 0 = never */
    uint64_t cancel_grace_us; /* after which a worker that does not let go of a cancelled call is
                                 killed */

    enum affinity affinity; /* of sessions that bring none; not UNSAID */

    enum retry_policy retry;
    unsigned max_retries;                        /* 0 to POOL_RETRIES_MAX */
    uint64_t retry_backoff_us[POOL_RETRIES_MAX]; /* before the first, second, … retry */
    unsigned poison_after;                       /* workers a request may kill; 0: any number */
    uint64_t taint_us; /* for so long the replacement of a crashed worker is chosen last; 0: not */
    uint64_t poison_ttl_us;     /* after which that is forgotten; 0: never */
    unsigned breaker_threshold; /* losses in a row, see breaker.h; 0: no breaker */
    uint64_t breaker_open_us;

    uint64_t worker_max_age_us;   /* 0: any */
    uint64_t worker_max_calls;    /* 0: any */
    uint64_t worker_max_resident; /* bytes; 0: any */
    unsigned recycle_jitter;      /* percent by which age and calls of each worker vary downwards */
    uint64_t refork_after;  /* calls of a worker, after which others are forked from it; 0: never */
    uint64_t stop_grace_us; /* for a worker that is told to leave */

    uint64_t target_queue_us; /* more workers when calls wait longer */
    uint64_t idle_us;         /* fewer workers when some had nothing to do for so long */
    uint64_t (*now_us)(void); /* the clock */
};

/* name "default", one worker, queue 1,000, 10 s in the queue, 300 s run, 300 s in all, 1 s a
 * priority level, streams 900 s, 1 ms ahead, 5 s of grace; one retry of idempotent calls after 50
 * ms; a minute of taint; poisonous after 3, for an hour; breaker of 5 losses and 30 s; no
 * recycling, 10 % jitter, 2 s to leave; target 100 ms, idle 30 s; the monotonic clock. */
struct pool_options pool_defaults(void);

/* Borrows all but the options. Its tools come behind those of pools of `registry` made before.
 * `observer` is copied. No process is started yet. */
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

/* For whoever opens the call's mail, before anybody is told: an answer that has come this far only
 * after the deadline, because the thread of `home` was late, is none. Any thread. */
void pool_deliver(struct pool *pool, struct call *call);

/* Nobody waits for the call any more: if it has not ended it ends now, CANCELLED. The worker is
 * told. */
void pool_cancel(struct pool *pool, struct call *call);

/* The same for the live call with that request id. False: there is none. */
bool pool_cancel_request(struct pool *pool, struct bytes request_id);

/* What the worker said of the call is wrong, and `why`, static: it ends now as a FAILURE. */
void pool_blame(struct pool *pool, struct call *call, const char *why);

/* Lets a stream emit `bytes` more, because its caller has taken so much; nothing happens when it
 * has ended. Does not send: pool_flush() does. */
void pool_credit(struct pool *pool, struct call *call, uint64_t bytes);

/* Tells the workers that have had calls of this session, which nobody uses any more, to forget it.
 * Does not send: pool_flush() does. */
void pool_end_session(struct pool *pool, struct session *session);

/* Writes the id of the session's last worker, or nothing when that is gone. */
void pool_look_at_session(struct pool *pool, const struct session *session,
                          char out_worker[WORKER_ID_MAX]);

/* --- for the runtime --- */

/* The worker attached. False when it is not expected (any more): it must then be stopped. */
bool pool_worker_ready(struct pool *pool, struct worker_ref worker,
                       const struct worker_hello *hello) __attribute__((warn_unused_result));

/* Answers from a worker, in order. Each answer's bytes lie in `memory`, of which ended calls take
 * references. */
void pool_worker_answers(struct pool *pool, struct worker_ref worker,
                         const struct worker_answer *answers, size_t count, struct arena *memory);

/* What a worker says of calls that go on, in order, before it answers them. */
void pool_worker_emits(struct pool *pool, struct worker_ref worker,
                       struct worker_emission *emissions, size_t count);

/* The worker wants to be replaced. */
void pool_worker_wishes(struct pool *pool, struct worker_ref worker);

/* What the worker's process has in memory now, bytes. With more than worker_max_resident it is
 * replaced. */
void pool_worker_measured(struct pool *pool, struct worker_ref worker, uint64_t resident);

/* The worker does not answer pings any more, or does again: one that does not is given no calls. */
void pool_worker_stalled(struct pool *pool, struct worker_ref worker, bool stalled);

/* What the worker says it has loaded, instead of what it said before; WORKER_LABELS_MAX labels
 * count. */
void pool_worker_loaded(struct pool *pool, struct worker_ref worker, const struct bytes *labels,
                        size_t count);

/* Nothing can be sent to the worker any more. It is given no calls from now on; those it has are
 * settled when it is gone, be it that it ends by itself or is killed, `why` (static). */
void pool_worker_lost(struct pool *pool, struct worker_ref worker, const char *why);

/* The process is gone and nothing more will come from it but the answers that it left behind. Its
 * calls are answered or queued again; a replacement is asked for. */
void pool_worker_gone(struct pool *pool, struct worker_ref worker, const struct worker_exit *exit,
                      const struct started_calls *started);

/* No process can be started, and why (copied). If there is no other worker, calls are refused from
 * now on, until one is ready after all. */
void pool_fail(struct pool *pool, const char *reason);

/* Does what is due. Returns when it wants to be called next (UINT64_MAX: not at all);
 * runtime->alarm may ask for an earlier moment. One thread at a time. */
uint64_t pool_tick(struct pool *pool);

/* --- for operators --- */

/* Stands for a number that is to stay as it is. */
#define POOL_KEEP UINT_MAX

/* Changes how many workers there may be. NULL, or why not (static) and nothing changed. */
const char *pool_resize(struct pool *pool, unsigned min_workers, unsigned max_workers,
                        unsigned spare) __attribute__((warn_unused_result));

/* Replaces one worker, without losing a call: its replacement is ready before it takes no more.
 * False: there is no such worker. */
bool pool_recycle(struct pool *pool, struct bytes worker_id);

/* Replaces all workers there are now, a few at a time. */
void pool_reload(struct pool *pool);

/* Workers are forked from a process that has run no calls, as in the beginning: once one of them
 * has run `refork_after` calls, it is asked to take that process's place. */
void pool_is_cold(struct pool *pool);

/* How many of those that the last reload is to replace may still be given calls. */
unsigned pool_outdated(struct pool *pool);

/* Forgets poisonous requests: the one with that fingerprint, or all when it is 0. Returns how many.
 */
unsigned pool_forgive(struct pool *pool, uint64_t fingerprint);

/* --- leaving --- */

/* Refuses new calls from now on; those that are in go on, and get workers, but no second try. */
void pool_drain(struct pool *pool);

/* Ends every call that is left (CALL_END_SHUTDOWN): workers are told to stop what they run, and
 * then to leave within `grace_us`. */
void pool_stop(struct pool *pool, uint64_t grace_us);

/* --- looking in --- */

enum pool_state {
    POOL_STARTING, /* not all first workers have been ready yet */
    POOL_RUNNING,
    POOL_FAILED,  /* cannot start workers, or they die at once; see `reason` */
    POOL_LEAVING, /* drained or stopped */
};

struct pool_view {
    enum pool_state state;
    char reason[512]; /* why it failed, or empty */
    unsigned min_workers, max_workers, spare;
    unsigned workers_wanted;
    unsigned workers[WORKER_STATES];
    unsigned stalled;     /* of those that are READY */
    unsigned queue_depth; /* calls that wait */
    unsigned retrying;    /* of these, how many wait for another try after their worker died */
    unsigned pinned;      /* of these, how many wait for the worker of their session */
    unsigned queue_limit;
    uint64_t queue_oldest_us; /* how long the oldest has waited, retries left aside; 0 when nobody
                                 waits */
    uint64_t queue_wait_us;   /* moving average of the wait, alpha 0.2 */
    unsigned inflight;        /* calls that workers have */
    enum breaker_state breaker;
    uint64_t breaker_opened;
    unsigned poisoned;
    unsigned poison_after;
    uint64_t poison_ttl_us;
    uint64_t ends[CALL_ENDS];
    uint64_t late_answers;            /* came for calls that had ended, or to their callers */
    uint64_t emitted[EMISSION_KINDS]; /* values that streams emitted */
    uint64_t recovered;               /* answers that dead workers left behind */
    uint64_t requeued; /* calls taken back from dead workers before they had started */
    uint64_t retries;  /* calls run again after they had started */
    uint64_t starts;   /* processes asked for */
    uint64_t crashes;
    uint64_t recycled;
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
    bool retiring;
    bool tainted; /* chosen last, since it replaces one that crashed */
    bool stalled; /* does not answer pings: a long call holds the interpreter's lock, most likely */
    uint64_t calls_done;
    uint64_t resident;   /* bytes; 0 when not measured yet */
    uint64_t age_us;     /* since it was asked for */
    uint64_t startup_us; /* from then until ready, 0 before */
};

/* Writes up to `max` workers that are not vacant; returns how many. */
unsigned pool_look_at_workers(struct pool *pool, struct worker_view *out_views, unsigned max);

/* Writes up to `max` requests that have killed; returns how many. */
unsigned pool_look_at_poison(struct pool *pool, struct poison_entry *out_entries, unsigned max);

struct call_view {
    uint64_t number; /* in the order in which they came, from 1 */
    char request_id[129];
    char tool[TOOL_NAME_MAX + 1];
    char worker[WORKER_ID_MAX]; /* empty while it waits */
    enum call_state state;      /* RUNNING if the runtime says so, a moment later */
    struct worker_ref ref;      /* of the worker that has it */
    uint64_t call_id;           /* there; 0 while it waits */
    unsigned priority;
    unsigned attempts;
    uint64_t age_us;
};

/* Writes up to `max` live calls whose number is above `after`, oldest first; returns how many. */
unsigned pool_look_at_calls(struct pool *pool, uint64_t after, struct call_view *out_views,
                            unsigned max);

/* Writes down a live call of that request id, if there is one; returns how many there are. */
unsigned pool_look_at_call(struct pool *pool, struct bytes request_id, struct call_view *out_view);

const char *pool_state_name(enum pool_state state);

#endif
