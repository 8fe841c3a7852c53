/* The descriptor channel: a Unix socket between the gateway and a worker of this machine, by which
 * large values go to and fro as descriptors of shared memory (see BOOT.md). A packet is the id of a
 * parcel and one descriptor. It is sent before the frame that speaks of it.
 *
 * Counted; any thread. */
#ifndef SNAKEPIT_BRIDGE_CHANNEL_H
#define SNAKEPIT_BRIDGE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct quota;
struct channel;

/* Descriptors that came and were not asked for yet: as many as a worker has calls that run, since
 * their answers come in any order. Of more, the oldest is forgotten. */
enum { CHANNEL_KEPT_MAX = 1024 };

/* Descriptors that came and were asked for, and stay open so that they can be handed on. */
enum { CHANNEL_HELD_MAX = 256 };

/* Makes a channel, with one reference, and in `out_theirs` the worker's end of it, close-on-exec,
 * which the caller closes. NULL with errno. */
struct channel *channel_new(int *out_theirs);
struct channel *channel_ref(struct channel *channel);

/* Drops a reference and clears the pointer; accepts NULL inside. */
void channel_unref(struct channel **channel);

/* Sends a copy of the descriptor. False when the worker does not read, or is gone. */
bool channel_send(struct channel *channel, uint64_t id, int fd) __attribute__((warn_unused_result));

/* The descriptor that came under that id, the caller's; -1 when there is none. */
int channel_take(struct channel *channel, uint64_t id);

/* That of CHANNEL_HELD_MAX; borrowed. */
struct quota *channel_quota(const struct channel *channel);

#endif
