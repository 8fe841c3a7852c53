/* A link: the Attach stream of one worker. Frames go out while one is on the wire the next one
 * fills; frames come in one at a time. Counted; the functions may be called from any thread. */
#ifndef SNAKEPIT_BRIDGE_LINK_H
#define SNAKEPIT_BRIDGE_LINK_H

#include "bridge/frame.h"
#include "bridge/link_add.h"

#include <stdbool.h>
#include <stdint.h>

struct channel;
struct grpc_call;
struct link;

/* Who is told. On a bridge thread, one call at a time for each link. */
struct link_handler {
    /* The first frame. Returns whether the worker is welcome; if not, the link is closed and
     * nothing else is called. */
    bool (*hello)(void *context, struct link *link, const struct frame_hello *hello);
    /* It runs calls together; all is borrowed. */
    void (*batches)(void *context, struct link *link, const struct worker_batch *batches,
                    size_t count);
    /* Tools have told of themselves; all is borrowed. */
    void (*telemetry)(void *context, struct link *link, const struct telemetry_batch *batch);
    /* Running calls ask for tools; the bytes lie in `memory`, of which references may be taken. */
    void (*tool_calls)(void *context, struct link *link, const struct tool_call *calls,
                       size_t count, struct arena *memory);
    /* Running calls read and write variables; the bytes are borrowed. */
    void (*session_ops)(void *context, struct link *link, const struct session_op *ops,
                        size_t count);
    /* Running calls have said something; the bytes are borrowed. */
    void (*emissions)(void *context, struct link *link, struct worker_emission *emissions,
                      size_t count);
    /* Answers have come; they lie in `memory`, of which references may be taken. */
    void (*answers)(void *context, struct link *link, struct worker_answer *answers, size_t count,
                    struct arena *memory);
    /* It answered a ping. The bytes are borrowed. */
    void (*pong)(void *context, struct link *link, const struct worker_frame *frame);
    /* It wants to be replaced. */
    void (*wish)(void *context, struct link *link);
    /* The stream of a welcome worker is over. Once, and last. */
    void (*ended)(void *context, struct link *link);
    void *context;
};

/* Takes the call over and starts to read. The link lives until it is over and nobody refers to it.
 * `handler` is borrowed for that long. */
void link_open(struct grpc_call *call, const struct link_handler *handler);

struct link *link_ref(struct link *link);

/* Drops a reference and clears the pointer; accepts NULL inside. */
void link_unref(struct link **link);

/* The handler's own mark on the link: which worker it is. Set in hello(), constant afterwards.
 * `channel`: its descriptor channel, of which a reference is taken, or NULL. */
void link_set_worker(struct link *link, struct worker_ref worker, struct channel *channel);
struct worker_ref link_worker(const struct link *link);

/* Bytes of session replies that have not been written yet. When they are many, nothing more is read
 * from the link until they are fewer. */
size_t link_unwritten_replies(struct link *link);

/* Whether nothing is read for that reason. */
bool link_is_paused(struct link *link);

/* Moves with each frame that comes; odd while one is dealt with, and the next is not read yet. */
unsigned link_reads(const struct link *link);

/* Sends the frame, unless one is on the wire: then it follows by itself. */
void link_flush(struct link *link);

/* Breaks the stream off. */
void link_close(struct link *link);

#endif
