/* Workers that are to be replaced: first each one is outdated, then, when its turn comes, it
 * retires, and once there are others it is drained. All of it under the pool's lock. */
#ifndef SNAKEPIT_POOL_RENEWAL_H
#define SNAKEPIT_POOL_RENEWAL_H

#include "pool/inside.h"

/* The worker is to be replaced when its turn comes; `why` is static. */
void renewal_wish(struct worker *worker, const char *why);

/* As renewal_wish(), for a reason that its successors may have as well: if it was not given a call
 * yet, they come ever more slowly. Returns whether it is time to say so. */
bool renewal_wish_early(struct pool *pool, struct worker *worker, const char *why, uint64_t now_us);

/* The worker has answered calls. Returns whether it has now run so many that it is to go, or to be
 * what others are forked from. */
bool renewal_is_used_up(struct pool *pool, struct worker *worker);

/* Wishes those replaced that are too old; and replaces at once those that are stuck. */
void renewal_review(struct pool *pool, uint64_t now_us, struct effects *effects);

/* Those whose turn has come retire, before it is seen who is missing; and once there are enough
 * others that can work, those who retire go. */
void renewal_retire(struct pool *pool);
void renewal_relieve(struct pool *pool, struct effects *effects);

#endif
