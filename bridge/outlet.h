/* An outlet: how large values leave for a worker, see Parcel and Transfer in bridge.proto. A value
 * goes ahead of its message: as a descriptor by the worker's channel or, if there is none or it
 * does not take any more, in parts that share the frames with everything else.
 *
 * outlet_pack() is for any thread; the rest is under the link's lock. */
#ifndef SNAKEPIT_BRIDGE_OUTLET_H
#define SNAKEPIT_BRIDGE_OUTLET_H

#include "base/list.h"
#include "bridge/channel.h"
#include "bridge/frame.h"

/* A message whose values go ahead in parts; it follows the last one. */
struct cargo {
    struct list place;
    uint64_t call_id; /* in whose name it is sent */
    struct buffer message;
    size_t size;          /* of the values, bytes */
    bool is_reply;        /* to a session operation; set by the link */
    struct loaded *first; /* that is to be sent, the following after it */
    struct arena *arena;
};

/* Cancellations that are remembered: one may overtake its call by a moment. */
enum { OUTLET_GIVEN_UP = 64 };

struct outlet {
    struct channel *channel; /* a reference, or NULL */
    atomic_ullong last_id;
    struct list open;    /* struct cargo, whose parts take turns */
    struct list waiting; /* behind these */
    unsigned open_count;
    uint64_t sent, taken;               /* bytes of parts: by us, and of these by the worker */
    uint64_t given_up[OUTLET_GIVEN_UP]; /* ids of calls, a ring */
    unsigned given_up_count;
};

/* Of a zeroed struct. */
void outlet_init(struct outlet *outlet);
void outlet_deinit(struct outlet *outlet);

/* From now on descriptors can be sent. Refers to the channel. Before anything is packed. */
void outlet_connect(struct outlet *outlet, struct channel *channel);

/* Sends the value ahead if it is large: `out_parcel` says under which name, or that it is not.
 * `shared`: where it lies, or NULL. If it has to go in parts, it becomes a part of `cargo`, which
 * is made if that is NULL; it is copied, unless `memory` is given, which holds it and of which a
 * reference is taken. */
void outlet_pack(struct outlet *outlet, struct bytes value, const struct shared *shared,
                 struct arena *memory, struct parcel *out_parcel, struct cargo **cargo);

/* Takes the cargo, whose message is complete; it is sent in the name of that call. */
void outlet_add(struct outlet *outlet, struct cargo *cargo, uint64_t call_id);

/* Frees a cargo that is not sent, and clears the pointer; accepts NULL inside. */
void cargo_free(struct cargo **cargo);

/* Whether there is a part that may be sent now. */
bool outlet_is_ready(const struct outlet *outlet);

/* Adds the next part to the frame, if there is one. Returns the cargo that is complete with it,
 * whose message is then to be added by the caller, who frees it; or NULL. */
struct cargo *outlet_fill(struct outlet *outlet, struct buffer *frame);

/* Nobody waits for that call any more. Takes out a cargo that is sent in its name; what has not
 * been sent of its values will not be, and the frame says so. Returns it as outlet_fill() does;
 * NULL: there is none, or no other. */
struct cargo *outlet_withdraw(struct outlet *outlet, uint64_t call_id, struct buffer *frame);

/* Nobody waits for that call any more, as outlet_withdraw() was told not long ago: what it is to be
 * run with need not be sent. */
bool outlet_has_given_up(const struct outlet *outlet, uint64_t call_id);

/* The worker has taken so many bytes of parts, in all. */
void outlet_taken(struct outlet *outlet, uint64_t bytes);

#endif
