/* Which workers a call may go to, and would rather. All of it under the pool's lock, but for
 * affinity_hash(). */
#ifndef SNAKEPIT_POOL_AFFINITY_H
#define SNAKEPIT_POOL_AFFINITY_H

#include "pool/inside.h"

enum affinity_verdict {
    AFFINITY_ANY,  /* any worker will do */
    AFFINITY_ONE,  /* one only */
    AFFINITY_BUSY, /* the only one has no free slot, and the call does not want to wait */
    AFFINITY_LOST, /* the only one is gone */
};

/* Where a call may go; with ONE the worker is written, else NULL. LOST is said once: the session
 * may choose another worker then. */
enum affinity_verdict affinity_judge(const struct pool *pool, const struct call *call,
                                     struct worker **out_worker);

/* The worker, of those that can take it now, where a call finds what it needs; NULL: any will do.
 * `free`: only one with a free slot. */
struct worker *affinity_prefer(const struct pool *pool, const struct call *call, bool free);

/* The worker gets a call. Returns whether it is the first one there of its session. */
bool affinity_follow(const struct pool *pool, const struct call *call, struct worker *worker);

/* Nobody uses the session any more. */
void affinity_forget(const struct pool *pool, struct session *session);

/* Whether no other worker may run the call. */
bool affinity_binds(const struct pool *pool, const struct call *call, const struct worker *worker);

/* The worker of that number, or with 0 the one of the call's session, is gone: the session may
 * choose another, if it has not done so. */
void affinity_release(const struct pool *pool, const struct call *call, uint64_t number);

/* Of an affinity key, not 0. */
uint64_t affinity_hash(const struct pool *pool, struct bytes key);

/* The session's last worker, if it still takes calls; else NULL. */
const struct worker *affinity_last(const struct pool *pool, const struct session *session);

/* Writes the workers that have had calls of the session, and are there still; returns how many. */
unsigned affinity_visited(const struct pool *pool, const struct session *session,
                          struct worker_ref out_refs[POOL_MAX_SEATS]);

#endif
