#include "pool/variable_set.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 8 };

void variable_set_init(struct variable_set *set)
{
    *set = (struct variable_set){0};
    pthread_mutex_init(&set->lock, NULL);
}

void variable_set_deinit(struct variable_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        free(set->sorted[i]);
    free(set->sorted);
    free(set->readers);
    pthread_mutex_destroy(&set->lock);
}

int variable_set_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the variable of that name is, or would be. */
static unsigned place_of(const struct variable_set *set, struct bytes name)
{
    unsigned low = 0, high = set->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (variable_set_compare(set->sorted[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct variable *variable_set_find(const struct variable_set *set, struct bytes name)
{
    unsigned place = place_of(set, name);
    if (place < set->count && bytes_equal(set->sorted[place]->name, name))
        return set->sorted[place];
    return NULL;
}

static void insert(struct variable_set *set, unsigned place, struct variable *variable)
{
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
        set->sorted = mem_realloc(set->sorted, set->capacity * sizeof set->sorted[0]);
    }
    struct variable **at = set->sorted + place;
    memmove(at + 1, at, (set->count - place) * sizeof *at);
    *at = variable;
    set->count++;
}

static void take_out(struct variable_set *set, unsigned place)
{
    struct variable **at = set->sorted + place;
    if ((*at)->version > set->highest_removed)
        set->highest_removed = (*at)->version;
    free(*at);
    set->count--;
    memmove(at, at + 1, (set->count - place) * sizeof *at);
}

void variable_set_put(struct variable_set *set, struct bytes name, struct variable *next)
{
    unsigned place = place_of(set, name);
    bool there = place < set->count && bytes_equal(set->sorted[place]->name, name);
    if (!next) {
        take_out(set, place);
    } else if (there) {
        free(set->sorted[place]);
        set->sorted[place] = next;
    } else {
        insert(set, place, next);
    }
}

/* --- readers --- */

bool variables_reader_is(const struct variables_reader *a, const struct variables_reader *b)
{
    return a->context == b->context && a->seat == b->seat && a->number == b->number;
}

struct variables_audience variable_set_dismiss(struct variable_set *set,
                                               const struct variables_reader *kept)
{
    struct variables_audience audience = {.revision = set->revision};
    if (set->reader_count == 0)
        return audience;
    unsigned stay = 0;
    audience.readers = mem_array(set->reader_count, sizeof *audience.readers);
    for (unsigned i = 0; i < set->reader_count; i++) {
        const struct variables_reader *reader = &set->readers[i];
        if (kept && variables_reader_is(reader, kept))
            set->readers[stay++] = *reader;
        else
            audience.readers[audience.count++] = *reader;
    }
    set->reader_count = stay;
    return audience;
}

void variables_audience_tell(struct variables_audience audience, uint64_t session)
{
    for (unsigned i = 0; i < audience.count; i++)
        audience.readers[i].changed(&audience.readers[i], session, audience.revision);
    free(audience.readers);
}

struct variables_audience variable_set_close(struct variable_set *set)
{
    set->revision++;
    return variable_set_dismiss(set, NULL);
}
