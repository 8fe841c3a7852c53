#include "bridge/link.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/inlet.h"
#include "bridge/outlet.h"
#include "bridge/tag.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <pthread.h>
#include <stdlib.h>

/* A frame is closed once it holds this much, so that one big body does not have to share its frame.
 * Bytes. */
enum { FRAME_FULL_BYTES = 1 << 20 };

/* Session replies that may wait before the next frame is read. Bytes. */
enum { REPLIES_MAX_BYTES = 4 << 20 };

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

struct link *link_ref(struct link *link)
{
    atomic_fetch_add_explicit(&link->references, 1, memory_order_relaxed);
    return link;
}

/* It is in no list any more, or the whole list goes. */
static void outgoing_free(struct outgoing *frame)
{
    buffer_deinit(&frame->bytes);
    free(frame);
}

static void drop_frames(struct link *link)
{
    LIST_FOREACH (&link->frames, node, next) {
        outgoing_free(CONTAINER_OF(node, struct outgoing, place));
    }
    list_init(&link->frames);
}

void link_unref(struct link **link)
{
    struct link *gone = *link;
    *link = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1)
        return;
    drop_frames(gone);
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

/* --- writing --- */

static struct outgoing *last_frame(struct link *link, size_t more)
{
    struct outgoing *last = CONTAINER_OF(link->frames.prev, struct outgoing, place);
    if (list_empty(&link->frames) ||
        (last->bytes.len > 0 && last->bytes.len + more > FRAME_FULL_BYTES)) {
        last = MEM_NEW(struct outgoing);
        list_push_back(&link->frames, &last->place);
    }
    return last;
}

/* For anything but an invocation. */
static struct buffer *filling(struct link *link, size_t more)
{
    struct outgoing *frame = last_frame(link, more);
    frame->mixed = true;
    return &frame->bytes;
}

/* Where a message goes: into the frame that is being filled, or behind its large values. */
static struct buffer *place_of(struct link *link, struct cargo *cargo, size_t more)
{
    return cargo ? &cargo->message : filling(link, more);
}

/* The message is complete. */
static void send_off(struct link *link, struct cargo **cargo, uint64_t call_id)
{
    if (*cargo)
        outlet_add(&link->outlet, *cargo, call_id);
    *cargo = NULL;
}

/* Adds the message of a cargo that has left the outlet. */
static void unload(struct link *link, struct cargo *cargo, struct buffer *frame)
{
    buffer_add(frame, buffer_bytes(&cargo->message));
    if (cargo->is_reply)
        link->held_replies -= cargo->size;
    cargo_free(&cargo);
}

/* Others of its session may overtake an invocation whose arguments go in parts, so that the session
 * begins now. */
void link_add_invoke(struct link *link, uint64_t call_id, const struct call *call,
                     uint64_t remaining_us, bool session_begins)
{
    struct parcel parcel;
    struct cargo *cargo = NULL;
    outlet_pack(&link->outlet, call->args, call->shared, call->payload.data ? NULL : call->arena,
                &parcel, &cargo);
    pthread_mutex_lock(&link->lock);
    if (!link->over) {
        size_t size = frame_invoke_size(call, parcel.id);
        if (cargo && session_begins)
            frame_add_ended_session(filling(link, 0), call->session_id);
        frame_add_invoke(cargo ? &cargo->message : &last_frame(link, size)->bytes, call_id, call,
                         &parcel, remaining_us, session_begins && !cargo);
        if (cargo && outlet_has_given_up(&link->outlet, call_id)) /* the cancellation was faster */
            buffer_add(filling(link, 0), buffer_bytes(&cargo->message));
        else
            send_off(link, &cargo, call_id);
    }
    pthread_mutex_unlock(&link->lock);
    cargo_free(&cargo);
}

void link_add_ended_session(struct link *link, struct bytes id)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_ended_session(filling(link, 0), id);
    pthread_mutex_unlock(&link->lock);
}

/* An invocation whose arguments are still on their way is sent without them: so the worker answers
 * it, as any other that is cancelled. */
void link_add_cancel(struct link *link, uint64_t call_id)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over) {
        struct buffer *frame = filling(link, 0);
        struct cargo *cargo;
        while ((cargo = outlet_withdraw(&link->outlet, call_id, frame)))
            unload(link, cargo, frame);
        frame_add_cancel(frame, call_id, false);
    }
    pthread_mutex_unlock(&link->lock);
}

