/* Looking into a pool. Any thread. */
#ifndef SNAKEPIT_POOL_VIEW_H
#define SNAKEPIT_POOL_VIEW_H

#include "base/bytes.h"
#include "base/histogram.h"
#include "pool/breaker.h"
#include "pool/call.h"
#include "pool/poison.h"
#include "pool/runtime.h"
#include "pool/session.h"
#include "pool/state.h"
#include "pool/tool.h"
#include "pool/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;

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
    uint64_t recalled; /* the same from living ones, to which they had been sent ahead */
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

/* Writes down that call, which is there as long as somebody has a reference, in whatever state. */
void pool_look_at(struct pool *pool, const struct call *call, struct call_view *out_view);

/* Writes the id of the session's last worker, or nothing when that is gone. */
void pool_look_at_session(struct pool *pool, const struct session *session,
                          char out_worker[WORKER_ID_MAX]);

/* How many of those that the last reload is to replace may still be given calls. */
unsigned pool_outdated(struct pool *pool);

#endif
