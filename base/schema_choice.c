/* The values of an enum, found by their hashes. */
#include "base/json_equal.h"
#include "base/schema_run.h"

struct value_list *schema_choices_read(struct json_value array, size_t count, struct arena *arena)
{
    struct value_list *list = arena_alloc(arena, sizeof *list);
    struct json_cursor cursor = {0};
    *list = (struct value_list){.count = count, .mask = 1};
    while (list->mask < 2 * count)
        list->mask = list->mask << 1 | 1;
    list->values = arena_alloc(arena, (count + 1) * sizeof list->values[0]);
    list->slots = arena_zalloc(arena, (list->mask + 1) * sizeof list->slots[0]);
    for (size_t i = 0; json_next(array.raw, &cursor, NULL, &list->values[i]); i++) {
        size_t slot = json_hash(list->values[i]) & list->mask;
        while (list->slots[slot])
            slot = (slot + 1) & list->mask;
        list->slots[slot] = (unsigned)i + 1;
    }
    return list;
}

bool schema_choices_have(struct run *run, const struct value_list *list, struct json_value value)
{
    (void)run_spend(run, value.raw.len / 4);
    for (size_t slot = json_hash(value) & list->mask; list->slots[slot] && run->work > 0;
         slot = (slot + 1) & list->mask) {
        if (json_equal(list->values[list->slots[slot] - 1], value, &run->work))
            return true;
    }
    return false;
}
