#include "pool/queue.h"

/* The pace of answers is taken over so long at least: the gaps between single ones say little. */
enum { PACE_SPAN_US = 50000 };

void queue_init(struct call_queue *queue)
{
    *queue = (struct call_queue){.depth = 0};
    for (unsigned i = 0; i < CALL_PRIORITIES; i++)
        list_init(&queue->levels[i]);
}

static struct call *owner(struct list *place)
{
    return CONTAINER_OF(place, struct call, place);
}

static bool comes_before(const struct call *a, const struct call *b)
{
    return a->turn_us != b->turn_us ? a->turn_us < b->turn_us : a->number < b->number;
}

/* Those of old turns are few, and in front. */
static struct list *place_of(struct list *level, const struct call *call)
{
    if (list_empty(level) || comes_before(owner(level->prev), call))
        return level;
    struct list *place = level->next;
    while (comes_before(owner(place), call))
        place = place->next;
    return place;
}

void queue_put(struct call_queue *queue, struct call *call, uint64_t now_us)
{
    if (queue->depth == 0)
        queue->pace_since_us = now_us;
    list_insert_before(place_of(&queue->levels[call->priority], call), &call->place);
    queue->depths[call->priority]++;
    queue->depth++;
}

void queue_remove(struct call_queue *queue, struct call *call)
{
    list_remove(&call->place);
    queue->depths[call->priority]--;
    queue->depth--;
}

static struct call *head(const struct call_queue *queue, unsigned level)
{
    const struct list *list = &queue->levels[level];
    return list_empty(list) ? NULL : owner(list->next);
}

struct call *queue_first(const struct call_queue *queue)
{
    struct call *first = NULL;
    if (queue->depth == 0)
        return NULL;
    for (unsigned i = 0; i < CALL_PRIORITIES; i++) {
        struct call *call = head(queue, i);
        if (call && (!first || call->turn_us < first->turn_us))
            first = call;
    }
    return first;
}

void queue_pace(struct call_queue *queue, size_t answers, uint64_t now_us)
{
    if (queue->depth == 0 || answers == 0)
        return;
    queue->pace_span_us += now_us - queue->pace_since_us;
    queue->pace_answers += answers;
    queue->pace_since_us = now_us;
    if (queue->answer_every_us && queue->pace_span_us < PACE_SPAN_US)
        return;
    uint64_t every_us = queue->pace_span_us / queue->pace_answers;
    int64_t change = ((int64_t)every_us - (int64_t)queue->answer_every_us) / 8;
    queue->answer_every_us =
        queue->answer_every_us ? queue->answer_every_us + (uint64_t)change : every_us;
    queue->pace_span_us = queue->pace_answers = 0;
}

uint64_t queue_ahead_us(const struct call_queue *queue, unsigned priority)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= priority; i++)
        count += queue->depths[i];
    return count * queue->answer_every_us;
}

/* Those in front may have lost a worker, or be nested, and wait for less long than those behind
 * them. */
static uint64_t longest_of(const struct list *level)
{
    uint64_t oldest_us = UINT64_MAX;
    LIST_FOREACH (level, place, next) {
        const struct call *call = owner(place);
        if (call->enqueued_us < oldest_us)
            oldest_us = call->enqueued_us;
        if (call->outcome.attempts == 0 && call->depth == 0)
            break;
    }
    return oldest_us;
}

uint64_t queue_oldest_us(const struct call_queue *queue)
{
    uint64_t oldest_us = UINT64_MAX;
    for (unsigned i = 0; i < CALL_PRIORITIES; i++) {
        uint64_t level_us = longest_of(&queue->levels[i]);
        oldest_us = level_us < oldest_us ? level_us : oldest_us;
    }
    return oldest_us;
}
