/* The circuit breaker of a pool: after so many losses in a row it refuses calls for a while, then
 * lets one through as a trial.
 *
 *     CLOSED ──threshold losses in a row──► OPEN ──time──► HALF_OPEN ──trial succeeds──► CLOSED
 *                                            ▲                │
 *                                            └──trial lost────┘
 *
 * A loss is a worker that died, with however many calls, or a call that ran for as long as its tool
 * and the pool allow; what a tool raises is none, nor is the end of a shorter time that a caller
 * chose. Calls that were let through before it opened end while it is open: only the trial's end
 * closes it. Pure, time is passed in; under the pool's lock. */
#ifndef SNAKEPIT_POOL_BREAKER_H
#define SNAKEPIT_POOL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state {
    BREAKER_CLOSED,    /* calls pass */
    BREAKER_OPEN,      /* calls are refused until `until_us` */
    BREAKER_HALF_OPEN, /* one trial is under way, or may be; others are refused */
};

struct breaker {
    unsigned threshold; /* losses in a row that open it; 0: never */
    uint64_t open_us;   /* for how long */
    enum breaker_state state;
    unsigned losses; /* in a row */
    bool trial;      /* is under way */
    uint64_t until_us;
    uint64_t opened; /* times, ever */
};

/* Whether a call may pass now, and whether it is the trial: it passes a half-open breaker. */
bool breaker_admit(struct breaker *breaker, uint64_t now_us, bool *out_trial);

/* How an admitted call ended, and whether it was the trial. `neither`: cancelled, say, which proves
 * nothing; it gives a trial back. */
enum breaker_verdict { BREAKER_SUCCESS, BREAKER_LOSS, BREAKER_NEITHER };
void breaker_note(struct breaker *breaker, enum breaker_verdict verdict, bool trial,
                  uint64_t now_us);

const char *breaker_state_name(enum breaker_state state);

#endif
