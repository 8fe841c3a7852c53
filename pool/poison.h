/* Requests that killed workers. A request is known by a fingerprint of its tool and its arguments;
 * one that has killed too often is refused. Bounded: the one seen longest ago is forgotten first.
 * Under the pool's lock. */
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
    unsigned after; /* kills; 0: nothing is refused */
    struct siphash_key key;
    unsigned count;
    struct poison_entry entries[POISON_MAX];
};

/* Chooses a secret key. `after`: how many kills make a request poisonous. */
void poison_init(struct poison *poison, unsigned after);

/* A worker died while it ran this call. */
void poison_note(struct poison *poison, const struct call *call, uint64_t now_us);

/* Whether the call is known to kill. Costs nothing while nobody has been killed. */
bool poison_blocks(const struct poison *poison, const struct call *call);

/* How many requests are refused. */
unsigned poison_count(const struct poison *poison);

/* Forgets the request with that fingerprint, or all when it is 0. Returns how many. */
unsigned poison_clear(struct poison *poison, uint64_t fingerprint);

#endif
