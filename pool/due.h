/* Calls whose time is up. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_DUE_H
#define SNAKEPIT_POOL_DUE_H

#include "pool/inside.h"

/* The call has come to the pool: says what becomes of it when its timer is due. */
void due_init(struct call *call);

/* A worker is given the call: its time to run begins. */
void due_begin(struct pool *pool, struct call *call, uint64_t now_us);

/* A stream has emitted something, or may emit more: it is idle from now on, if its tool does not
 * wait for its reader. */
void due_idle(struct pool *pool, struct call *call, uint64_t now_us);

/* Its timer is due: it has waited too long, and ends; or for long enough, and waits on; or its
 * worker has had it for too long, and is told. */
void due_fire(struct pool *pool, struct call *call, uint64_t now_us, struct effects *effects);

#endif
