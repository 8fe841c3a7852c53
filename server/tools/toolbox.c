#include "server/tools/toolbox.h"

#include "base/mem.h"
#include "pool/session.h"

#include <pthread.h>
#include <stdlib.h>

struct toolset {
    struct callback_tool *first;
};

struct toolbox {
    unsigned limit;
    _Atomic unsigned count; /* in all sets; changed under the lock but for the end of a session */
    pthread_mutex_t lock;   /* guards all sets, and which session has one */
    struct toolset common;
};

struct toolbox *toolbox_new(unsigned limit)
{
    struct toolbox *toolbox = MEM_NEW(struct toolbox);
    toolbox->limit = limit;
    pthread_mutex_init(&toolbox->lock, NULL);
    return toolbox;
}

static void empty(struct toolset *set)
{
    while (set->first) {
        struct callback_tool *tool = set->first;
        set->first = tool->next;
        atomic_fetch_sub(&tool->toolbox->count, 1);
        callback_tool_unref(&tool);
    }
}

void toolbox_free(struct toolbox **toolbox)
{
    struct toolbox *gone = *toolbox;
    *toolbox = NULL;
    if (!gone)
        return;
    empty(&gone->common);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* --- one tool --- */

struct callback_tool *callback_tool_new(struct toolbox *toolbox, const struct offer *offer,
                                        struct bytes url, struct bytes secret, uint64_t timeout_us)
{
    struct arena *arena = arena_new(0);
    struct callback_tool *tool = arena_zalloc(arena, sizeof *tool);
    struct schema_faults problems;
    atomic_init(&tool->references, 1);
    tool->arena = arena;
    tool->toolbox = toolbox;
    tool->offer.name = arena_copy(arena, offer->name);
    tool->offer.description = arena_copy(arena, offer->description);
    tool->offer.schema_text = arena_copy(arena, offer->schema_text);
    tool->offer.schema = schema_compile(tool->offer.schema_text, &problems);
    tool->offer.problems = arena_copy(arena, offer->problems);
    tool->url = arena_copy(arena, url);
    tool->secret = arena_copy(arena, secret);
    tool->timeout_us = timeout_us;
    return tool;
}

void callback_tool_unref(struct callback_tool **tool)
{
    struct callback_tool *gone = *tool;
    *tool = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1)
        return;
    struct arena *arena = gone->arena; /* in which it lies */
    schema_free(&gone->offer.schema);
    arena_unref(&arena);
}

/* --- sets, with the lock --- */

static void free_set(void *extra)
{
    empty(extra);
    free(extra);
}

/* NULL: the session has none yet. */
static struct toolset *set_of(struct toolbox *toolbox, const struct session *session)
{
    return session ? session->extra : &toolbox->common;
}

static struct toolset *make_set(struct toolbox *toolbox, struct session *session)
{
    if (session && !session->extra) {
        session->extra = MEM_NEW(struct toolset);
        session->free_extra = free_set;
    }
    return set_of(toolbox, session);
}

static struct callback_tool **place_of(struct toolset *set, struct bytes name)
{
    struct callback_tool **at = &set->first;
    while (*at && !bytes_equal((*at)->offer.name, name))
        at = &(*at)->next;
    return at;
}

static void put_in(struct toolset *set, const struct session *session, struct callback_tool *tool)
{
    tool->session = session ? arena_copy(tool->arena, session->id) : (struct bytes){0};
    tool->next = set->first;
    set->first = tool;
    atomic_fetch_add(&tool->toolbox->count, 1);
}

/* --- for all --- */

enum toolbox_verdict toolbox_add(struct toolbox *toolbox, struct session *session,
                                 struct callback_tool **tools, size_t count, size_t *out_index)
{
    enum toolbox_verdict verdict = TOOLBOX_ADDED;
    pthread_mutex_lock(&toolbox->lock);
    struct toolset *set = make_set(toolbox, session);
    for (size_t i = 0; i < count && verdict == TOOLBOX_ADDED; i++) {
        *out_index = i;
        if (*place_of(set, tools[i]->offer.name))
            verdict = TOOLBOX_DUPLICATE;
    }
    if (verdict == TOOLBOX_ADDED && atomic_load(&toolbox->count) + count > toolbox->limit)
        verdict = TOOLBOX_FULL;
    for (size_t i = 0; i < count && verdict == TOOLBOX_ADDED; i++)
        put_in(set, session, tools[i]);
    pthread_mutex_unlock(&toolbox->lock);
    return verdict;
}

bool toolbox_remove(struct toolbox *toolbox, struct session *session, struct bytes name)
{
    struct callback_tool *gone = NULL;
    pthread_mutex_lock(&toolbox->lock);
    struct toolset *set = set_of(toolbox, session);
    struct callback_tool **at = set ? place_of(set, name) : &gone;
    gone = *at;
    if (gone) {
        *at = gone->next;
        atomic_fetch_sub(&toolbox->count, 1);
    }
    pthread_mutex_unlock(&toolbox->lock);
    bool found = gone != NULL;
    callback_tool_unref(&gone);
    return found;
}

struct callback_tool *toolbox_find(struct toolbox *toolbox, struct session *session,
                                   struct bytes name)
{
    if (atomic_load_explicit(&toolbox->count, memory_order_relaxed) == 0)
        return NULL;
    pthread_mutex_lock(&toolbox->lock);
    struct toolset *set = set_of(toolbox, session);
    struct callback_tool *tool = set ? *place_of(set, name) : NULL;
    if (tool)
        atomic_fetch_add_explicit(&tool->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&toolbox->lock);
    return tool;
}

size_t toolbox_list(struct toolbox *toolbox, struct session *session,
                    struct callback_tool **out_tools, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&toolbox->lock);
    struct toolset *set = set_of(toolbox, session);
    for (struct callback_tool *tool = set ? set->first : NULL; tool && count < max;
         tool = tool->next) {
        atomic_fetch_add_explicit(&tool->references, 1, memory_order_relaxed);
        out_tools[count++] = tool;
    }
    pthread_mutex_unlock(&toolbox->lock);
    return count;
}
