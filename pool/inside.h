/* The pool's insides, for the files of this room alone. All functions here want the pool's lock
 * held. */
#ifndef SNAKEPIT_POOL_INSIDE_H
#define SNAKEPIT_POOL_INSIDE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/siphash.h"
#include "pool/breaker.h"
#include "pool/effects.h"
#include "pool/poison.h"
#include "pool/pool.h"
#include "pool/queue.h"

#include <pthread.h>

struct pool {
    struct pool_options options;
    char name[33];
    unsigned rank; /* among the pools of the registry */
    struct siphash_key key;
    struct registry *registry;
    struct runtime *runtime;
    struct observer observer;

    pthread_mutex_t lock; /* guards everything below */
    enum pool_state state;
    bool stopped; /* LEAVING, and nothing is left to be done */
    char reason[512];
    struct list calls;       /* all live ones, oldest first */
    uint64_t call_count;     /* there have been */
    struct call_queue queue; /* for any worker */
    struct list awaited;     /* workers that calls wait for which no other may run */
    unsigned pinned;         /* how many such calls wait */
    struct heap timers;
    uint64_t alarm_us; /* the runtime calls pool_tick() then; UINT64_MAX: not at all */
    struct breaker breaker;
    struct poison poison;

    struct worker *workers; /* options' most, and some more for replacements */
    unsigned seats;
    unsigned seats_used; /* the first ones, that were ever taken: all that a call looks at */
    struct list free;    /* READY workers with a free slot, in the order in which they are chosen */
    unsigned retrying;   /* calls that are QUEUED, but wait for their retry and not in `queue` */
    unsigned wanted;     /* workers that are to last */
    uint64_t next_number;
    bool cold;               /* a warm worker is wanted, to fork others from */
    uint64_t reload_number;  /* workers up to this one are replaced by the last reload */
    unsigned early_deaths;   /* in a row: processes that died before they answered anything, or were
                                to be replaced before they were given a call */
    uint64_t start_after_us; /* no process is started before */
    uint64_t complain_after_us; /* nor is it said before that workers are replaced too early */
    struct pool_timer review;
    uint64_t wanting_us; /* when a call last found no worker */
    uint64_t random;     /* for jitter */

    uint64_t wait_us; /* moving average of the wait */
    uint64_t ends[CALL_ENDS];
    uint64_t emitted[EMISSION_KINDS];
    uint64_t late_answers, recovered, requeued, retries, starts, crashes, recycled;
    struct histogram queue_seconds, run_seconds;
};

/* --- inside.c: in and out of the monitor; these two are called without the lock --- */

/* Takes the lock; returns the time. */
uint64_t pool_enter(struct pool *pool, struct effects *effects);

/* Releases it and carries out the effects. */
void pool_leave(struct pool *pool, struct effects *effects);

/* The worker of that name, or NULL when it is gone. */
struct worker *pool_resolve(struct pool *pool, struct worker_ref ref);

/* --- turn.c: how a turn in the monitor ends; these leave it --- */

