/* A lock-free inbox: many threads post, the one thread that owns it drains. Wake-ups are coalesced:
 * only the post that finds it empty wakes the owner. */
#ifndef SNAKEPIT_BASE_MAILBOX_H
#define SNAKEPIT_BASE_MAILBOX_H

#include "base/container.h"

#include <stdatomic.h>

/* Sits in the object that is posted. An object is in one mailbox at a time. */
struct mail {
    struct mail *next;
    /* What the reader does with it, set by whoever made the object; so a mailbox can carry several
     * kinds. NULL where the mailbox carries one kind, whose reader knows. The object may be gone
     * afterwards. */
    void (*open)(struct mail *mail);
};

struct mailbox {
    _Atomic(struct mail *) newest;
    void (*wake)(void *context); /* from any thread; must not block; may be NULL */
    void *context;
};

void mailbox_init(struct mailbox *box, void (*wake)(void *context), void *context);

/* Posts one object. Any thread. */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* Posts a chain linked by `next` from `first` (to be read first) to `last`, with at most one
 * wake-up. Any thread. */
void mailbox_post_chain(struct mailbox *box, struct mail *first, struct mail *last);

/* Takes everything out, oldest first, linked by `next`; NULL when empty. Owner only. */
struct mail *mailbox_drain(struct mailbox *box);

#endif
