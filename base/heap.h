/* A binary heap of intrusive nodes, smallest key first: the due times of timers. */
#ifndef SNAKEPIT_BASE_HEAP_H
#define SNAKEPIT_BASE_HEAP_H

#include "base/container.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sits in the object. Zeroed: in no heap. */
struct heap_node {
    uint64_t key;
    size_t place; /* index + 1, 0 when in no heap */
};

/* A zeroed struct is an empty heap. */
struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
};

void heap_deinit(struct heap *heap);

/* Puts the node in with this key; if it is in already, moves it. */
void heap_set(struct heap *heap, struct heap_node *node, uint64_t key);

/* Takes the node out; harmless when it is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

static inline bool heap_holds(const struct heap_node *node)
{
    return node->place != 0;
}

/* The node with the smallest key, still in the heap, or NULL. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

#endif
