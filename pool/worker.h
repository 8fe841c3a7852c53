/* A worker's seat: the process that sits in it now, if any, and the calls that were given to it.
 *
 *     VACANT ──► STARTING ──► READY ──► DRAINING
 *        ▲          │           │          │
 *        └──────────┴───────────┴──────────┘  the process is gone
 *
 * Seats are as old as the pool; processes come and go in them. Everything here is under the pool's
 * lock. */
#ifndef SNAKEPIT_POOL_WORKER_H
#define SNAKEPIT_POOL_WORKER_H

#include "base/list.h"
#include "pool/call.h"
#include "pool/queue.h"
#include "pool/runtime.h"
#include "pool/timer.h"

#include <stdbool.h>
#include <stdint.h>

enum worker_state {
    WORKER_VACANT,   /* no process */
    WORKER_STARTING, /* a process was asked for */
    WORKER_READY,    /* attached, takes calls */
    WORKER_DRAINING, /* finishes what it has and what waits for it alone, takes nothing new */
};
enum { WORKER_STATES = WORKER_DRAINING + 1 };

/* Labels of what a worker has loaded that count. */
enum { WORKER_LABELS_MAX = 64 };

/* Calls one worker can have, running and sent ahead: INFLIGHT_USUAL, or its slots if these are
 * more, which is INFLIGHT_MAX at most. */
enum { INFLIGHT_USUAL = 256, INFLIGHT_BITS = 10, INFLIGHT_MAX = 1 << INFLIGHT_BITS };
_Static_assert((int)INFLIGHT_MAX >= (int)RUNNING_MAX, "a call in each slot has an id");
_Static_assert((int)INFLIGHT_MAX <= (int)STARTED_MAX, "none is forgotten before its answer came");

/* One call that a worker has and has not answered. */
struct inflight {
    uint64_t id; /* on the wire: grows with every call of the worker; its low INFLIGHT_BITS are the
                    index here. 0 = unused */
    struct worker *worker;
    struct call *call; /* the pool's reference; NULL once the caller was answered otherwise */
    struct list order; /* in `sent`, oldest first, or in `unused` */
    struct list mates; /* the ring of those that it is run with, in one slot */
    struct pool_timer
        grace;        /* until when the worker may take to give up a call that nobody waits for */
    bool recalled;    /* it is to come back if it has not started, see recall.h */
    uint64_t cost_us; /* what it was expected to take */
    uint64_t sent_us;
};

struct worker {
    struct worker_ref ref;
    char id[WORKER_ID_MAX];
    struct list free_place; /* in the pool's list of workers with a free slot */
    struct pool_timer
        taint; /* until when whoever sits here is chosen last: the one before crashed */
    int pid;
    uint64_t next_sequence;
    uint64_t started_us; /* when the process was asked for */
    uint64_t ready_us;
    uint64_t calls_done;
    uint64_t idle_since_us; /* READY without calls since then */
    unsigned bound;         /* sessions whose calls may go nowhere else */
    uint64_t stalled_us;    /* when `stalled` was said last */
    uint64_t max_calls;     /* UINT64_MAX: any number */
    uint64_t max_age_us;
    uint64_t resident; /* bytes, as measured last */

    /* How it goes: outdated, retiring, DRAINING, leaving, VACANT; or at once, see removal.h. */
    const char *outdated;   /* why it is to be replaced when its turn comes, or NULL */
    const char *retiring;   /* its turn has come: goes once there are others; or NULL */
    bool is_template;       /* workers are to be forked from its process once it has drained */
    bool leaving;           /* it was told to leave */
    bool lost;              /* nothing reaches it any more: it is about to end, or to be killed */
    const char *killed_for; /* static; why, should it be killed; or NULL */

    /* What its end says of the next one, and of the tools. */
    bool proven;     /* has answered a call */
    bool premature;  /* was to be replaced before it was given one */
    bool loss_noted; /* the breaker knows that it died with calls */

    struct call_queue waiting;          /* calls that no other worker may run */
    struct list awaited_place;          /* in the pool's list of those with such calls */
    uint64_t loaded[WORKER_LABELS_MAX]; /* hashes of what it says it has loaded */
    unsigned loaded_count;

    /* Every look for a worker reads these, so they lie side by side. */
    enum worker_state state;
    bool stalled; /* does not answer pings: it is given no calls until it does */
    bool late;    /* its calls take longer than expected: none is sent ahead until it has run one */
    unsigned slots;
    unsigned room;
    unsigned inflight_count;
    unsigned sharing;    /* of its calls: the slots saved by running them together */
    unsigned nesting;    /* of its calls, how many wait for others, see nested.h */
    uint64_t backlog_us; /* sum of cost_us over `sent` */

    struct inflight *inflight; /* `room` of them, owned; NULL until it is READY */
    const struct tool *latest; /* of the last call it was given, or NULL */
    struct list sent;
    struct list unused;
    bool stuck; /* scratch, see deadlock.c */
};

/* A VACANT seat; and its end, whoever sits in it. */
void worker_init(struct worker *worker, unsigned seat);
void worker_deinit(struct worker *worker);

/* Moves the seat on; aborts on a move that the picture above does not have. To and from VACANT go
 * worker_begin() and worker_end(). */
void worker_move(struct worker *worker, enum worker_state next);
const char *worker_state_name(enum worker_state state);

/* A new process comes into the VACANT seat, under this number and name. */
void worker_begin(struct worker *worker, const char *pool, uint64_t number, uint64_t now_us);

/* It is READY: makes room for its calls. */
void worker_ready(struct worker *worker, const struct worker_hello *hello, uint64_t now_us);

/* The process is gone and its calls have been dealt with: gives the room back. */
void worker_end(struct worker *worker);

static inline bool worker_is_tainted(const struct worker *worker)
{
    return heap_holds(&worker->taint.node);
}

/* As far as its calls go. Of those that it has been given each takes a slot, or all that it runs
 * together; how it does that it says a moment later. */
static inline bool worker_has_unused_slot(const struct worker *worker)
{
    return worker->inflight_count - worker->sharing < worker->slots &&
           worker->inflight_count < worker->room;
}

static inline bool worker_has_free_slot(const struct worker *worker)
{
    return worker->state == WORKER_READY && !worker->stalled && worker_has_unused_slot(worker);
}

static inline bool worker_is(const struct worker *worker, struct worker_ref ref)
{
    return worker->state != WORKER_VACANT && worker->ref.number == ref.number;
}

/* Notes that the worker gets this call, whose reference it takes. Returns the entry, with its new
 * id. The worker must have room. */
struct inflight *worker_take(struct worker *worker, struct call *call, uint64_t cost_us,
                             uint64_t now_us);

/* Notes that it runs these together; what it does not have, or runs with others, is left out. */
void worker_join(struct worker *worker, const struct worker_batch *batch);

/* The entry with that id, or NULL. */
struct inflight *worker_find(struct worker *worker, uint64_t id);

/* Forgets the entry. Its call must have been dealt with. */
void worker_release(struct worker *worker, struct inflight *entry);

#endif
