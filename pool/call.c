#include "pool/call.h"

#include <stdio.h>
#include <stdlib.h>

/* Legal moves: row from, bit to. */
static const unsigned char moves[] = {
    [CALL_NEW] = 1u << CALL_QUEUED | 1u << CALL_DONE,
    [CALL_QUEUED] = 1u << CALL_DISPATCHED | 1u << CALL_DONE,
    [CALL_DISPATCHED] =
        1u << CALL_RUNNING | 1u << CALL_STREAMING | 1u << CALL_QUEUED | 1u << CALL_DONE,
    [CALL_RUNNING] = 1u << CALL_QUEUED | 1u << CALL_DONE,
    [CALL_STREAMING] = 1u << CALL_DONE,
    [CALL_DONE] = 0,
};

static const char *const state_names[] = {
    [CALL_NEW] = "new",         [CALL_QUEUED] = "queued",       [CALL_DISPATCHED] = "dispatched",
    [CALL_RUNNING] = "running", [CALL_STREAMING] = "streaming", [CALL_DONE] = "done",
};

struct call *call_new(struct arena *arena)
{
    struct call *call = arena_zalloc(arena, sizeof *call);
    call->arena = arena_ref(arena);
    atomic_init(&call->references, 1);
    call->priority = CALL_DEFAULT_PRIORITY;
    list_init(&call->place);
    list_init(&call->known);
    list_init(&call->nested);
    return call;
}

struct call *call_ref(struct call *call)
{
    atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
    return call;
}

/* One level: a nested call's root is nobody's nested call. */
void call_unref(struct call **call) /* NOLINT(misc-no-recursion) */
{
    struct call *gone = *call;
    *call = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1)
        return;
    if (gone->on_free)
        gone->on_free(gone);
    arena_unref(&gone->outcome.memory);
    session_unref(&gone->session);
    call_unref(&gone->root);
    buffer_deinit(&gone->payload);
    struct arena *arena = gone->arena; /* holds the call itself */
    arena_unref(&arena);
}

enum { DETACH_MAX = 64 << 10 }; /* a larger answer is most of its frame, or in memory of its own */

void call_outcome_detach(struct call_outcome *outcome)
{
    struct call_failure *failure = &outcome->failure;
    struct bytes *all[] = {&outcome->body,    &outcome->content_type, &failure->type,
                           &failure->message, &failure->traceback,    &failure->context,
                           &failure->code,    &failure->details};
    size_t size = 0;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        size += all[i]->len;
    if (!outcome->memory || size > DETACH_MAX)
        return;
    struct arena *memory = arena_new(size + 256);
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = arena_copy(memory, *all[i]);
    arena_unref(&outcome->memory);
    outcome->memory = memory;
}

void call_move(struct call *call, enum call_state next)
{
    if (!(moves[call->state] & 1u << next)) {
        fprintf(stderr, "snakepit: a call cannot go from %s to %s\n", state_names[call->state],
                state_names[next]);
        abort();
    }
    call->state = next;
}
