#include "pool/inside.h"

uint64_t pool_enter(struct pool *pool, struct effects *effects)
{
    effects_init(effects);
    pthread_mutex_lock(&pool->lock);
    return pool->options.now_us();
}

void pool_leave(struct pool *pool, struct effects *effects)
{
    const struct heap_node *first = heap_first(&pool->timers);
    if (first && first->key < pool->alarm_us)
        pool->alarm_us = effects->alarm_us = first->key;
    pthread_mutex_unlock(&pool->lock);
    effects_apply(effects, pool->runtime);
}

struct worker *pool_resolve(struct pool *pool, struct worker_ref ref)
{
    struct worker *worker = ref.seat < pool->seats ? &pool->workers[ref.seat] : NULL;
    return worker && worker_is(worker, ref) ? worker : NULL;
}
