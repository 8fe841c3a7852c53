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

/* Never 0. */
static uint64_t fingerprint(const struct poison *poison, const struct call *call)
{
    struct siphash_key key = poison->key;
    key.first ^= siphash(&poison->key, call->tool->spec.name);
    return siphash(&key, call->args) | 1;
}

static struct poison_entry *find(const struct poison *poison, uint64_t wanted)
{
    for (unsigned i = 0; i < poison->count; i++) {
        if (poison->entries[i].fingerprint == wanted)
            return (struct poison_entry *)(uintptr_t)&poison->entries[i];
    }
    return NULL;
}

static struct poison_entry *make_room(struct poison *poison)
{
    if (poison->count < POISON_MAX)
        return &poison->entries[poison->count++];
    struct poison_entry *oldest = &poison->entries[0];
    for (unsigned i = 1; i < poison->count; i++) {
        if (poison->entries[i].last_us < oldest->last_us)
            oldest = &poison->entries[i];
    }
    return oldest;
}

void poison_note(struct poison *poison, const struct call *call, uint64_t now_us)
{
    if (!poison->after)
        return;
    uint64_t wanted = fingerprint(poison, call);
    struct poison_entry *entry = find(poison, wanted);
    if (!entry) {
        entry = make_room(poison);
        *entry = (struct poison_entry){.fingerprint = wanted, .tool = call->tool};
    }
    entry->kills++;
    entry->last_us = now_us;
}

bool poison_blocks(const struct poison *poison, const struct call *call)
{
    if (poison->count == 0)
        return false;
    const struct poison_entry *entry = find(poison, fingerprint(poison, call));
    return entry && entry->kills >= poison->after;
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
