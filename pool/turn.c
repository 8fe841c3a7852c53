#include "pool/turn.h"

#include "pool/census.h"
#include "pool/scheduler.h"
#include "pool/staff.h"

void turn_end_pumping(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    while (!schedule_pump(pool, now_us, effects)) {
        pool_leave(pool, effects);
        bool flush = effects->flush;
        now_us = pool_enter(pool, effects);
        effects->flush = flush;
    }
    pool_leave(pool, effects);
}

void turn_end_balancing(struct pool *pool, uint64_t now_us, struct effects *effects)
{
    staff_balance(pool, now_us, effects);
    while (effects_full(effects)) {
        pool_leave(pool, effects);
        now_us = pool_enter(pool, effects);
        staff_balance(pool, now_us, effects);
    }
    effects->flush = true;
    turn_end_pumping(pool, now_us,
                     effects); /* calls may have lost the only worker they waited for */
}

bool turn_note_started(struct pool *pool)
{
    if (pool->state != POOL_STARTING || census_ready(pool) < pool->wanted)
        return false;
    pool->state = POOL_RUNNING;
    return true;
}

void turn_tell_started(struct pool *pool)
{
    if (pool->observer.ops->pool_started)
        pool->observer.ops->pool_started(pool->observer.context, pool);
}

void turn_tell_failed(struct pool *pool, const char *reason)
{
    if (pool->observer.ops->pool_failed)
        pool->observer.ops->pool_failed(pool->observer.context, pool, reason);
}