/* Leaves, and comes back as often as there is more to dispatch than one set of effects holds. */
void pool_leave_pumping(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Lets the number of workers follow, as often as there is more to do than one set of effects holds,
 * and leaves likewise. */
void pool_leave_balancing(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Whether this is the moment at which all first workers are ready. Within the monitor. */
bool pool_note_started(struct pool *pool);

/* The observer hears of it. Without the lock. */
void pool_tell_started(struct pool *pool);
void pool_tell_failed(struct pool *pool, const char *reason);

/* --- scheduler.c: which call goes to which worker --- */

/* Why the call must be refused, if so. One that is let through may have become the breaker's trial.
 */
bool schedule_refuses(struct pool *pool, struct call *call, uint64_t now_us,
                      enum call_end *out_end);

/* Ends the call and leaves its answer in `effects`; takes it out of the queue or from its worker's
 * entry. */
void schedule_end(struct pool *pool, struct call *call, enum call_end end,
                  enum call_executed executed, struct effects *effects);

/* Ends every call that no worker has. */
void schedule_end_queued(struct pool *pool, enum call_end end, struct effects *effects);

/* Ends a call that a worker has: the worker is told, and has the grace to let go of it. */
void schedule_give_up(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                      struct effects *effects);

/* One of the call's time limits has changed. */
void schedule_due(struct pool *pool, struct call *call);

/* Puts the call into the queue; `again`: it had its turn and lost its worker. */
void schedule_enqueue(struct pool *pool, struct call *call, bool again, uint64_t now_us);

/* Takes the call from the worker that died with it, and lets it wait for a while before it goes
 * into the queue again. */
void schedule_retry(struct pool *pool, struct call *call, uint64_t after_us, uint64_t now_us);

/* Gives queued calls to workers that can take them, in order. False: `effects` is full, apply it
 * and come again. */
bool schedule_pump(struct pool *pool, uint64_t now_us, struct effects *effects);

/* The worker's number of calls, or its state, has changed: puts it into, or takes it out of, the
 * list of free ones. */
void schedule_reconsider(struct pool *pool, struct worker *worker);

/* Ends a call that has lost the worker of its session: the one of that number, or the present one
 * (0). */
void schedule_lose(struct pool *pool, struct call *call, uint64_t number, struct effects *effects);

/* The worker is gone, or is killed: those that wait for it alone have lost it. */
void schedule_desert(struct pool *pool, struct worker *worker, struct effects *effects);

/* Whether the worker can be given a call now, be it ahead. */
bool schedule_can_give(const struct pool *pool, const struct worker *worker);

/* --- forecast.c: how long things will take --- */

/* Notes a tool's measured run time. */
void forecast_measure(struct pool *pool, struct tool *tool, uint64_t run_us, uint64_t now_us);

/* The call, which a worker has, is out of time: its tool takes longer than that. */
void forecast_missed(const struct call *call, uint64_t now_us);

/* Whether the call, which is to be submitted, cannot be done in its time: the wait, at the pace of
 * now, and the tool's median are more than that. `only`: no other worker may run it; or NULL. */
bool forecast_is_hopeless(const struct pool *pool, const struct call *call,
                          const struct worker *only, uint64_t now_us);

/* The call has waited until what is left is less than its tool takes, and others wait behind it,
 * for whom the worker's time is not wasted. The last one tries: that is how a tool that has become
 * faster is noticed. */
bool forecast_comes_too_late(const struct pool *pool, const struct call *call, uint64_t now_us);

/* Seconds until the caller of this call, which is refused or has waited in vain, may find room:
 * length of the queue by the pace of answers; or until the breaker lets a trial through, or the
 * next worker is started. 1 to 60. */
unsigned forecast_retry_after(const struct pool *pool, const struct call *call);

/* --- affinity.c: which workers a call may go to, and would rather --- */

enum affinity_verdict {
    AFFINITY_ANY,  /* any worker will do */
    AFFINITY_ONE,  /* one only */
    AFFINITY_BUSY, /* the only one has no free slot, and the call does not want to wait */
    AFFINITY_LOST, /* the only one is gone */
};

/* Where a call may go; with ONE the worker is written, else NULL. LOST is said once: the session
 * may choose another worker then. */
enum affinity_verdict affinity_judge(const struct pool *pool, const struct call *call,
                                     struct worker **out_worker);

/* The worker, of those that can take it now, where a call finds what it needs; NULL: any will do.
 * `free`: only one with a free slot. */
struct worker *affinity_prefer(const struct pool *pool, const struct call *call, bool free);

/* The worker gets a call. Returns whether it is the first one there of its session. */
bool affinity_follow(const struct pool *pool, const struct call *call, const struct worker *worker);

/* Whether no other worker may run the call. */
bool affinity_binds(const struct pool *pool, const struct call *call, const struct worker *worker);

/* The worker of that number, or with 0 the one of the call's session, is gone: the session may
 * choose another, if it has not done so. */
void affinity_release(const struct pool *pool, const struct call *call, uint64_t number);

/* Of an affinity key, not 0. */
uint64_t affinity_hash(const struct pool *pool, struct bytes key);

/* --- limits.c: how long calls may take --- */

/* Writes into the call which limits hold. */
void limits_settle(const struct pool *pool, struct call *call);

/* Whether the call, which has its state still, ends because its tool used up what it gets where the
 * caller wishes nothing: the time to run, or that in all and most of it by running. A stream that
 * has emitted something does so by silence only: it may last as long as its reader wants. */
bool limits_used_up(const struct pool *pool, const struct call *call, enum call_end end);

/* --- stream.c: what calls say before they end --- */

/* A worker is given the call: with the credit of its window, if it is a stream. */
void stream_begin(struct call *call, uint64_t now_us);

/* --- nested.c: what calls wait for --- */

/* The call ends, or has lost its worker: what it waits for is given up. While it has its entry. */
void nested_abandon(struct call *parent, struct effects *effects);

/* --- staff.c: the workers' seats --- */

/* The longest wait before another process is started; one that has lived so long was of use. */
enum { STAFF_BACKOFF_MAX_US = 5000000 };

/* Begins to look after the number of workers. */
void staff_open(struct pool *pool, uint64_t now_us);

/* Starts what is missing and dismisses what is too much. */
void staff_balance(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Calls have begun to wait: looks soon whether more workers are needed. */
void staff_hurry(struct pool *pool, uint64_t now_us);

/* The worker is to be replaced when its turn comes; `why` is static. */
void staff_retire(struct worker *worker, const char *why);

/* As staff_retire(), for a reason that its successors may have as well: if it was not given a call
 * yet, they come ever more slowly. Returns whether it is time to say so. */
bool staff_retire_early(struct pool *pool, struct worker *worker, const char *why, uint64_t now_us);

/* The worker takes no more calls, since nothing reaches it, and is about to end. */
void staff_lose(struct pool *pool, struct worker *worker, const char *why, struct effects *effects);

/* The worker is killed now, which is no crash: something keeps it from leaving. Needs room for a
 * stop in `effects`. */
void staff_kill(struct pool *pool, struct worker *worker, const char *why, struct effects *effects);

/* A worker has attached: others may go now. */
void staff_ready(struct pool *pool, struct worker *worker, uint64_t now_us,
                 struct effects *effects);

/* The worker has answered calls. */
void staff_answered(struct pool *pool, struct worker *worker, uint64_t now_us,
                    struct effects *effects);

/* A process has ended, or is to, before it did anything: the next one is not started at once. */
void staff_slow_down(struct pool *pool, uint64_t now_us);

/* READY workers; and of these, those that are to last. */
unsigned staff_able_count(const struct pool *pool);
unsigned staff_ready_count(const struct pool *pool);

/* --- death.c: workers that are gone --- */

/* The process has gone: deals with its calls, vacates the seat. Returns how many calls were lost.
 */
unsigned death_settle(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                      const struct started_calls *started, uint64_t now_us,
                      struct effects *effects);

#endif
