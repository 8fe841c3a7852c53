/* The pool's insides, for the files of this room alone. All functions here want the pool's lock
 * held. */
#ifndef SNAKEPIT_POOL_INSIDE_H
#define SNAKEPIT_POOL_INSIDE_H

#include "base/heap.h"
#include "base/list.h"
#include "pool/effects.h"
#include "pool/pool.h"

#include <pthread.h>

struct pool {
    struct pool_options options;
    char name[33];
    struct registry *registry;
    struct runtime *runtime;
    struct observer observer;

    pthread_mutex_t lock; /* guards everything below */
    enum pool_state state;
    bool draining; /* takes no new calls; those that are in go on */
    char reason[512];
    struct worker *workers; /* options.workers seats */
    uint64_t next_number;
    struct list free;  /* READY workers with a free slot, the one that became free last first: its
                          caches are warm */
    struct list queue; /* calls, oldest first */
    unsigned queue_depth;
    struct heap timers;
    uint64_t alarm_us; /* the runtime calls pool_tick() then; UINT64_MAX: not at all */

    uint64_t answered_us;     /* when the last answer came */
    uint64_t answer_every_us; /* moving average of the time between answers */
    uint64_t ends[CALL_ENDS];
    uint64_t late_answers, requeued, starts, crashes;
    struct histogram queue_seconds, run_seconds;
};

/* --- scheduler.c: which call goes to which worker --- */

/* Ends the call and leaves its answer in `effects`; takes it out of the queue or from its worker's
 * entry. */
void schedule_end(struct pool *pool, struct call *call, enum call_end end,
                  enum call_executed executed, struct effects *effects);

/* Ends a call that a worker has: the worker is told, and has the grace to let go of it. */
void schedule_give_up(struct pool *pool, struct call *call, enum call_end end, uint64_t now_us,
                      struct effects *effects);

/* Puts the call at the end of the queue, or at its front when `again`: it had its turn and lost its
 * worker. */
void schedule_enqueue(struct pool *pool, struct call *call, bool again, uint64_t now_us);

/* Gives queued calls to workers that can take them, in order. False: `effects` is full, apply it
 * and come again. */
bool schedule_pump(struct pool *pool, uint64_t now_us, struct effects *effects);

/* The worker's number of calls has changed: puts it into, or takes it out of, the list of free
 * ones. */
void schedule_reconsider(struct pool *pool, struct worker *worker);

/* Notes a tool's measured run time. */
void schedule_measure(struct pool *pool, struct tool *tool, uint64_t run_us);

/* Seconds until a caller who is refused now may find room: length of the queue by the pace of
 * answers. 1 to 60. */
unsigned schedule_retry_after(const struct pool *pool);

/* --- staff.c: the life of worker seats --- */

/* Asks for a process for the VACANT seat. */
void staff_start(struct pool *pool, struct worker *worker, uint64_t now_us,
                 struct effects *effects);

/* The process has gone: deals with its calls, vacates the seat, plans the replacement. Returns how
 * many calls were lost. */
unsigned staff_gone(struct pool *pool, struct worker *worker, const struct worker_exit *exit,
                    const struct started_calls *started, uint64_t now_us, struct effects *effects);

#endif
