#include "pool/breaker.h"

bool breaker_admit(struct breaker *breaker, uint64_t now_us, bool *out_trial)
{
    *out_trial = false;
    if (breaker->state == BREAKER_OPEN && now_us >= breaker->until_us)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN || breaker->trial)
        return false;
    breaker->trial = *out_trial = true;
    return true;
}

static void open_up(struct breaker *breaker, uint64_t now_us)
{
    breaker->state = BREAKER_OPEN;
    breaker->until_us = now_us + breaker->open_us;
    breaker->losses = 0;
    breaker->opened++;
}

static void note_trial(struct breaker *breaker, enum breaker_verdict verdict, uint64_t now_us)
{
    breaker->trial = false;
    if (verdict == BREAKER_SUCCESS)
        breaker->state = BREAKER_CLOSED;
    else if (verdict == BREAKER_LOSS)
        open_up(breaker, now_us);
}

void breaker_note(struct breaker *breaker, enum breaker_verdict verdict, bool trial,
                  uint64_t now_us)
{
    if (trial) {
        note_trial(breaker, verdict, now_us);
    } else if (breaker->state == BREAKER_CLOSED && verdict == BREAKER_SUCCESS) {
        breaker->losses = 0;
    } else if (breaker->state == BREAKER_CLOSED && verdict == BREAKER_LOSS) {
        breaker->losses++;
        if (breaker->threshold && breaker->losses >= breaker->threshold)
            open_up(breaker, now_us);
    }
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open",
    };
    return names[state];
}
