/* A call: one run of one tool for one caller, from its submission to its single answer.
 *
 *            submit                dispatch              start             first value
 *     NEW ───────────► QUEUED ───────────► DISPATCHED ───────────► RUNNING ───► STREAMING
 *      │                 │  ◄─────────────────┤ not started, and the     │          │
 *      │                 │                    │ worker died, or gave it  │          │
 *      │                 │                    │ back                     │          │
 *      └───────────────► DONE ◄───────────────┴──────────────────────────┴──────────┘
 *
 * A call that had started and is idempotent goes back from RUNNING to QUEUED as well; one of which
 * the caller has seen something does not.
 *
 * The caller makes it, fills in the request half and submits it; then it is the pool's until the
 * pool posts it, DONE and with its outcome, to the caller's mailbox (`home`), exactly once. The
 * caller keeps a reference of its own throughout. */
#ifndef SNAKEPIT_POOL_CALL_H
#define SNAKEPIT_POOL_CALL_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/shared.h"
#include "pool/session.h"
#include "pool/timer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tool;
struct worker;

enum call_state {
    CALL_NEW,        /* being filled in by its caller */
    CALL_QUEUED,     /* waits for a worker */
    CALL_DISPATCHED, /* given to a worker, not known to have started */
    CALL_RUNNING,    /* the worker has entered the tool's code, which is learnt when it dies; who
                        looks in is told by the runtime, see pool_look_at_call() */
    CALL_STREAMING,  /* it has emitted something */
    CALL_DONE,       /* the outcome is final and posted to the caller */
};

/* How a call ended. */
enum call_end {
    CALL_END_RESULT,        /* the tool returned */
    CALL_END_FAILURE,       /* the tool raised, or the worker refused the call */
    CALL_END_CRASH,         /* the worker died with it */
    CALL_END_SATURATED,     /* refused: the queue is full */
    CALL_END_QUEUE_TIMEOUT, /* waited too long for a worker */
    CALL_END_TIMEOUT,       /* the tool ran too long */
    CALL_END_STREAM_IDLE,   /* the tool emitted nothing for too long */
    CALL_END_DEADLINE,      /* its time in all ran out */
    CALL_END_CANCELLED,     /* its caller gave it up */
    CALL_END_NO_WORKERS,    /* refused: the pool cannot start workers */
    CALL_END_UNREACHABLE,   /* refused, or ended while it waited: its deadline cannot be met */
    CALL_END_CIRCUIT_OPEN,  /* refused: the pool's circuit breaker is open */
    CALL_END_POISON,        /* refused: the same request has killed workers before */
    CALL_END_SESSION_LOST,  /* refused, or ended while it waited: its session's worker is gone */
    CALL_END_WORKER_BUSY,   /* refused: its session's worker has no free slot */
    CALL_END_SHUTDOWN,      /* refused or ended because the gateway is leaving */
};
enum { CALL_ENDS = CALL_END_SHUTDOWN + 1 };

/* 0 is the most urgent. */
enum { CALL_PRIORITIES = 8, CALL_DEFAULT_PRIORITY = 3 };

/* What a running call says before it ends. */
enum emission_kind { EMISSION_CHUNK, EMISSION_PROGRESS, EMISSION_LOG };
enum { EMISSION_KINDS = EMISSION_LOG + 1 };

/* Some values of one kind, in order: JSON texts, not checked. */
struct emission {
    enum emission_kind kind;
    size_t count;
    const struct bytes *bodies;
};

/* What each emitted value costs beside its length: of a stream's credit, bytes. */
enum { EMISSION_OVERHEAD = 64 };

/* Did the tool's code run? */
enum call_executed { EXECUTED_NO, EXECUTED_MAYBE, EXECUTED_YES };

/* How a worker process ended. */
struct worker_exit {
    bool expected;     /* it had been told to leave */
    bool outside;      /* by a SIGKILL that neither the gateway sent nor, for want of memory, the
                          kernel: nothing that runs in the worker is to blame */
    int signal;        /* that killed it, or 0 */
    int code;          /* exit code when signal is 0 */
    const char *cause; /* "segfault", "abort", "killed", "oom", "gpu", "exit", …; static */
    const char *why;   /* the gateway ended it before its time; static, or NULL */
};

/* Nothing that ran in the worker is to blame for its end. */
static inline bool worker_exit_is_nobodys(const struct worker_exit *exit)
{
    return exit->expected || exit->outside;
}

/* A tool's exception as the worker reports it. */
struct call_failure {
    struct bytes type;
    struct bytes message;
    struct bytes traceback;
    struct bytes context; /* JSON or empty */
    struct bytes code;    /* problem code, or empty */
    struct bytes details; /* JSON or empty */
    unsigned status;      /* HTTP-like status wished for, or 0 */
};

struct call_outcome {
    enum call_end end;
    enum call_executed executed;
    struct bytes body;         /* of a result */
    struct bytes content_type; /* of a result; empty means application/json */
    struct call_failure failure;
    struct worker_exit crash;
    unsigned retry_after_s; /* when to try again; 0: not said */
    unsigned limit;         /* that was reached, of SATURATED */
    unsigned attempts;      /* workers it was given to, and did not get it back from */
    uint64_t queue_us;      /* waited, in all */
    uint64_t run_us;        /* the tool's own time, as the worker measured it */
    char worker[64];        /* id of the last worker, or empty */
    struct arena *memory;   /* holds body, content_type and failure; the call's reference */
    struct shared *shared;  /* of a nested call: where the body lies, if that can be passed on */
};

