/* A pool with a clock that tests turn by hand and a runtime that only writes down what it is told.
 */
#ifndef SNAKEPIT_TESTS_UNIT_POOL_FAKE_H
#define SNAKEPIT_TESTS_UNIT_POOL_FAKE_H

#include "pool/pool.h"

enum { FAKE_LOG = 4096 };

struct fake_invoke {
    struct worker_ref worker;
    uint64_t call_id;
    struct call *call; /* not a reference: only to be compared */
    uint64_t remaining_us;
    bool session_begins;
};

struct fake_credit {
    uint64_t call_id;
    uint64_t bytes;
};

struct fake {
    struct runtime runtime; /* first */
    struct registry *registry;
    struct pool *pool;
    struct tool *tool; /* "echo" */
    struct tool *slow; /* "slow" */
    struct mailbox home;

    unsigned invoke_count, credit_count, cancel_count, recall_count, start_count, stop_count,
        flush_count, end_count;
    unsigned refork_count;  /* of the stops */
    uint64_t stop_grace_us; /* of the last one */
    struct fake_invoke invokes[FAKE_LOG];
    struct fake_credit credits[FAKE_LOG];
    uint64_t cancels[FAKE_LOG];
    uint64_t recalls[FAKE_LOG];
    struct worker_ref starts[FAKE_LOG];
    struct worker_ref stops[FAKE_LOG];
    struct worker_ref ends[FAKE_LOG]; /* of sessions */
    uint64_t alarm_us;
    struct fake_invoke runs; /* what a worker says that it is in */
    unsigned attached;       /* by fake_attach() */

    unsigned ready_events, gone_events, started_events, failed_events;
};

/* The clock of all fakes, microseconds. */
extern uint64_t fake_now_us;

/* `adjust` may change the options before the pool is made; NULL leaves them. Two workers, queue
 * of 4. */
void fake_init(struct fake *fake, void (*adjust)(struct pool_options *options));

/* The same, and every first worker attaches. */
void fake_begin(struct fake *fake, void (*adjust)(struct pool_options *options));

/* For `adjust`: one worker, and nothing that would judge the calls it dies with: neither breaker
 * nor poison. */
void fake_alone(struct pool_options *options);

/* For `adjust`: so many workers, and nothing else that would move their number: no sending ahead,
 * no jitter, room for all that waits. */
void fake_set_size(struct pool_options *options, unsigned min, unsigned max);

/* Ends everything that is left and frees, with the test's references to what it did not expect. */
void fake_deinit(struct fake *fake);

/* The worker of the n-th start attaches, with one slot or so many. */
void fake_ready(struct fake *fake, unsigned start, unsigned slots);

/* Every process that was asked for and has not attached yet does, with one slot. */
void fake_attach(struct fake *fake);

/* A new call, to be filled in and sent; the reference is the test's. */
struct call *fake_make(struct fake *fake, struct tool *tool);
struct call *fake_send(struct fake *fake, struct call *call);

/* A new call, submitted; the reference is the test's. */
struct call *fake_submit(struct fake *fake, struct tool *tool);

/* The same, of one that may be run again, with these arguments. */
struct call *fake_submit_idempotent(struct fake *fake, const char *args);

/* The next call in the mailbox is this one and ended so; drops the test's reference. */
void fake_expect(struct fake *fake, struct call *call, enum call_end end,
                 enum call_executed executed);

/* The n-th invocation is answered with a result, after it ran that long. */
void fake_answer(struct fake *fake, unsigned invoke, uint64_t run_us);

/* The same, but no time has passed: that it ran so long is what the worker says. */
void fake_claim(struct fake *fake, unsigned invoke, uint64_t run_us);

/* The n-th invocation's worker says that it runs these calls together. */
void fake_join(struct fake *fake, unsigned invoke, const uint64_t *ids, size_t count);

/* Keeps two workers busy with a call each of a tool that was never measured; and answers these, the
 * first two invocations. */
void fake_occupy(struct fake *fake, struct call *out_calls[2]);
void fake_release(struct fake *fake, struct call *calls[2]);

/* Teaches the pool that the tool takes `us`. */
void fake_measure(struct fake *fake, struct tool *tool, uint64_t us);

/* One call of "echo" comes, runs and is answered. */
void fake_run_one(struct fake *fake);

/* The worker of the n-th start dies by `signal`; `started` may be NULL: nothing had started. */
void fake_die(struct fake *fake, unsigned start, int signal, const struct started_calls *started);

/* The worker of the n-th start is killed from outside, while it runs the call of that id; 0: none.
 */
void fake_kill(struct fake *fake, unsigned start, uint64_t running);

/* The worker of the n-th invocation dies of a segfault while it runs that call. */
void fake_crash(struct fake *fake, unsigned invoke);

/* The newest invocation's worker dies so; the next one becomes ready, however long it takes. */
void fake_crash_newest(struct fake *fake);

/* The worker of that id is to be replaced. */
void fake_recycle(struct fake *fake, const char *id);

/* The worker of the n-th start has left, as it was told. */
void fake_left(struct fake *fake, unsigned start);

/* Takes the next call out of the mailbox and drops the mail's reference; NULL when it is empty. */
struct call *fake_posted(struct fake *fake);

/* Moves the clock and lets the pool do what is due. */
void fake_pass(struct fake *fake, uint64_t us);

struct pool_view fake_look(struct fake *fake);

/* Workers in that state. */
unsigned fake_count(struct fake *fake, enum worker_state state);

#endif
