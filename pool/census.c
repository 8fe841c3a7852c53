#include "pool/census.h"

unsigned census_able(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state == WORKER_READY;
    return count;
}

unsigned census_ready(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += census_lasts(&pool->workers[i]) && pool->workers[i].state == WORKER_READY;
    return count;
}

unsigned census_busy(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state == WORKER_READY && pool->workers[i].inflight_count > 0;
    return count;
}

unsigned census_lasting(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        bool lost = worker->lost && worker->state == WORKER_DRAINING;
        count += census_lasts(worker) || (lost && !worker->retiring);
    }
    return count;
}

unsigned census_retiring(const struct pool *pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->seats; i++) {
        const struct worker *worker = &pool->workers[i];
        bool is_busy = worker->state == WORKER_DRAINING && !worker->leaving;
        count += worker->retiring && worker->state != WORKER_VACANT && !is_busy;
    }
    return count;
}

unsigned census_processes(const struct pool *pool)
{
    unsigned count = 0, lasting = census_lasting(pool);
    for (unsigned i = 0; i < pool->seats; i++)
        count += pool->workers[i].state != WORKER_VACANT;
    return lasting < pool->wanted ? count + pool->wanted - lasting : count;
}