/* Moves small outcomes into memory of their own, for those that are kept: what they lie in holds a
 * worker's whole frame. Nobody else may look meanwhile. */
void call_outcome_detach(struct call_outcome *outcome);

struct call {
    /* Set by the caller before submission. The bytes live in `arena` or longer. */
    struct arena *arena; /* the call's reference; the call itself lives in it */
    struct tool *tool;   /* borrows; tools live as long as their registry */
    struct bytes args;
    struct buffer payload;     /* owns what args points into, if that is not the arena */
    struct shared *shared;     /* where args lie, sealed, or NULL; the arena's */
    struct bytes content_type; /* of args; empty means application/json */
    struct session *session;   /* the call's reference until it ends; NULL: none */
    enum affinity affinity;    /* goes before that of the session */
    struct bytes affinity_key; /* calls of the same key go to the same worker; or empty */
    struct bytes session_id;   /* of it */
    uint64_t session_number;   /* of it; 0: none */
    struct bytes request_id;
    struct bytes correlation_id;
    struct bytes traceparent;
    struct bytes tracestate;
    struct bytes metadata; /* of the request, a JSON object; or empty */
    uint64_t timeout_us; /* in all, from submission. Of this and the next three the pool writes what
                            holds: the least of it, the tool's and the pool's limit, or, if 0 is all
                            there is, the pool's default */
    uint64_t queue_timeout_us;
    uint64_t run_timeout_us;  /* from dispatch */
    uint64_t idle_timeout_us; /* of a stream, between two emissions; 0: no limit */
    unsigned priority;        /* below CALL_PRIORITIES; call_new() sets the default */
    bool idempotent;          /* may be run again after its worker died */
    unsigned depth;           /* 0: a client's; else one more than the call's that asked for it */
    struct call *root;        /* then the client's above all, a reference; else NULL */

    /* Of a stream; `window` 0: one answer is wanted. */
    uint64_t window; /* credit to begin with, see Credit in bridge.proto */
    /* Called for each emission, in order, on any thread, which it must not block. The bytes are
     * borrowed. When the call is given up, the last one may come after the call is posted. */
    void (*on_emission)(struct call *call, const struct emission *emission);

    struct mailbox *home;               /* where the answer is posted, as `mail` */
    void *context;                      /* the caller's */
    void (*on_free)(struct call *call); /* the last reference has gone, on any thread: `context` may
                                           go too; or NULL */

    /* To be read by the caller once the call has been posted. */
    struct mail mail; /* mail.open is the caller's */
    struct call_outcome outcome;

    /* The pool's, under its lock. */
    enum call_state state;
    atomic_uint references;
    struct list place;       /* in the queue */
    struct worker *awaits;   /* in the queue for this worker alone */
    uint64_t content;        /* hash of the affinity key, or 0 */
    uint64_t fingerprint;    /* of tool and arguments, see poison.h; 0: not taken yet */
    struct list known;       /* in the pool's list of live calls */
    uint64_t number;         /* among those there have been in it, from 1 */
    struct pool_timer timer; /* queue timeout or deadline, whichever is next */
    struct inflight *inflight;
    bool trial;            /* the breaker's */
    unsigned retries;      /* after it had started; what never started is not counted */
    struct list nested;    /* what it waits for, see nested.h */
    unsigned nested_count; /* of these */
    uint64_t nested_total; /* of these, so far */
    uint64_t submitted_us;
    uint64_t enqueued_us;
    uint64_t turn_us;     /* see queue.h */
    uint64_t deadline_us; /* on the pool's clock */
    uint64_t run_due_us;  /* likewise, once it was dispatched */
    uint64_t idle_due_us; /* likewise; UINT64_MAX: no limit, or it waits for credit */
    int64_t credit;       /* what the worker may still emit, bytes */
};

/* What a running call waits for, see nested.h. Embedded in what its maker knows of it. The lower
 * half is the pool's, under the lock of the parent's. */
struct nested {
    uint64_t id;       /* the worker's own number for it */
    struct call *call; /* of a pool, not submitted before nested_begin(); NULL: it needs no worker.
                          Constant from then on; borrowed until one of both ends is told */
    /* The parent has ended, or does not want it any more, or it has taken too long. On any thread,
     * without a lock. */
    void (*give_up)(struct nested *nested);
    uint64_t timeout_us; /* after which it is given up, too; 0: only a nested call limits itself */

    bool timed_out;          /* why it is given up */
    struct pool_timer timer; /* the timeout */
    struct call *parent;     /* borrowed */
    struct list place;       /* among those of its parent */
    struct nested *next;     /* of those that are to be given up */
};

/* Makes a call in `arena`, of which it takes a reference. Returns with one reference, the caller's.
 */
struct call *call_new(struct arena *arena) __attribute__((returns_nonnull));
struct call *call_ref(struct call *call);

/* Drops a reference and clears the pointer; accepts NULL inside. The last one releases the arena
 * and the outcome. */
void call_unref(struct call **call);

/* What the call is part of, for who reads logs: its correlation id or, if it has none, its own. */
static inline struct bytes call_correlation(const struct call *call)
{
    return call->correlation_id.len ? call->correlation_id : call->request_id;
}

/* What time the worker that has the call still has for it, at least 1. Under the pool's lock. */
static inline uint64_t call_time_left(const struct call *call, uint64_t now_us)
{
    uint64_t due_us = call->deadline_us < call->run_due_us ? call->deadline_us : call->run_due_us;
    return due_us > now_us ? due_us - now_us : 1;
}

/* Moves the call on. Aborts on a move that the picture above does not have. Under the pool's lock.
 */
void call_move(struct call *call, enum call_state next);

#endif
