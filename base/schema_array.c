/* Arrays. */
#include "base/json_equal.h"
#include "base/mem.h"
#include "base/schema_check.h"

#include <stdlib.h>

/* So many elements are compared each with each; more are sorted by their hashes first. */
enum { FEW_ELEMENTS = 16 };

struct element {
    uint64_t hash;
    size_t index;
    struct json_value value;
};

static bool twice(struct run *run, const struct place *place, size_t first, size_t second)
{
    return RUN_FAULT(run, place, "uniqueItems",
                     "expected elements that differ, found the same at %zu and %zu", first, second);
}

static bool few_are_unique(struct run *run, struct bytes array, const struct place *place)
{
    struct json_value values[FEW_ELEMENTS];
    struct json_cursor cursor = {0};
    for (size_t i = 0; i < FEW_ELEMENTS && json_next(array, &cursor, NULL, &values[i]); i++) {
        for (size_t before = 0; before < i; before++) {
            if (json_equal(values[before], values[i], &run->work))
                return twice(run, place, before, i);
        }
    }
    return run->work > 0;
}

static int by_hash(const void *left, const void *right)
{
    const struct element *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static bool sorted_are_unique(struct run *run, const struct element *elements, size_t count,
                              const struct place *place)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t before = i; before-- > 0 && elements[before].hash == elements[i].hash;) {
            if (json_equal(elements[before].value, elements[i].value, &run->work))
                return twice(run, place, elements[before].index, elements[i].index);
            if (run->work == 0)
                return false;
        }
    }
    return true;
}

static bool many_are_unique(struct run *run, struct bytes array, size_t count,
                            const struct place *place)
{
    struct element *elements = mem_array(count, sizeof *elements);
    struct json_cursor cursor = {0};
    size_t i = 0;
    (void)run_spend(run, array.len / 4);
    for (; i < count && json_next(array, &cursor, NULL, &elements[i].value); i++) {
        elements[i].hash = json_hash(elements[i].value);
        elements[i].index = i;
    }
    qsort(elements, i, sizeof *elements, by_hash);
    bool good = sorted_are_unique(run, elements, i, place);
    free(elements);
    return good;
}

static bool check_unique(struct run *run, struct bytes array, size_t count,
                         const struct place *place)
{
    if (count <= FEW_ELEMENTS)
        return few_are_unique(run, array, place);
    if (count <= SCHEMA_MAX_UNIQUE)
        return many_are_unique(run, array, count, place);
    return RUN_FAULT(run, place, "uniqueItems",
                     "no more than %d elements can be checked for being different, found %zu",
                     SCHEMA_MAX_UNIQUE, count);
}

static bool check_count(struct run *run, struct span span, const struct place *place, size_t count)
{
    if (count < span.least)
        return RUN_FAULT(run, place, "minItems", "expected at least %zu elements, found %zu",
                         span.least, count);
    if (count > span.most)
        return RUN_FAULT(run, place, "maxItems", "expected at most %zu elements, found %zu",
                         span.most, count);
    return true;
}

static const struct node *node_for(const struct array_rules *rules, size_t index)
{
    return index < rules->prefix.count ? rules->prefix.nodes[index] : rules->items;
}

bool schema_check_array(struct run *run, const struct array_rules *rules, const struct place *place,
                        const char *at, const char **out_end)
{
    const char *start = at;
    struct place inner = {.up = place};
    bool good = true;
    at = json_skip_space(at + 1, run->end);
    while (at < run->end && *at != ']') {
        const struct node *node = node_for(rules, inner.index);
        if (!node || node->anything)
            at += run_value(run, at).raw.len;
        else
            good &= schema_check_node(run, node, &inner, at, &at);
        if (run->work == 0 || (!good && run_stops(run)))
            return false;
        inner.index++;
        at = json_skip_space(at, run->end);
        if (at < run->end && *at == ',')
            at = json_skip_space(at + 1, run->end);
    }
    *out_end = at + 1;
    good &= check_count(run, rules->count, place, inner.index);
    if (good && rules->unique)
        good = check_unique(run, bytes_from(start, (size_t)(at + 1 - start)), inner.index, place);
    return good;
}
