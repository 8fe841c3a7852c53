/* A shadow of the pool for the randomised test: Python workers that obey nobody but the dice, what
 * has been promised to callers, and the rules of architecture.md that must hold after every step.
 */
#ifndef SNAKEPIT_TESTS_UNIT_POOL_MODEL_H
#define SNAKEPIT_TESTS_UNIT_POOL_MODEL_H

#include "pool/inside.h"
#include "pool/pool.h"

#include <check.h>

/* check's own assertions write to a pipe each time, which is too slow for millions. */
#define HOLDS(rule)                                                                                \
    do {                                                                                           \
        if (!(rule))                                                                               \
            ck_abort_msg("does not hold: %s", #rule);                                              \
    } while (0)
#define COMPARE(one, relation, other)                                                              \
    do {                                                                                           \
        if (!((one)relation(other)))                                                               \
            ck_abort_msg("does not hold: %s %s %s: %lld, %lld", #one, #relation, #other,           \
                         (long long)(one), (long long)(other));                                    \
    } while (0)

enum { MODEL_SEATS = 20, MODEL_CALLS = 256, MODEL_TEXTS = 24, MODEL_SESSIONS = 5, MODEL_ASKS = 4 };

/* A call as its caller sees it; call->context points here. */
struct promise {
    struct call *call; /* the caller's reference */
    unsigned index;    /* in model->promises */
    unsigned text;     /* which arguments */
    uint64_t serial;
    uint64_t deadline_us;
    unsigned session;  /* which one, counted from 1; 0: none */
    uint64_t instance; /* of the sessions that had that id */
    bool strict;
    struct job *job;           /* where it is now, or NULL */
    unsigned runs;             /* how often it may have been started */
    bool cancelled, abandoned; /* by the caller; and then it was still queued */
    unsigned heard;            /* values of the stream that reached the caller */
    uint64_t quiet_since_us;   /* it was given, or heard, or got credit */
    bool overdrawn;            /* the worker emitted more than it was allowed to */
    struct ask *asked_by;      /* the running call that waits for this one; or NULL */
    unsigned asks;             /* what it waits for itself */
};

/* What a running call has asked for: a call, or something that needs no worker. */
struct ask {
    struct nested nested;
    struct list known; /* in model->asks */
    struct promise *parent, *child;
    uint64_t due_us; /* UINT64_MAX: has no timeout of its own */
    bool over;       /* given up, but the call has not ended yet */
};

/* A call as a worker sees it. */
struct job {
    uint64_t call_id;
    uint64_t serial;
    struct promise *promise; /* NULL once its caller has an answer */
    uint64_t given_us;
    bool started, finished, told;
    bool recalled;    /* it is to be given back unless it has started */
    bool kept;        /* its answer, in the journal */
    int64_t credit;   /* of a stream: what it may emit, bytes */
    unsigned emitted; /* values */
};

struct process {
    bool alive, ready, told; /* told: to leave */
    bool asked;              /* one of its calls did, or waited still when it was last given one */
    struct worker_ref ref;
    char id[WORKER_ID_MAX];
    uint64_t visited[MODEL_SESSIONS + 1]; /* by which instance of a session, the last one */
    unsigned slots, job_count;
    struct job *jobs[INFLIGHT_MAX];
};

struct model {
    struct runtime runtime; /* first */
    struct registry *registry;
    struct session_store *sessions;
    uint64_t instances[MODEL_SESSIONS + 1];
    struct bond {
        uint64_t instance;
        struct worker_ref worker; /* that had its last call */
    } bonds[MODEL_SESSIONS + 1];
    struct pool *pool;
    struct tool *tools[2];
    struct mailbox home;
    uint64_t dice, alarm_us, next_serial;
    bool leaving, stopped;

    unsigned promise_count;
    struct promise *promises[MODEL_CALLS];
    struct process processes[MODEL_SEATS];
    struct guilt {
        unsigned kills; /* as many as the pool is to have counted, unless it forgets */
        unsigned alone;
        uint64_t worker; /* of the last of them */
    } guilt[MODEL_TEXTS];
    uint64_t ends[CALL_ENDS];
    struct list asks;
    uint64_t next_ask;
    uint64_t starts, crashes, late_answers, requeued, recalled, retries, recovered;
    uint64_t emitted[EMISSION_KINDS];
};

extern uint64_t model_now_us;

/* A number below `limit`. */
unsigned roll(struct model *model, unsigned limit);

void model_init(struct model *model, unsigned seed);
void model_deinit(struct model *model);

/* Reads the mailbox and checks every rule. Aborts the test when one is broken. */
void model_check(struct model *model);

/* After a tick nothing that is due is left. */
void model_check_nothing_due(const struct model *model);

/* A call with these arguments was run to its end. */
void model_acquit(struct model *model, unsigned text);

/* The number as text, in the arena. */
struct bytes model_print(struct arena *arena, uint64_t number);

/* A promise, and its call with what all of them have; to be submitted by model_submit(). */
struct promise *model_promise(struct model *model);
void model_submit(struct model *model, struct promise *promise);

/* Takes the job from its worker and frees it. */
void model_forget_job(struct process *process, struct job *job);

/* The process ends: some had finished without their answer having left; now and then nobody knows
 * what had started. */
void model_kill(struct model *model, struct process *process, bool expected);

/* --- model_stream.c --- */

/* Makes the call a stream. */
void model_make_stream(struct model *model, struct call *call);

/* A worker emits something: for streams and others, living and dead, at times more than it may. */
void model_emit(struct model *model, struct process *process);

/* The reader of a stream takes something. */
void model_read(struct model *model);

/* What holds for each promise. */
void model_check_stream(const struct promise *promise);

/* --- model_ask.c --- */

/* A running call asks for something. */
void model_ask(struct model *model, struct process *process);

/* What is asked for and needs no worker is there; what is asked for is not wanted any more. */
void model_answer_ask(struct model *model);
void model_drop_ask(struct model *model);

/* The promise is kept: whoever waits for it hears of it. */
void model_end_ask(struct model *model, struct promise *promise);

/* What holds for all; adds their timers. */
void model_check_asks(struct model *model, unsigned *out_timers);

#endif
