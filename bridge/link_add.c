#include "bridge/link_add.h"

#include "base/mem.h"
#include "bridge/link_inside.h"

#include <stdlib.h>

/* A frame is closed once it holds this much, so that one big body does not have to share its frame.
 * Bytes. */
enum { FRAME_FULL_BYTES = 1 << 20 };

void link_frame_free(struct outgoing *frame)
{
    buffer_deinit(&frame->bytes);
    free(frame);
}

void link_drop_frames(struct link *link)
{
    LIST_FOREACH (&link->frames, node, next) {
        link_frame_free(CONTAINER_OF(node, struct outgoing, place));
    }
    list_init(&link->frames);
}

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

struct buffer *link_filling(struct link *link, size_t more)
{
    struct outgoing *frame = last_frame(link, more);
    frame->mixed = true;
    return &frame->bytes;
}

/* Where a message goes: into the frame that is being filled, or behind its large values. */
static struct buffer *place_of(struct link *link, struct cargo *cargo, size_t more)
{
    return cargo ? &cargo->message : link_filling(link, more);
}

/* The message is complete. */
static void send_off(struct link *link, struct cargo **cargo, uint64_t call_id)
{
    if (*cargo)
        outlet_add(&link->outlet, *cargo, call_id);
    *cargo = NULL;
}

void link_unload(struct link *link, struct cargo *cargo, struct buffer *frame)
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
            frame_add_ended_session(link_filling(link, 0), call->session_id);
        frame_add_invoke(cargo ? &cargo->message : &last_frame(link, size)->bytes, call_id, call,
                         &parcel, remaining_us, session_begins && !cargo);
        if (cargo && outlet_has_given_up(&link->outlet, call_id)) /* the cancellation was faster */
            buffer_add(link_filling(link, 0), buffer_bytes(&cargo->message));
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
        frame_add_ended_session(link_filling(link, 0), id);
    pthread_mutex_unlock(&link->lock);
}

/* An invocation whose arguments are still on their way is sent without them: so the worker answers
 * it, as any other that is cancelled. */
void link_add_cancel(struct link *link, uint64_t call_id)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over) {
        struct buffer *frame = link_filling(link, 0);
        struct cargo *cargo;
        while ((cargo = outlet_withdraw(&link->outlet, call_id, frame)))
            link_unload(link, cargo, frame);
        frame_add_cancel(frame, call_id, false);
    }
    pthread_mutex_unlock(&link->lock);
}

void link_add_recall(struct link *link, uint64_t call_id)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_cancel(link_filling(link, 0), call_id, true);
    pthread_mutex_unlock(&link->lock);
}

void link_add_credit(struct link *link, uint64_t call_id, uint64_t bytes)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_credit(link_filling(link, 0), call_id, bytes);
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
        struct buffer *frame = link_filling(link, 0);
        size_t before = frame->len;
        frame_add_session_reply(frame, &reply);
        CONTAINER_OF(frame, struct outgoing, bytes)->replies += frame->len - before;
        link->replies += frame->len - before;
    }
    pthread_mutex_unlock(&link->lock);
    cargo_free(&cargo);
}

void link_add_invalidation(struct link *link, uint64_t session, uint64_t revision)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_invalidation(link_filling(link, 0), session, revision);
    pthread_mutex_unlock(&link->lock);
}

void link_add_ping(struct link *link, uint64_t sequence)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_ping(link_filling(link, 0), sequence);
    pthread_mutex_unlock(&link->lock);
}

void link_add_stop(struct link *link, uint64_t grace_us, bool refork)
{
    pthread_mutex_lock(&link->lock);
    if (!link->over)
        frame_add_stop(link_filling(link, 0), grace_us, refork);
    pthread_mutex_unlock(&link->lock);
}
