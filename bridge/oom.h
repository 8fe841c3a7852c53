/* Which deaths by SIGKILL were the kernel's, for want of memory. All that is known is how many
 * processes it has killed so in our control group, see memory_oom_kills(): each kill of the count
 * explains one death, and one that no death has claimed for a while was of somebody else. Pure; the
 * count is passed in. */
#ifndef SNAKEPIT_BRIDGE_OOM_H
#define SNAKEPIT_BRIDGE_OOM_H

#include <stdbool.h>
#include <stdint.h>

struct oom {
    uint64_t explained; /* kills that are a death's, or nobody's */
    uint64_t seen;      /* the count when it was last settled */
};

/* What was counted so far is nobody's. */
void oom_init(struct oom *oom, uint64_t count);

/* A process has died of a SIGKILL that was not ours. Whether it was the kernel's. */
bool oom_claim(struct oom *oom, uint64_t count);

/* To be called now and then: a kill that was there the last time already is nobody's. */
void oom_settle(struct oom *oom, uint64_t count);

#endif