void link_add_recall(struct link *link, uint64_t call_id)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_cancel(filling(link, 0), call_id, true);
    pthread_mutex_unlock(&link->lock);
}

void link_add_credit(struct link *link, uint64_t call_id, uint64_t bytes)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_credit(filling(link, 0), call_id, bytes);
    pthread_mutex_unlock(&link->lock);
}

void link_add_tool_reply(struct link *link, const struct tool_reply *given)
{
    struct tool_reply reply = *given;
    struct cargo *cargo = NULL;
    if (!reply.failure)
        outlet_pack(&link->outlet, reply.body, reply.shared, reply.memory, &reply.parcel, &cargo);
    size_t size = reply.parcel.id ? 0 : reply.body.len;
    pthread_mutex_lock(&link->lock);
    if (!link->over) {
        frame_add_tool_reply(place_of(link, cargo, size), &reply);
        send_off(link, &cargo, reply.call_id);
    }
    pthread_mutex_unlock(&link->lock);
    cargo_free(&cargo);
}

/* Sends large values of variables ahead. */
static void pack_variables(struct link *link, struct session_reply *reply, struct cargo **cargo)
{
    for (size_t i = 0; i < reply->count; i++) {
        struct bytes value = reply->variables[i].value;
        if (value.len <= SHARED_MIN)
            continue;
        if (!reply->parcels)
            reply->parcels = arena_zalloc(reply->memory, reply->count * sizeof reply->parcels[0]);
        outlet_pack(&link->outlet, value, NULL, reply->memory, &reply->parcels[i], cargo);
    }
}

/* Replies are as large as they like, unlike what asks for them. Those whose values go in parts do
 * not keep us from reading: it is what we read that lets them go on. */
void link_add_session_reply(struct link *link, const struct session_reply *given)
{
    struct session_reply reply = *given;
    struct cargo *cargo = NULL;
    pack_variables(link, &reply, &cargo);
    pthread_mutex_lock(&link->lock);
    if (!link->over && cargo) {
        frame_add_session_reply(&cargo->message, &reply);
        cargo->is_reply = true;
        link->held_replies += cargo->size;
        send_off(link, &cargo, reply.call_id);
    } else if (!link->over) {
        struct buffer *frame = filling(link, 0);
        size_t before = frame->len;
        frame_add_session_reply(frame, &reply);
        CONTAINER_OF(frame, struct outgoing, bytes)->replies += frame->len - before;
        link->replies += frame->len - before;
    }
    pthread_mutex_unlock(&link->lock);
    cargo_free(&cargo);
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

void link_add_invalidation(struct link *link, struct bytes session_id, uint64_t revision)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_invalidation(filling(link, 0), session_id, revision);
    pthread_mutex_unlock(&link->lock);
}

void link_add_ping(struct link *link, uint64_t sequence)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_ping(filling(link, 0), sequence);
    pthread_mutex_unlock(&link->lock);
}

void link_add_stop(struct link *link, uint64_t grace_us, bool refork)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_stop(filling(link, 0), grace_us, refork);
    pthread_mutex_unlock(&link->lock);
}

/* Adds the next part of a large value, if one may go, and the message that it completes. */
static void add_part(struct link *link, struct outgoing *frame)
{
    size_t before = frame->bytes.len;
    struct cargo *cargo = outlet_fill(&link->outlet, &frame->bytes);
    frame->mixed |= frame->bytes.len > before;
    if (cargo)
        unload(link, cargo, &frame->bytes);
}

/* Takes the oldest frame for sending, which makes the caller the one who writes; NULL when there is
 * none or one is on the wire already. */
static struct outgoing *take_frame(struct link *link)
{
    struct outgoing *frame = NULL;
    pthread_mutex_lock(&link->lock);
    if (!link->writing && !link->over) {
        if (list_empty(&link->frames) && outlet_is_ready(&link->outlet))
            (void)filling(link, 0);
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
    outgoing_free(frame);
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
    drop_frames(link);
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
        frame_add_taken(filling(link, 0), receipt);
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
    frame_add_welcome(filling(link, 0));
    pthread_mutex_unlock(&link->lock);
    read_next(link);
}
