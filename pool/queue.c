#include "pool/queue.h"

void queue_init(struct call_queue *queue)
{
    for (unsigned i = 0; i < CALL_PRIORITIES; i++)
        list_init(&queue->levels[i]);
    queue->depth = 0;
}

void queue_put(struct call_queue *queue, struct call *call, bool again)
{
    struct list *level = &queue->levels[call->priority];
    if (again)
        list_push_front(level, &call->place);
    else
        list_push_back(level, &call->place);
    queue->depth++;
}

void queue_remove(struct call_queue *queue, struct call *call)
{
    list_remove(&call->place);
    queue->depth--;
}

static struct call *head(const struct call_queue *queue, unsigned level)
{
    const struct list *list = &queue->levels[level];
    return list_empty(list) ? NULL : LIST_OWNER(list->next, struct call, place);
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

uint64_t queue_oldest_us(const struct call_queue *queue)
{
    uint64_t oldest_us = UINT64_MAX;
    for (unsigned i = 0; i < CALL_PRIORITIES; i++) {
        const struct call *call = head(queue, i);
        if (call && call->submitted_us < oldest_us)
            oldest_us = call->submitted_us;
    }
    return oldest_us;
}
