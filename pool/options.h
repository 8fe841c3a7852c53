/* What a pool is to be like. */
#ifndef SNAKEPIT_POOL_OPTIONS_H
#define SNAKEPIT_POOL_OPTIONS_H

#include "pool/session.h"
#include "pool/tool.h"

#include <limits.h>
#include <stdint.h>

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
    uint64_t recall_after_us; /* how much longer it may wait there before it is taken back; 0: for
                                 ever */
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
 * priority level, streams 900 s, 1 ms ahead, back after 100 ms, 5 s of grace; one retry of
 * idempotent calls after 50 ms; a minute of taint; poisonous after 3, for an hour; breaker of 5
 * losses and 30 s; no recycling, 10 % jitter, 2 s to leave; target 100 ms, idle 30 s; the monotonic
 * clock. */
struct pool_options pool_defaults(void);

/* Stands for a number that is to stay as it is. */
#define POOL_KEEP UINT_MAX

#endif
