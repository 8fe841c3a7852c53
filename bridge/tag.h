/* A completion-queue tag: every batch that was started yields one event, which runs it. Embedded in
 * its owner, one for each kind of batch, alive until the event has come. */
#ifndef SNAKEPIT_BRIDGE_TAG_H
#define SNAKEPIT_BRIDGE_TAG_H

#include <stdatomic.h>
#include <stdbool.h>

struct tag {
    void (*run)(struct tag *tag, bool success); /* on the thread of the queue */
    /* gRPC's own synchronisation is invisible to ThreadSanitizer: a release before the batch is
     * started and an acquire before it is run say the same in terms it understands. */
    atomic_uint fence;
};

static inline void tag_arm(struct tag *tag)
{
    atomic_fetch_add_explicit(&tag->fence, 1, memory_order_release);
}

static inline void tag_run(struct tag *tag, bool success)
{
    (void)atomic_load_explicit(&tag->fence, memory_order_acquire);
    tag->run(tag, success);
}

#endif
