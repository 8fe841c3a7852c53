#include "pool/inside.h"

void pool_leave_pumping(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    while (!schedule_pump(pool, now_us, effects)) {
        pool_leave(pool, effects);
        bool flush = effects->flush;
        now_us = pool_enter(pool, effects);
        effects->flush = flush;
    }
    pool_leave(pool, effects);
}

void pool_leave_balancing(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    staff_balance(pool, now_us, effects);
    while (effects_full(effects)) {
        pool_leave(pool, effects);
        now_us = pool_enter(pool, effects);
        staff_balance(pool, now_us, effects);
    }
    effects->flush = true;
    pool_leave_pumping(pool, now_us,
                       effects); /* calls may have lost the only worker they waited for */
}

bool pool_note_started(struct pool *pool)
{
    if (pool->state != POOL_STARTING || staff_ready_count(pool) < pool->wanted)
        return false;
    pool->state = POOL_RUNNING;
    return true;
}

void pool_tell_started(struct pool *pool)
{
    if (pool->observer.ops->pool_started)
        pool->observer.ops->pool_started(pool->observer.context, pool);
}

void pool_tell_failed(struct pool *pool, const char *reason)
{
    if (pool->observer.ops->pool_failed)
        pool->observer.ops->pool_failed(pool->observer.context, pool, reason);
}
