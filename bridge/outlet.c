#include "bridge/outlet.h"

#include "base/mem.h"

#include <stdlib.h>

/* A value of a cargo. */
struct loaded {
    struct loaded *next;
    uint64_t id;
    struct bytes value;
    size_t sent;
};

/* Keeps what a value lies in for as long as its cargo. */
struct lease {
    struct arena_hook hook;
    struct arena *memory;
};

void outlet_init(struct outlet *outlet)
{
    list_init(&outlet->open);
    list_init(&outlet->waiting);
}

void outlet_connect(struct outlet *outlet, struct channel *channel)
{
    outlet->channel = channel_ref(channel);
}

static struct cargo *of(struct list *place)
{
    return CONTAINER_OF(place, struct cargo, place);
}

void cargo_free(struct cargo **cargo)
{
    struct cargo *gone = *cargo;
    *cargo = NULL;
    if (!gone)
        return;
    buffer_deinit(&gone->message);
    arena_unref(&gone->arena);
    free(gone);
}

static void drop(struct list *list)
{
    LIST_FOREACH (list, node, next) {
        struct cargo *cargo = of(node);
        cargo_free(&cargo);
    }
    list_init(list);
}

void outlet_deinit(struct outlet *outlet)
{
    drop(&outlet->open);
    drop(&outlet->waiting);
    channel_unref(&outlet->channel);
}

/* --- packing --- */

static void end_lease(struct arena_hook *hook)
{
    arena_unref(&((struct lease *)(void *)hook)->memory);
}

static void keep(struct arena *arena, struct arena *memory)
{
    struct lease *lease = arena_zalloc(arena, sizeof *lease);
    lease->memory = arena_ref(memory);
    lease->hook.run = end_lease;
    arena_add_hook(arena, &lease->hook);
}

static struct cargo *cargo_new(void)
{
    struct cargo *cargo = MEM_NEW(struct cargo);
    list_init(&cargo->place);
    cargo->arena = arena_new(0);
    return cargo;
}

static void load(struct cargo *cargo, struct bytes value, struct arena *memory, uint64_t id)
{
    struct loaded *loaded = arena_zalloc(cargo->arena, sizeof *loaded);
    if (memory)
        keep(cargo->arena, memory);
    loaded->value = memory ? value : arena_copy(cargo->arena, value);
    loaded->id = id;
    loaded->next = cargo->first;
    cargo->first = loaded;
    cargo->size += value.len;
}

static bool send_copy(struct channel *channel, uint64_t id, struct bytes value)
{
    struct arena *arena = arena_new(0);
    struct shared *copy = shared_new(arena);
    bool sent = copy && shared_append(copy, value) && shared_seal(copy) &&
                channel_send(channel, id, copy->fd);
    arena_unref(&arena);
    return sent;
}

/* As a descriptor: of the memory in which it lies, or of a copy. */
static bool send(const struct outlet *outlet, struct bytes value, const struct shared *shared,
                 struct parcel *parcel)
{
    if (!outlet->channel)
        return false;
    if (!shared_holds(shared, value) || shared->fd < 0)
        return send_copy(outlet->channel, parcel->id, value);
    parcel->offset = (size_t)(value.data - shared->data);
    return channel_send(outlet->channel, parcel->id, shared->fd);
}

void outlet_pack(struct outlet *outlet, struct bytes value, const struct shared *shared,
                 struct arena *memory, struct parcel *out_parcel, struct cargo **cargo)
{
    *out_parcel = (struct parcel){0};
    if (value.len <= SHARED_MIN)
        return;
    out_parcel->id = 1 + atomic_fetch_add_explicit(&outlet->last_id, 1, memory_order_relaxed);
    out_parcel->size = value.len;
    if (send(outlet, value, shared, out_parcel))
        return;
    out_parcel->offset = 0;
    if (!*cargo)
        *cargo = cargo_new();
    load(*cargo, value, memory, out_parcel->id);
}

/* --- sending in parts --- */

void outlet_add(struct outlet *outlet, struct cargo *cargo, uint64_t call_id)
{
    cargo->call_id = call_id;
    bool opens = outlet->open_count < PARCELS_OPEN;
    list_push_back(opens ? &outlet->open : &outlet->waiting, &cargo->place);
    outlet->open_count += opens;
}

bool outlet_is_ready(const struct outlet *outlet)
{
    return !list_empty(&outlet->open) && outlet->sent - outlet->taken <= PARTS_WINDOW - PART_BYTES;
}

/* A place among those that take turns is free. */
static void advance(struct outlet *outlet)
{
    struct list *next = list_pop_front(&outlet->waiting);
    if (next)
        list_push_back(&outlet->open, next);
    else
        outlet->open_count--;
}

struct cargo *outlet_fill(struct outlet *outlet, struct buffer *frame)
{
    if (!outlet_is_ready(outlet))
        return NULL;
    struct cargo *cargo = of(outlet->open.next);
    list_remove(&cargo->place);
    struct loaded *loaded = cargo->first;
    size_t left = loaded->value.len - loaded->sent, len = left < PART_BYTES ? left : PART_BYTES;
    struct part part = {.id = loaded->id,
                        .size = loaded->value.len,
                        .data = bytes_from(loaded->value.data + loaded->sent, len)};
    frame_add_part(frame, &part);
    outlet->sent += len;
    loaded->sent += len;
    if (len == left)
        cargo->first = loaded->next;
    if (!cargo->first) {
        advance(outlet);
        return cargo;
    }
    list_push_back(&outlet->open, &cargo->place);
    return NULL;
}

static struct cargo *find(struct list *list, uint64_t call_id)
{
    LIST_FOREACH (list, node, next) {
        if (of(node)->call_id == call_id)
            return of(node);
    }
    return NULL;
}

struct cargo *outlet_withdraw(struct outlet *outlet, uint64_t call_id, struct buffer *frame)
{
    struct cargo *open = find(&outlet->open, call_id);
    struct cargo *cargo = open ? open : find(&outlet->waiting, call_id);
    if (!cargo) {
        outlet->given_up[outlet->given_up_count++ % OUTLET_GIVEN_UP] = call_id;
        return NULL;
    }
    list_remove(&cargo->place);
    if (open)
        advance(outlet);
    if (cargo->first->sent > 0)
        frame_add_dropped(frame, cargo->first->id);
    return cargo;
}

bool outlet_has_given_up(const struct outlet *outlet, uint64_t call_id)
{
    for (unsigned i = 0; i < OUTLET_GIVEN_UP && i < outlet->given_up_count; i++) {
        if (outlet->given_up[i] == call_id)
            return true;
    }
    return false;
}

/* Never more than was sent, whatever the worker says. */
void outlet_taken(struct outlet *outlet, uint64_t bytes)
{
    if (bytes > outlet->taken && bytes <= outlet->sent)
        outlet->taken = bytes;
}
