/* What a change of the pool leaves to be done once the lock is released: calls to the runtime and
 * the observer, and answers to post. Collected under the lock on the caller's stack, applied after
 * it. */
#ifndef SNAKEPIT_POOL_EFFECTS_H
#define SNAKEPIT_POOL_EFFECTS_H

#include "base/mailbox.h"
#include "pool/call.h"
#include "pool/observer.h"
#include "pool/runtime.h"

#include <stdbool.h>

enum { EFFECTS_MAX = 64, EFFECTS_HOMES = 64 };

struct effects {
    unsigned invoke_count;
    struct {
        struct worker_ref worker;
        uint64_t call_id;
        struct call
            *call; /* a reference of its own: the call may end before the invocation is encoded */
        uint64_t remaining_us;
        bool session_begins;
    } invokes[EFFECTS_MAX];

    unsigned cancel_count;
    struct {
        struct worker_ref worker;
        uint64_t call_id;
        bool recall;
    } cancels[EFFECTS_MAX];

    unsigned credit_count;
    struct {
        struct worker_ref worker;
        uint64_t call_id;
        uint64_t bytes;
    } credits[EFFECTS_MAX];

    unsigned start_count;
    struct {
        struct worker_ref worker;
        char id[WORKER_ID_MAX];
    } starts[EFFECTS_MAX];

    unsigned stop_count;
    struct {
        struct worker_ref worker;
        uint64_t grace_us;
        bool refork;
    } stops[EFFECTS_MAX];

    /* Answers, a chain for each mailbox. */
    unsigned home_count;
    struct {
        struct mailbox *box;
        struct mail *first;
        struct mail *last;
    } homes[EFFECTS_HOMES];

    struct nested *abandoned; /* by their parents, a chain */

    uint64_t alarm_us; /* 0: none */
    bool flush;        /* send frames now; a reactor does it itself at the end of its turn */
};

static inline void effects_init(struct effects *effects)
{
    effects->invoke_count = effects->cancel_count = effects->credit_count = effects->start_count =
        effects->stop_count = effects->home_count = 0;
    effects->abandoned = NULL;
    effects->alarm_us = 0;
    effects->flush = false;
}

/* No room for one more of anything but answers: apply, then come back for the rest. */
static inline bool effects_full(const struct effects *effects)
{
    return effects->invoke_count == EFFECTS_MAX || effects->cancel_count == EFFECTS_MAX ||
           effects->credit_count == EFFECTS_MAX || effects->start_count == EFFECTS_MAX ||
           effects->stop_count == EFFECTS_MAX;
}

/* Tells the worker that nobody waits for the call there, or that it is recalled, see runtime.h.
 * Needs room. */
static inline void effects_cancel(struct effects *effects, struct worker_ref worker,
                                  uint64_t call_id, bool recall)
{
    effects->cancels[effects->cancel_count].worker = worker;
    effects->cancels[effects->cancel_count].recall = recall;
    effects->cancels[effects->cancel_count++].call_id = call_id;
    effects->flush = true;
}

/* Lets the worker leave, be killed or be forked from, see runtime.h. Needs room. */
static inline void effects_stop(struct effects *effects, struct worker_ref worker,
                                uint64_t grace_us, bool refork)
{
    effects->stops[effects->stop_count].worker = worker;
    effects->stops[effects->stop_count].refork = refork;
    effects->stops[effects->stop_count++].grace_us = grace_us;
}

/* Posts the call, DONE, to its home; takes the pool's reference. */
void effects_answer(struct effects *effects, struct call *call);

/* Does it all. Without the pool's lock. */
void effects_apply(struct effects *effects, struct runtime *runtime);

#endif
