#include "pool/breaker.h"

bool breaker_admit(struct breaker *breaker, uint64_t now_us)
{
    if (breaker->state == BREAKER_OPEN && now_us >= breaker->until_us)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN || breaker->trial)
        return false;
    breaker->trial = true;
    return true;
}

static void open_up(struct breaker *breaker, uint64_t now_us)
{
    breaker->state = BREAKER_OPEN;
    breaker->until_us = now_us + breaker->open_us;
    breaker->opened++;
}

void breaker_note(struct breaker *breaker, enum breaker_verdict verdict, uint64_t now_us)
{
    breaker->trial = false;
    if (verdict == BREAKER_NEITHER)
        return;
    if (verdict == BREAKER_SUCCESS) {
        breaker->losses = 0;
        if (breaker->state == BREAKER_HALF_OPEN)
            breaker->state = BREAKER_CLOSED;
        return;
    }
    breaker->losses++;
    bool too_many = breaker->threshold && breaker->losses >= breaker->threshold;
    if (breaker->state == BREAKER_HALF_OPEN || (breaker->state == BREAKER_CLOSED && too_many))
        open_up(breaker, now_us);
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
