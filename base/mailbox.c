#include "base/mailbox.h"

/* The inbox is a stack of newest-first links; draining swaps it out whole and turns it round.
 * Chains are therefore linked in backwards before they are pushed. Release on push pairs with
 * acquire on drain, so what the poster wrote into the object is seen by the owner. */

void mailbox_init(struct mailbox *box, void (*wake)(void *context), void *context)
{
    atomic_init(&box->newest, NULL);
    box->wake = wake;
    box->context = context;
}

static struct mail *reversed(struct mail *chain)
{
    struct mail *turned = NULL;
    while (chain) {
        struct mail *rest = chain->next;
        chain->next = turned;
        turned = chain;
        chain = rest;
    }
    return turned;
}

/* `top` down to `bottom` is a newest-first chain. */
static void push(struct mailbox *box, struct mail *top, struct mail *bottom)
{
    struct mail *old = atomic_load_explicit(&box->newest, memory_order_relaxed);
    do {
        bottom->next = old;
    } while (!atomic_compare_exchange_weak_explicit(&box->newest, &old, top, memory_order_release,
                                                    memory_order_relaxed));
    if (!old && box->wake)
        box->wake(box->context);
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    push(box, mail, mail);
}

void mailbox_post_chain(struct mailbox *box, struct mail *first, struct mail *last)
{
    last->next = NULL;
    reversed(first);
    push(box, last, first);
}

struct mail *mailbox_drain(struct mailbox *box)
{
    return reversed(atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire));
}
