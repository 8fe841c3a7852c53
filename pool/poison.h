/* Requests that killed workers. A request is known by a fingerprint of its tool and its arguments;
 * one that has killed too often is refused. Forgotten a time after it has killed last; bounded: the
 * one seen longest ago goes first. Under the pool's lock. */
#ifndef SNAKEPIT_POOL_POISON_H
#define SNAKEPIT_POOL_POISON_H

#include "base/siphash.h"
#include "pool/call.h"

enum { POISON_MAX = 256 };

struct poison_entry {
    uint64_t fingerprint; /* 0: unused */
    const struct tool *tool;
    unsigned kills;
    uint64_t last_us;
};

struct poison {
    unsigned after;  /* kills; 0: nothing is refused */
    uint64_t ttl_us; /* since the last kill; 0: for ever */
    struct siphash_key key;
    unsigned count;
    struct poison_entry entries[POISON_MAX];
};

/* Chooses a secret key. `after`: how many kills make a request poisonous; `ttl_us`: for how long.
 */
void poison_init(struct poison *poison, unsigned after, uint64_t ttl_us);

/* A worker died while it ran this call. */
void poison_note(struct poison *poison, const struct call *call, uint64_t now_us);

/* Whether the call is known to kill. Costs nothing while nobody has been killed. */
bool poison_blocks(const struct poison *poison, const struct call *call);

/* How many requests are refused. */
unsigned poison_count(const struct poison *poison);

/* Forgets the requests that have not killed for too long. */
void poison_expire(struct poison *poison, uint64_t now_us);

/* Forgets the request with that fingerprint, or all when it is 0. Returns how many. */
unsigned poison_clear(struct poison *poison, uint64_t fingerprint);

#endif
