/* Requests that killed workers. A request is known by a fingerprint of its tool and its arguments;
 * one that has killed too often is refused. Forgotten a time after it has killed last; bounded: of
 * those that have killed least the one seen longest ago goes first. Under the pool's lock.
 *
 * When a worker dies that ran several calls at once, nobody knows which of them did it, and each is
 * suspected. One that goes on to be answered is cleared of suspicion, so that only what never ends
 * otherwise comes to be refused; what killed while it ran alone stays counted. */
#ifndef SNAKEPIT_POOL_POISON_H
#define SNAKEPIT_POOL_POISON_H

#include "base/siphash.h"
#include "pool/call.h"

enum { POISON_MAX = 256 };

struct poison_entry {
    uint64_t fingerprint; /* 0: unused */
    const struct tool *tool;
    unsigned kills;  /* workers that died while they ran it */
    unsigned alone;  /* of these, how many ran nothing else */
    uint64_t worker; /* number of the last of them */
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

/* The worker of that number, which is never used again, died while it ran this call, and no other
 * if `alone`. Several calls of the same request are one. */
void poison_note(struct poison *poison, struct call *call, uint64_t worker, bool alone,
                 uint64_t now_us);

/* Whether the call is known to kill. Costs nothing while nobody has been killed; the first time
 * after that its arguments are read. */
bool poison_blocks(const struct poison *poison, struct call *call);

/* A worker has answered this call: it is not suspected any more. */
void poison_acquit(struct poison *poison, struct call *call);

/* How many requests are refused. */
unsigned poison_count(const struct poison *poison);

/* Forgets the requests that have not killed for too long. */
void poison_expire(struct poison *poison, uint64_t now_us);

/* Forgets the request with that fingerprint, or all when it is 0. Returns how many. */
unsigned poison_clear(struct poison *poison, uint64_t fingerprint);

#endif
