#include "bridge/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, WORD_COUNT = 0, WORD_RUNNING = 8, WORD_RING = 128 };

const void *page_new(int *out_fd)
{
    int fd = memfd_create("snakepit-started", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return NULL;
    void *page = MAP_FAILED;
    /* Sealed: a worker that cut the page short would kill us with SIGBUS. */
    if (ftruncate(fd, PAGE_BYTES) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        int why = errno;
        close(fd);
        errno = why;
        return NULL;
    }
    *out_fd = fd;
    return page;
}

void page_free(const void **page)
{
    const void *gone = *page;
    *page = NULL;
    if (gone)
        munmap((void *)(uintptr_t)gone, PAGE_BYTES);
}

void page_read(const void *page, struct started_calls *out_started)
{
    const volatile uint64_t *words = page;
    uint64_t count = words[WORD_COUNT];
    out_started->known = true;
    out_started->started_count = count < STARTED_MAX ? (unsigned)count : STARTED_MAX;
    for (unsigned i = 0; i < out_started->started_count; i++)
        out_started->started[i] = words[WORD_RING + i];
    out_started->running_count = 0;
    for (unsigned i = 0; i < RUNNING_MAX; i++) {
        if (words[WORD_RUNNING + i])
            out_started->running[out_started->running_count++] = words[WORD_RUNNING + i];
    }
}
