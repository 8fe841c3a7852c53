/* What the runtime tells the pool of its workers. Any thread. */
#ifndef SNAKEPIT_POOL_REPORT_H
#define SNAKEPIT_POOL_REPORT_H

#include "base/arena.h"
#include "pool/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

/* The worker attached. False when it is not expected (any more): it must then be stopped. */
bool pool_worker_ready(struct pool *pool, struct worker_ref worker,
                       const struct worker_hello *hello) __attribute__((warn_unused_result));

/* Answers from a worker, in order. Each answer's bytes lie in `memory`, of which ended calls take
 * references. */
void pool_worker_answers(struct pool *pool, struct worker_ref worker,
                         const struct worker_answer *answers, size_t count, struct arena *memory);

/* The worker runs calls together: the slots this saves are free. */
void pool_worker_batches(struct pool *pool, struct worker_ref worker,
                         const struct worker_batch *batches, size_t count);

/* The worker wants to be replaced. */
void pool_worker_wishes(struct pool *pool, struct worker_ref worker);

/* What the worker's process has in memory now, bytes. With more than worker_max_resident it is
 * replaced. */
void pool_worker_measured(struct pool *pool, struct worker_ref worker, uint64_t resident);

/* The worker does not answer pings any more, or does again: one that does not is given no calls. */
void pool_worker_stalled(struct pool *pool, struct worker_ref worker, bool stalled);

/* What the worker says it has loaded, instead of what it said before; WORKER_LABELS_MAX labels
 * count. */
void pool_worker_loaded(struct pool *pool, struct worker_ref worker, const struct bytes *labels,
                        size_t count);

/* Nothing can be sent to the worker any more. It is given no calls from now on; those it has are
 * settled when it is gone, be it that it ends by itself or is killed, `why` (static). */
void pool_worker_lost(struct pool *pool, struct worker_ref worker, const char *why);

/* The process is gone and nothing more will come from it but the answers that it left behind. Its
 * calls are answered or queued again; a replacement is asked for. */
void pool_worker_gone(struct pool *pool, struct worker_ref worker, const struct worker_exit *exit,
                      const struct started_calls *started);

/* No process can be started, and why (copied). If there is no other worker, calls are refused from
 * now on, until one is ready after all. */
void pool_fail(struct pool *pool, const char *reason);

/* Workers are forked from a process that has run no calls, as in the beginning: once one of them
 * has run `refork_after` calls, it is asked to take that process's place. */
void pool_is_cold(struct pool *pool);

#endif
