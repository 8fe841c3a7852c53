#include "bridge/link.h"

#include "base/log.h"
#include "base/mem.h"
#include "bridge/link_inside.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <stdlib.h>

/* Session replies that may wait before the next frame is read. Bytes. */
enum { REPLIES_MAX_BYTES = 4 << 20 };

struct link *link_ref(struct link *link)
{
    atomic_fetch_add_explicit(&link->references, 1, memory_order_relaxed);
    return link;
}

void link_unref(struct link **link)
{
    struct link *gone = *link;
    *link = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1)
        return;
    link_drop_frames(gone);
    outlet_deinit(&gone->outlet);
    inlet_deinit(&gone->inlet);
    /* The analyser cannot count: whoever gets here held the last reference. */
    grpc_call_unref(gone->call); /* NOLINT(clang-analyzer-unix.Malloc) */
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

void link_set_worker(struct link *link, struct worker_ref worker, struct channel *channel)
{
    link->worker = worker;
    link->inlet.channel = channel;
    if (channel)
        outlet_connect(&link->outlet, channel);
}

struct worker_ref link_worker(const struct link *link)
{
    return link->worker;
}

/* Starts a batch of one operation; its event releases the reference taken here. A refusal would be
 * a bug of ours: two operations of a kind at once, or a queue that was shut down. */
static void start(struct link *link, const grpc_op *op, struct tag *tag)
{
    link_ref(link);
    tag_arm(tag);
    grpc_call_error error = grpc_call_start_batch(link->call, op, 1, tag, NULL);
    if (error == GRPC_CALL_OK)
        return;
    log_event(LOG_ERROR, "grpc refused a batch", LOG_INT("op", op->op), LOG_INT("error", error),
              LOG_END);
    abort();
}

static grpc_op operation(grpc_op_type type)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = type;
    return op;
}

size_t link_unwritten_replies(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    size_t bytes = link->replies + link->held_replies;
    pthread_mutex_unlock(&link->lock);
    return bytes;
}

bool link_is_paused(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    bool paused = link->paused;
    pthread_mutex_unlock(&link->lock);
    return paused;
}

unsigned link_reads(const struct link *link)
{
    return atomic_load_explicit(&link->reads, memory_order_relaxed);
}

/* --- writing --- */

/* Adds the next part of a large value, if one may go, and the message that it completes. */
static void add_part(struct link *link, struct outgoing *frame)
{
    size_t before = frame->bytes.len;
    struct cargo *cargo = outlet_fill(&link->outlet, &frame->bytes);
    frame->mixed |= frame->bytes.len > before;
    if (cargo)
        link_unload(link, cargo, &frame->bytes);
}

/* Takes the oldest frame for sending, which makes the caller the one who writes; NULL when there is
 * none or one is on the wire already. */
static struct outgoing *take_frame(struct link *link)
{
    struct outgoing *frame = NULL;
    pthread_mutex_lock(&link->lock);
    if (!link->writing && !link->over) {
        if (list_empty(&link->frames) && outlet_is_ready(&link->outlet))
            (void)link_filling(link, 0);
        if (!list_empty(&link->frames))
            frame = CONTAINER_OF(list_pop_front(&link->frames), struct outgoing, place);
    }
    if (frame) {
        add_part(link, frame);
        link->writing = true;
        link->written_replies = frame->replies;
    }
    pthread_mutex_unlock(&link->lock);
    return frame;
}

/* The slice takes the frame's memory over. */
static void write_frame(struct link *link, struct outgoing *frame)
{
    if (!frame->mixed)
        frame_mark_only_invokes(&frame->bytes);
    grpc_slice slice = grpc_slice_new(frame->bytes.data, frame->bytes.len, free);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    frame->bytes.data = NULL;
    link_frame_free(frame);
    grpc_op op = operation(GRPC_OP_SEND_MESSAGE);
    op.data.send_message.send_message = message;
    start(link, &op, &link->write_tag);
    grpc_byte_buffer_destroy(message);
}

void link_flush(struct link *link)
{
    struct outgoing *frame = take_frame(link);
    if (frame)
        write_frame(link, frame);
}

static void read_next(struct link *link)
{
    grpc_op op = operation(GRPC_OP_RECV_MESSAGE);
    op.data.recv_message.recv_message = &link->incoming;
    start(link, &op, &link->read_tag);
}

static void on_written(struct tag *tag, bool success)
{
    struct link *link = CONTAINER_OF(tag, struct link, write_tag);
    pthread_mutex_lock(&link->lock);
    link->writing = false;
    link->over = link->over || !success;
    link->replies -= link->written_replies;
    link->written_replies = 0;
    bool resume = link->paused && (link->over || link->replies <= REPLIES_MAX_BYTES);
    link->paused = link->paused && !resume;
    pthread_mutex_unlock(&link->lock);
    if (resume)
        read_next(link);
    link_flush(link);
    link_unref(&link);
}

void link_close(struct link *link)
{
    grpc_call_cancel(link->call, NULL);
}

/* --- reading --- */

/* Whether the worker has to read first; then on_written() goes on. */
static bool pauses(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    bool paused = link->paused = !link->over && link->replies > REPLIES_MAX_BYTES;
    pthread_mutex_unlock(&link->lock);
    return paused;
}

/* Asked for only now: once it is, a stream that breaks takes along the messages that have come and
 * were not read yet (gRPC 1.51, grpc_chttp2_maybe_complete_recv_message). */
static void await_close(struct link *link)
{
    grpc_op op = operation(GRPC_OP_RECV_CLOSE_ON_SERVER);
    op.data.recv_close_on_server.cancelled = &link->cancelled;
    start(link, &op, &link->close_tag);
}

