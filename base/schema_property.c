/* Finding a member's rules by its name. Callers mostly send members in the order of the signature,
 * so the next one is tried first. */
#include "base/json_string.h"
#include "base/schema_inside.h"
#include "base/utf8.h"

/* FNV-1a: what may collide is fixed when the schema is made. */
static size_t hash_add(size_t hash, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * (size_t)0x100000001b3u;
    return hash;
}

static const size_t hash_start = (size_t)0xcbf29ce484222325u;

static bool has_escapes(struct bytes name)
{
    return name.len > 0 && memchr(name.data, '\\', name.len);
}

static struct bytes take(struct bytes *name, char text[4])
{
    size_t length = utf8_encode(json_take_character(name), text);
    return bytes_from(text, length);
}

/* The same however the name is escaped. */
static size_t hash_name(struct bytes name)
{
    size_t hash = hash_start;
    char text[4];
    if (!has_escapes(name))
        return hash_add(hash, name);
    while (name.len > 0)
        hash = hash_add(hash, take(&name, text));
    return hash;
}

static bool is_named(struct bytes own, struct bytes name)
{
    char text[4];
    if (!has_escapes(name))
        return bytes_equal(own, name);
    while (name.len > 0) {
        struct bytes character = take(&name, text);
        if (!bytes_starts_with(own, character))
            return false;
        own = bytes_skip(own, character.len);
    }
    return own.len == 0;
}

void schema_property_index(struct object_rules *rules, struct arena *arena)
{
    size_t buckets = 4;
    while (buckets < 2 * rules->count)
        buckets *= 2;
    rules->bucket_mask = buckets - 1;
    rules->buckets = arena_zalloc(arena, buckets * sizeof(struct property *));
    for (size_t i = 0; i < rules->count; i++) {
        size_t at = hash_add(hash_start, rules->properties[i].name);
        while (rules->buckets[at & rules->bucket_mask])
            at++;
        rules->buckets[at & rules->bucket_mask] = &rules->properties[i];
    }
}

static const struct property *look_up(const struct object_rules *rules, struct bytes name)
{
    for (size_t at = hash_name(name);; at++) {
        const struct property *property = rules->buckets[at & rules->bucket_mask];
        if (!property || is_named(property->name, name))
            return property;
    }
}

const struct property *schema_property_find(const struct object_rules *rules, struct bytes name,
                                            size_t *hint)
{
    if (rules->count == 0)
        return NULL;
    const struct property *found = &rules->properties[*hint];
    if (*hint == rules->count || !bytes_equal(found->name, name))
        found = look_up(rules, name);
    if (found)
        *hint = (size_t)(found - rules->properties) + 1;
    return found;
}
