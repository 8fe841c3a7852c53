/* An intrusive doubly linked list: the node sits in the object. */
#ifndef SNAKEPIT_BASE_LIST_H
#define SNAKEPIT_BASE_LIST_H

#include "base/container.h"

#include <stdbool.h>

/* As a head: the list; as a member of an object: its place. A node that is in no list points to
 * itself. */
struct list {
    struct list *next;
    struct list *prev;
};

/* Safe against removal of the current node. `cursor` and `following` are struct list pointers. */
#define LIST_FOREACH(head, cursor, following)                                                      \
    for (struct list *cursor = (head)->next, *following = cursor->next; cursor != (head);          \
         cursor = following, following = cursor->next)

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_insert_before(struct list *place, struct list *node)
{
    node->prev = place->prev;
    node->next = place;
    place->prev->next = node;
    place->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

/* Takes the node out of whatever list it is in; harmless when it is in none. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken out, or NULL. */
static inline struct list *list_pop_front(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}

#endif
