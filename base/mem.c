#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory, size_t size)
{
    if (!memory) {
        fprintf(stderr, "snakepit: out of memory, %zu bytes wanted\n", size);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return checked(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1), size);
}

char *mem_strdup(const char *string)
{
    size_t size = strlen(string) + 1;
    return memcpy(mem_alloc(size), string, size);
}

void *mem_array(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1), count * size);
}
