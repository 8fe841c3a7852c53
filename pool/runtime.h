/* The runtime port: what the pool wants from whoever runs worker processes, and what it is told by
 * them.
 *
 * The pool never calls it while holding its lock, so between a decision and the call here the
 * worker may have gone: a runtime ignores what is meant for a worker it no longer has, since
 * pool_worker_gone() has dealt with its calls. */
#ifndef SNAKEPIT_POOL_RUNTIME_H
#define SNAKEPIT_POOL_RUNTIME_H

#include "base/bytes.h"
#include "pool/call.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct runtime;

/* Names one worker process: its seat in the pool, and a number that is never used again. */
struct worker_ref {
    unsigned seat;
    uint64_t number;
};

enum { WORKER_ID_MAX = 64 };

struct runtime_ops {
    /* Start a process for this seat. Answered by pool_worker_ready() or pool_worker_gone(). `id` is
     * borrowed. */
    void (*start)(struct runtime *runtime, struct worker_ref worker, const char *id);
    /* Put a call into the worker's next frame. `call` is borrowed for the duration; its bytes are
     * copied or referenced. `remaining_us`: time left, at least 1. `session_begins`: it is the
     * worker's first of the call's session. */
    void (*invoke)(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                   struct call *call, uint64_t remaining_us, bool session_begins);
    /* Let the call emit `bytes` more, see Credit in bridge.proto. */
    void (*credit)(struct runtime *runtime, struct worker_ref worker, uint64_t call_id,
                   uint64_t bytes);
    /* Tell the worker that this session is over, before any later call of the same id. */
    void (*end_session)(struct runtime *runtime, struct worker_ref worker, struct bytes id);
    /* Tell the worker that nobody waits for this call any more. */
    void (*cancel)(struct runtime *runtime, struct worker_ref worker, uint64_t call_id);
    /* Have the worker give the call back if it has not started, as one that failed without; of one
     * that has it says nothing, and goes on. */
    void (*recall)(struct runtime *runtime, struct worker_ref worker, uint64_t call_id);
    /* Let the worker finish within `grace_us` and leave; kill it afterwards, or now if that is 0.
     * Answered by pool_worker_gone(). */
    void (*stop)(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us);
    /* Send the frames that were filled. */
    void (*flush)(struct runtime *runtime);
    /* Call pool_tick() at `due_us` on the pool's clock or soon after; the earliest one asked for
     * counts. */
    void (*alarm)(struct runtime *runtime, uint64_t due_us);
    /* As stop(), but the process is to stay: workers are to be forked from it from then on.
     * Answered by pool_worker_gone() when it has let go of its stream. */
    void (*refork)(struct runtime *runtime, struct worker_ref worker, uint64_t grace_us);
    /* Whether the worker is in the code of that call's tool at this moment. For whoever looks in.
     */
    bool (*runs)(struct runtime *runtime, struct worker_ref worker, uint64_t call_id);
};

/* Embedded by the implementation. */
struct runtime {
    const struct runtime_ops *ops;
};

/* What a worker says when it is ready. */
struct worker_hello {
    int pid;
    unsigned slots;              /* calls it runs at once, 1 to RUNNING_MAX */
    struct bytes python_version; /* borrowed */
};

/* What a worker says of a call that goes on. The bytes are borrowed. */
struct worker_emission {
    uint64_t call_id;
    struct emission emission;
    bool lost;         /* its value did not come, or cannot be read */
    struct call *call; /* the pool's, while it deals with it */
};

/* Calls that a worker runs together, in one slot. Borrowed. */
struct worker_batch {
    const uint64_t *call_ids;
    size_t count;
};

/* A worker's answer to a call. The bytes lie in `memory` of pool_worker_answers(). */
struct worker_answer {
    uint64_t call_id;
    bool failed;  /* then `failure` and `started` hold, else body and content_type */
    bool started; /* the tool's code was entered */
    struct bytes body;
    struct bytes content_type;
    struct shared *shared; /* in which a large body lies, if that can be passed on; or NULL */
    bool lost;             /* a large body did not come: the runtime's, before it passes this on */
    struct call_failure failure;
    uint64_t run_us;
};

/* What is known of the calls a dead worker had. Ids in any order; whose answers had come may be
 * among them. */
enum { STARTED_MAX = 1024, RUNNING_MAX = 1024 };
struct started_calls {
    bool known; /* false: any of them may have run */
    unsigned started_count;
    unsigned running_count;
    unsigned finished_count;
    uint64_t started[STARTED_MAX];  /* the last ones that had been started; those that are running
                                       need not be there */
    uint64_t running[RUNNING_MAX];  /* those not finished */
    struct worker_answer *finished; /* answers that the worker left behind */
    struct arena *memory;           /* in which these lie; NULL when there are none */
};

#endif
