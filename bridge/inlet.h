/* An inlet: how large values arrive from a worker, see Parcel and Transfer in bridge.proto: as
 * descriptors by its channel, or in parts that are put together here. What a worker has sent and
 * spoken of in no message is bounded: what messages that take turns may hold, and what the channel
 * keeps.
 *
 * For one thread at a time: that which reads the link. */
#ifndef SNAKEPIT_BRIDGE_INLET_H
#define SNAKEPIT_BRIDGE_INLET_H

#include "bridge/channel.h"
#include "bridge/frame.h"

/* Of parcels in parts: bytes of all, and their number. A message has values of VALUE_MAX_BYTES at
 * most. */
enum { COLLECTED_MAX = PARCELS_OPEN * VALUE_MAX_BYTES, PARCELS_MAX = COLLECTED_MAX / SHARED_MIN };

struct collected;

/* A zeroed struct is an inlet where nothing has come, without a channel. */
struct inlet {
    struct channel *channel; /* borrowed, or NULL */
    struct collected *first; /* parcels of which parts have come */
    size_t size;             /* of these, whole */
    unsigned count;
    uint64_t taken; /* bytes of parts, in all */
    uint64_t told;  /* of which the worker knows that */
};

void inlet_deinit(struct inlet *inlet);

/* Takes parts; their bytes are copied. False: they make no sense, and the worker cannot be trusted
 * any more. */
bool inlet_add(struct inlet *inlet, const struct part *parts, size_t count)
    __attribute__((warn_unused_result));

/* Forgets what has come of these parcels, if there are such: the rest will not come. */
void inlet_drop(struct inlet *inlet, const uint64_t *ids, size_t count);

/* What the worker should be told to have been taken, 0: nothing yet. */
uint64_t inlet_receipt(struct inlet *inlet);

/* Puts the values into their places; they lie in `arena`, or in memory that is given back with it.
 * Those that did not come, or cannot be read without danger, are marked as lost. */
void inlet_fetch(struct inlet *inlet, struct arrival *arrivals, struct arena *arena);

#endif
