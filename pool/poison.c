#include "pool/poison.h"

#include "pool/tool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void poison_init(struct poison *poison, unsigned after, uint64_t ttl_us)
{
    memset(poison, 0, sizeof *poison);
    poison->after = after;
    poison->ttl_us = ttl_us;
    if (getrandom(&poison->key, sizeof poison->key, 0) != sizeof poison->key)
        abort();
}

static uint64_t fingerprint(const struct poison *poison, struct call *call)
{
    struct siphash_key key = poison->key;
    if (call->fingerprint == 0) {
        key.first ^= siphash(&poison->key, call->tool->spec.name);
        call->fingerprint = siphash(&key, call->args) | 1;
    }
    return call->fingerprint;
}

static struct poison_entry *find(const struct poison *poison, uint64_t wanted)
{
    for (unsigned i = 0; i < poison->count; i++) {
        if (poison->entries[i].fingerprint == wanted)
            return (struct poison_entry *)(uintptr_t)&poison->entries[i];
    }
    return NULL;
}

/* One that is known to kill outlives any number of those that were only there. */
static bool is_worth_less(const struct poison_entry *entry, const struct poison_entry *other)
{
    return entry->kills != other->kills ? entry->kills < other->kills
                                        : entry->last_us < other->last_us;
}

static struct poison_entry *make_room(struct poison *poison)
{
    if (poison->count < POISON_MAX)
        return &poison->entries[poison->count++];
    struct poison_entry *least = &poison->entries[0];
    for (unsigned i = 1; i < poison->count; i++) {
        if (is_worth_less(&poison->entries[i], least))
            least = &poison->entries[i];
    }
    return least;
}

void poison_note(struct poison *poison, struct call *call, uint64_t worker, bool alone,
                 uint64_t now_us)
{
    if (!poison->after)
        return;
    uint64_t wanted = fingerprint(poison, call);
    struct poison_entry *entry = find(poison, wanted);
    if (!entry) {
        entry = make_room(poison);
        *entry = (struct poison_entry){.fingerprint = wanted, .tool = call->tool};
    }
    if (entry->worker == worker)
        return;
    entry->worker = worker;
    entry->kills++;
    entry->alone += alone;
    entry->last_us = now_us;
}

bool poison_blocks(const struct poison *poison, struct call *call)
{
    if (poison->count == 0)
        return false;
    const struct poison_entry *entry = find(poison, fingerprint(poison, call));
    return entry && entry->kills >= poison->after;
}

void poison_acquit(struct poison *poison, struct call *call)
{
    struct poison_entry *entry = poison->count ? find(poison, fingerprint(poison, call)) : NULL;
    if (!entry)
        return;
    entry->kills = entry->alone;
    if (entry->kills == 0)
        *entry = poison->entries[--poison->count];
}

unsigned poison_count(const struct poison *poison)
{
    unsigned count = 0;
    for (unsigned i = 0; i < poison->count; i++)
        count += poison->entries[i].kills >= poison->after;
    return count;
}

void poison_expire(struct poison *poison, uint64_t now_us)
{
    unsigned kept = 0, before = poison->ttl_us ? poison->count : 0;
    for (unsigned i = 0; i < before; i++) {
        if (now_us - poison->entries[i].last_us < poison->ttl_us)
            poison->entries[kept++] = poison->entries[i];
    }
    poison->count -= before - kept;
}

unsigned poison_clear(struct poison *poison, uint64_t wanted)
{
    unsigned kept = 0, before = poison->count;
    for (unsigned i = 0; i < before; i++) {
        if (wanted && poison->entries[i].fingerprint != wanted)
            poison->entries[kept++] = poison->entries[i];
    }
    poison->count = kept;
    return before - kept;
}
