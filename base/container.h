/* From a member back to the object that it is embedded in. */
#ifndef SNAKEPIT_BASE_CONTAINER_H
#define SNAKEPIT_BASE_CONTAINER_H

#include <stddef.h>

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