static void finish(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    link->over = true;
    link_drop_frames(link);
    pthread_mutex_unlock(&link->lock);
    await_close(link);
    grpc_call_cancel(link->call, NULL);
    if (link->welcome)
        link->handler->ended(link->handler->context, link);
    struct link *open = link;
    link_unref(&open);
}

/* The message as one span; copied only when gRPC delivered it in pieces. */
static struct bytes gather(grpc_byte_buffer *message, struct arena *arena)
{
    grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
    if (slices->count == 1)
        return bytes_from(GRPC_SLICE_START_PTR(slices->slices[0]),
                          GRPC_SLICE_LENGTH(slices->slices[0]));
    char *whole = arena_alloc(arena, slices->length);
    size_t at = 0;
    for (size_t i = 0; i < slices->count; i++) {
        memcpy(whole + at, GRPC_SLICE_START_PTR(slices->slices[i]),
               GRPC_SLICE_LENGTH(slices->slices[i]));
        at += GRPC_SLICE_LENGTH(slices->slices[i]);
    }
    return bytes_from(whole, at);
}

static bool greet(struct link *link, const struct frame_hello *hello)
{
    if (!hello || !link->handler->hello(link->handler->context, link, hello))
        return false;
    link->welcome = true;
    return true;
}

static void pass_on(struct link *link, const struct worker_frame *frame, struct arena *arena)
{
    const struct link_handler *handler = link->handler;
    if (frame->batch_count)
        handler->batches(handler->context, link, frame->batches, frame->batch_count);
    if (frame->telemetry)
        handler->telemetry(handler->context, link, frame->telemetry);
    if (frame->tool_call_count)
        handler->tool_calls(handler->context, link, frame->tool_calls, frame->tool_call_count,
                            arena);
    if (frame->session_op_count)
        handler->session_ops(handler->context, link, frame->session_ops, frame->session_op_count);
    if (frame->emission_count)
        handler->emissions(handler->context, link, frame->emissions, frame->emission_count);
    handler->answers(handler->context, link, frame->answers, frame->answer_count, arena);
}

/* Large values: takes parts of them, and fetches those that are spoken of. False: the worker broke
 * the protocol. */
static bool take_large(struct link *link, const struct worker_frame *frame, struct arena *arena)
{
    inlet_drop(&link->inlet, frame->dropped, frame->dropped_count);
    if (!inlet_add(&link->inlet, frame->parts, frame->part_count))
        return false;
    uint64_t receipt = inlet_receipt(&link->inlet);
    pthread_mutex_lock(&link->lock);
    outlet_taken(&link->outlet, frame->taken);
    if (receipt && !link->over)
        frame_add_taken(link_filling(link, 0), receipt);
    pthread_mutex_unlock(&link->lock);
    link_flush(link);
    inlet_fetch(&link->inlet, frame->arrivals, arena);
    return true;
}

/* False: the worker broke the protocol, or is not welcome. */
static bool handle(struct link *link, grpc_byte_buffer *message)
{
    struct worker_frame frame;
    struct arena *arena = arena_new(2 * grpc_byte_buffer_length(message) + 1024);
    bool good = message->type == GRPC_BB_RAW &&
                message->data.raw.compression == GRPC_COMPRESS_NONE &&
                frame_read(gather(message, arena), arena, &frame);
    bool attached = link->welcome;
    if (good && !attached)
        good = greet(link, frame.hello);
    else if (good && (frame.part_count || frame.taken || frame.dropped_count || frame.arrivals))
        good = take_large(link, &frame, arena);
    if (good && attached)
        pass_on(link, &frame, arena);
    if (good && frame.pong)
        link->handler->pong(link->handler->context, link, &frame);
    if (good && frame.recycle)
        link->handler->wish(link->handler->context, link);
    arena_unref(&arena);
    return good;
}

static void on_read(struct tag *tag, bool success)
{
    struct link *link = CONTAINER_OF(tag, struct link, read_tag);
    grpc_byte_buffer *message = link->incoming;
    link->incoming = NULL;
    atomic_fetch_add_explicit(&link->reads, 1, memory_order_relaxed);
    bool good = success && message && handle(link, message);
    atomic_fetch_add_explicit(&link->reads, 1, memory_order_relaxed);
    if (!good)
        finish(link);
    else if (!pauses(link))
        read_next(link);
    if (message)
        grpc_byte_buffer_destroy(message);
    link_unref(&link);
}

/* Metadata was sent, or the call was closed: nothing to do but to let go. How the call ended shows
 * in the reads. */
static void on_metadata(struct tag *tag, bool success)
{
    (void)success;
    struct link *link = CONTAINER_OF(tag, struct link, metadata_tag);
    link_unref(&link);
}

static void on_close(struct tag *tag, bool success)
{
    (void)success;
    struct link *link = CONTAINER_OF(tag, struct link, close_tag);
    link_unref(&link);
}

void link_open(struct grpc_call *call, const struct link_handler *handler)
{
    struct link *link = MEM_NEW(struct link);
    link->call = call;
    link->handler = handler;
    link->read_tag.run = on_read;
    link->write_tag.run = on_written;
    link->metadata_tag.run = on_metadata;
    link->close_tag.run = on_close;
    atomic_init(&link->references, 1);
    pthread_mutex_init(&link->lock, NULL);
    list_init(&link->frames);
    outlet_init(&link->outlet);

    grpc_op metadata = operation(GRPC_OP_SEND_INITIAL_METADATA);
    start(link, &metadata, &link->metadata_tag);
    pthread_mutex_lock(&link->lock);
    frame_add_welcome(link_filling(link, 0));
    pthread_mutex_unlock(&link->lock);
    read_next(link);
}
