#include "bridge/inlet.h"

#include "base/mem.h"

#include <stdlib.h>

/* A parcel of which parts have come. */
struct collected {
    struct collected *next;
    uint64_t id;
    size_t size;
    size_t len; /* of what has come */
    char *data;
};

void inlet_deinit(struct inlet *inlet)
{
    for (struct collected *parcel = inlet->first, *next; parcel; parcel = next) {
        next = parcel->next;
        free(parcel->data);
        free(parcel);
    }
    *inlet = (struct inlet){0};
}

/* What points to it, or to the end. */
static struct collected **find(struct inlet *inlet, uint64_t id)
{
    struct collected **place = &inlet->first;
    while (*place && (*place)->id != id)
        place = &(*place)->next;
    return place;
}

/* Its data are the caller's from now on. */
static void take_out(struct inlet *inlet, struct collected **place)
{
    struct collected *gone = *place;
    *place = gone->next;
    inlet->size -= gone->size;
    inlet->count--;
    free(gone);
}

void inlet_drop(struct inlet *inlet, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct collected **place = find(inlet, ids[i]);
        if (!*place)
            continue;
        free((*place)->data);
        take_out(inlet, place);
    }
}

/* Memory that is not written to yet takes none. */
static struct collected *begin(struct inlet *inlet, const struct part *part)
{
    if (part->size == 0 || part->size > VALUE_MAX_BYTES || inlet->count == PARCELS_MAX ||
        part->size > COLLECTED_MAX - inlet->size)
        return NULL;
    struct collected *parcel = MEM_NEW(struct collected);
    *parcel = (struct collected){
        .next = inlet->first, .id = part->id, .size = part->size, .data = mem_alloc(part->size)};
    inlet->first = parcel;
    inlet->size += part->size;
    inlet->count++;
    return parcel;
}

static bool add(struct inlet *inlet, const struct part *part)
{
    if (part->id == 0 || part->data.len == 0)
        return false;
    struct collected *parcel = *find(inlet, part->id);
    if (!parcel)
        parcel = begin(inlet, part);
    if (!parcel || part->size != parcel->size || part->data.len > parcel->size - parcel->len)
        return false;
    memcpy(parcel->data + parcel->len, part->data.data, part->data.len);
    parcel->len += part->data.len;
    inlet->taken += part->data.len;
    return true;
}

bool inlet_add(struct inlet *inlet, const struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!add(inlet, &parts[i]))
            return false;
    }
    return true;
}

/* Often enough that the window never closes for want of it. */
uint64_t inlet_receipt(struct inlet *inlet)
{
    if (inlet->taken - inlet->told < PARTS_WINDOW / 2)
        return 0;
    inlet->told = inlet->taken;
    return inlet->taken;
}

/* --- fetching --- */

struct holding {
    struct arena_hook hook;
    char *data;
};

static void release(struct arena_hook *hook)
{
    free(((struct holding *)(void *)hook)->data);
}

/* The arena takes the memory over. */
static struct bytes hold(struct arena *arena, char *data, size_t len)
{
    struct holding *holding = arena_zalloc(arena, sizeof *holding);
    holding->data = data;
    holding->hook.run = release;
    arena_add_hook(arena, &holding->hook);
    return bytes_from(data, len);
}

/* One that came in parts; empty if it did not. */
static struct bytes take(struct inlet *inlet, const struct parcel *parcel, struct arena *arena)
{
    struct collected **place = find(inlet, parcel->id), *found = *place;
    if (!found || found->len != found->size || found->size != parcel->size)
        return (struct bytes){0};
    struct bytes value = hold(arena, found->data, found->len);
    take_out(inlet, place);
    return value;
}

/* One whose descriptor came; NULL if it did not. */
static struct shared *adopt(const struct inlet *inlet, const struct parcel *parcel,
                            struct arena *arena)
{
    int fd = inlet->channel && parcel->size <= VALUE_MAX_BYTES
                 ? channel_take(inlet->channel, parcel->id)
                 : -1;
    return fd < 0 ? NULL : shared_adopt(arena, fd, parcel->size);
}

static void fetch(struct inlet *inlet, const struct arrival *arrival, struct arena *arena)
{
    struct shared *shared = NULL;
    *arrival->value = take(inlet, &arrival->parcel, arena);
    if (arrival->value->len == 0)
        shared = adopt(inlet, &arrival->parcel, arena);
    if (shared)
        *arrival->value = shared_bytes(shared);
    if (shared && arrival->shared && shared_hold(shared, channel_quota(inlet->channel)))
        *arrival->shared = shared;
    else if (shared)
        shared_close(shared);
    *arrival->lost |= arrival->value->len == 0;
}

void inlet_fetch(struct inlet *inlet, struct arrival *arrivals, struct arena *arena)
{
    for (struct arrival *arrival = arrivals; arrival; arrival = arrival->next) {
        if (arrival->parcel.id)
            fetch(inlet, arrival, arena);
        else
            *arrival->lost = true;
    }
}
