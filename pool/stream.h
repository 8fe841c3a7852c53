/* What calls say before they end, and how much they may: credit, see bridge.proto. Any thread. */
#ifndef SNAKEPIT_POOL_STREAM_H
#define SNAKEPIT_POOL_STREAM_H

#include "pool/call.h"
#include "pool/runtime.h"

#include <stddef.h>
#include <stdint.h>

struct pool;

/* What a worker says of calls that go on, in order, before it answers them. */
void pool_worker_emits(struct pool *pool, struct worker_ref worker,
                       struct worker_emission *emissions, size_t count);

/* What the worker said of the call is wrong, and `why`, static: it ends now as a FAILURE. */
void pool_blame(struct pool *pool, struct call *call, const char *why);

/* Lets a stream emit `bytes` more, because its caller has taken so much; nothing happens when it
 * has ended. Does not send: pool_flush() does. */
void pool_credit(struct pool *pool, struct call *call, uint64_t bytes);

#endif
