#include "pool/options.h"

#include "base/clock.h"

struct pool_options pool_defaults(void)
{
    return (struct pool_options){
        .name = "default",
        .min_workers = 1,
        .max_workers = 1,
        .queue_limit = 1000,
        .queue_timeout_us = UINT64_C(10000000),
        .run_timeout_us = UINT64_C(300000000),
        .timeout_us = UINT64_C(300000000),
        .stream_timeout_us = UINT64_C(900000000),
        .priority_step_us = 1000000,
        .ahead_budget_us = 1000,
        .recall_after_us = 100000,
        .cancel_grace_us = UINT64_C(5000000),
        .affinity = AFFINITY_HINT,
        .retry = RETRY_IDEMPOTENT,
        .max_retries = 1,
        .retry_backoff_us = {50000, 100000, 200000, 200000, 200000},
        .taint_us = UINT64_C(60000000),
        .poison_after = 3,
        .poison_ttl_us = UINT64_C(3600000000),
        .breaker_threshold = 5,
        .breaker_open_us = UINT64_C(30000000),
        .recycle_jitter = 10,
        .stop_grace_us = 2000000,
        .target_queue_us = 100000,
        .idle_us = UINT64_C(30000000),
        .now_us = clock_now_us,
    };
}
