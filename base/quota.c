#include "base/quota.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

struct quota {
    atomic_uint references;
    atomic_uint out;
    unsigned limit;
};

struct quota *quota_new(unsigned limit)
{
    struct quota *quota = MEM_NEW(struct quota);
    atomic_init(&quota->references, 1);
    quota->limit = limit;
    return quota;
}

void quota_unref(struct quota **quota)
{
    struct quota *gone = *quota;
    *quota = NULL;
    if (gone && atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) == 1)
        free(gone);
}

bool quota_take(struct quota *quota)
{
    if (atomic_fetch_add_explicit(&quota->out, 1, memory_order_relaxed) >= quota->limit) {
        atomic_fetch_sub_explicit(&quota->out, 1, memory_order_relaxed);
        return false;
    }
    atomic_fetch_add_explicit(&quota->references, 1, memory_order_relaxed);
    return true;
}

void quota_give(struct quota **quota)
{
    atomic_fetch_sub_explicit(&(*quota)->out, 1, memory_order_relaxed);
    quota_unref(quota);
}
