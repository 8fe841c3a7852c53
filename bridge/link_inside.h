/* The inside of a link, for the link*.c files. */
#ifndef SNAKEPIT_BRIDGE_LINK_INSIDE_H
#define SNAKEPIT_BRIDGE_LINK_INSIDE_H

#include "base/list.h"
#include "bridge/frame.h"
#include "bridge/inlet.h"
#include "bridge/outlet.h"
#include "bridge/tag.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

struct link_handler;

struct outgoing {
    struct list place;
    struct buffer bytes;
    size_t replies; /* bytes of session replies in it */
    bool mixed;     /* not of invocations alone */
};

struct link {
    grpc_call *call;
    const struct link_handler *handler;
    atomic_uint reads;      /* see link_reads() */
    atomic_uint references; /* one for each batch under way, one for the stream being open, and
                               those of others */
    struct worker_ref worker;

    /* The reading side: bridge thread only. */
    bool welcome;
    grpc_byte_buffer *incoming;
    int cancelled;
    struct tag read_tag, metadata_tag, close_tag;
    struct inlet inlet;

    pthread_mutex_t lock; /* guards the writing side */
    struct list frames;   /* struct outgoing, in order; the last one is being filled */
    bool writing;
    bool over;
    bool paused;            /* nothing is read: too many replies wait */
    size_t replies;         /* bytes of session replies in the frames and on the wire */
    size_t written_replies; /* on the wire, of these */
    size_t held_replies;    /* bytes of values in session replies that wait to go in parts */
    struct outlet outlet;
    struct tag write_tag;
};

/* --- link_add.c; with the lock --- */

/* The frame to which anything but an invocation is added, with room for so many bytes more if it is
 * not empty. */
struct buffer *link_filling(struct link *link, size_t more);

/* Adds the message of a cargo that has left the outlet. */
void link_unload(struct link *link, struct cargo *cargo, struct buffer *frame);

/* A frame that is in no list. */
void link_frame_free(struct outgoing *frame);

/* All those that wait. */
void link_drop_frames(struct link *link);

#endif
