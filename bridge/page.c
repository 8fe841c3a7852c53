#include "bridge/page.h"

#include "base/arena.h"
#include "bridge/inlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* An entry of the journal's index. Bytes are counted from the first one ever written, so that of
 * two entries the newer one has the higher place. */
struct entry {
    uint64_t call_id; /* 0: there is none */
    uint64_t at;
    uint64_t size;
    uint64_t kind;
    uint64_t run_us;
};

struct journal {
    struct entry entries[STARTED_MAX];
    unsigned count;
    uint64_t end; /* of what was written, or was about to be */
};

/* Each word is read once: somebody the worker left behind may still be writing. */
static struct entry read_entry(const volatile uint64_t *words)
{
    uint64_t call_id = words[0], at = words[1], size = words[2], run_us = words[3];
    return (struct entry){call_id, at, size & UINT32_MAX, size >> 32, run_us};
}

static bool is_sound(const struct entry *entry)
{
    return entry->call_id && entry->size <= PAGE_ANSWER_MAX && entry->at <= UINT64_MAX / 2 &&
           entry->at % PAGE_RING_BYTES + entry->size <= PAGE_RING_BYTES;
}

static void read_index(const char *page, struct journal *out_journal)
{
    const volatile uint64_t *words = (const void *)(page + PAGE_INDEX_AT);
    out_journal->count = 0;
    out_journal->end = 0;
    for (unsigned i = 0; i < STARTED_MAX; i++) {
        struct entry entry = read_entry(words + (size_t)4 * i);
        if (!is_sound(&entry))
            continue;
        out_journal->entries[out_journal->count++] = entry;
        if (entry.at + entry.size > out_journal->end)
            out_journal->end = entry.at + entry.size;
    }
}

static void read_running(const char *page, struct started_calls *out_started)
{
    const volatile uint64_t *words = (const void *)(page + PAGE_RUNNING_AT);
    for (unsigned i = 0; i < RUNNING_MAX; i++) {
        uint64_t call_id = words[i];
        if (call_id)
            out_started->running[out_started->running_count++] = call_id;
    }
}

bool page_shows_running(const void *page, uint64_t call_id)
{
    const volatile uint64_t *words = (const void *)((const char *)page + PAGE_RUNNING_AT);
    for (unsigned i = 0; i < RUNNING_MAX; i++) {
        if (words[i] == call_id)
            return true;
    }
    return false;
}

static bool is_running(const struct started_calls *started, uint64_t call_id)
{
    for (unsigned i = 0; i < started->running_count; i++) {
        if (started->running[i] == call_id)
            return true;
    }
    return false;
}

static bool read_frame(struct bytes data, uint64_t call_id, struct channel *channel,
                       struct arena *arena, struct worker_answer *out_answer)
{
    struct worker_frame frame;
    struct inlet inlet = {.channel = channel};
    if (!frame_read(data, arena, &frame) || frame.answer_count != 1 ||
        frame.answers[0].call_id != call_id)
        return false;
    inlet_fetch(&inlet, frame.arrivals, arena);
    *out_answer = frame.answers[0];
    return true;
}

static bool read_answer(const char *page, const struct entry *entry, struct channel *channel,
                        struct arena *arena, struct worker_answer *out_answer)
{
    const char *source = page + PAGE_RING_AT + entry->at % PAGE_RING_BYTES;
    if (entry->kind != PAGE_RESULT && entry->kind != PAGE_FRAME)
        return false;
    struct bytes data = arena_copy(arena, bytes_from(source, entry->size));
    if (entry->kind == PAGE_FRAME)
        return read_frame(data, entry->call_id, channel, arena, out_answer);
    *out_answer = (struct worker_answer){.call_id = entry->call_id,
                                         .started = true,
                                         .body = data,
                                         .content_type = bytes_of(""),
                                         .run_us = entry->run_us};
    return true;
}

uint64_t page_pong(const void *page)
{
    const _Atomic uint64_t *word = (const void *)((const char *)page + PAGE_PONG_AT);
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* A call's mark in its slot is cleared after its entry and its bytes are written: as long as it is
 * there, they may be half of something. And what is a whole ring older than the end is, or was
 * about to be, overwritten. */
void page_read(const void *page, struct channel *channel, struct arena *arena,
               struct started_calls *out_started)
{
    struct journal journal;
    out_started->known = true;
    out_started->started_count = out_started->running_count = out_started->finished_count = 0;
    read_running(page, out_started);
    read_index(page, &journal);
    out_started->finished = arena_alloc(arena, journal.count * sizeof out_started->finished[0]);
    for (unsigned i = 0; i < journal.count; i++) {
        const struct entry *entry = &journal.entries[i];
        out_started->started[out_started->started_count++] = entry->call_id;
        if (!is_running(out_started, entry->call_id) &&
            journal.end - entry->at <= PAGE_RING_BYTES &&
            read_answer(page, entry, channel, arena,
                        &out_started->finished[out_started->finished_count]))
            out_started->finished_count++;
    }
}
