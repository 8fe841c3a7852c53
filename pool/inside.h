/* The pool's insides, for the files of this room alone: what there is under the lock, and the way
 * in and out. */
#ifndef SNAKEPIT_POOL_INSIDE_H
#define SNAKEPIT_POOL_INSIDE_H

#include "base/heap.h"
#include "base/histogram.h"
#include "base/list.h"
#include "base/siphash.h"
#include "pool/breaker.h"
#include "pool/effects.h"
#include "pool/observer.h"
#include "pool/options.h"
#include "pool/poison.h"
#include "pool/queue.h"
#include "pool/runtime.h"
#include "pool/state.h"
#include "pool/tool.h"
#include "pool/worker.h"

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
    struct pool_timer recall; /* see recall.h */
    uint64_t wanting_us;      /* when a call last found no worker */
    uint64_t random;          /* for jitter */

    uint64_t wait_us; /* moving average of the wait */
    uint64_t ends[CALL_ENDS];
    uint64_t emitted[EMISSION_KINDS];
    uint64_t late_answers, recovered, requeued, recalled, retries, starts, crashes, recycled;
    struct histogram queue_seconds, run_seconds;
};

/* Takes the lock; returns the time. */
uint64_t pool_enter(struct pool *pool, struct effects *effects);

/* Releases it and carries out the effects. */
void pool_leave(struct pool *pool, struct effects *effects);

/* The worker of that name, or NULL when it is gone. Under the lock. */
struct worker *pool_resolve(struct pool *pool, struct worker_ref ref);

#endif
