#include "bridge/oom.h"

void oom_init(struct oom *oom, uint64_t count)
{
    oom->explained = oom->seen = count;
}

bool oom_claim(struct oom *oom, uint64_t count)
{
    if (count <= oom->explained)
        return false;
    oom->explained++;
    return true;
}

void oom_settle(struct oom *oom, uint64_t count)
{
    if (oom->explained < oom->seen)
        oom->explained = oom->seen;
    oom->seen = count;
}
