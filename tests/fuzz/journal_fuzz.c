/* A dead worker's page: any bytes are read, and what is read lies in the arena, belongs to a call
 * that the index names and can be looked at.
 *
 * The input is sixteen words of slots, four entries of the index, and the ring's beginning. */
#include "bridge/frame.h"
#include "bridge/page.h"
#include "fuzz.h"

#include <string.h>

enum { SLOTS_BYTES = 128, INDEX_BYTES = 128 };

static char page[PAGE_BYTES] __attribute__((aligned(8)));
static volatile unsigned char sink;

static void touch(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sink ^= (unsigned char)bytes.data[i];
}

static void check_answer(const struct started_calls *started, const struct worker_answer *answer)
{
    bool named = false;
    for (unsigned i = 0; i < started->started_count; i++)
        named = named || started->started[i] == answer->call_id;
    fuzz_require(named, "an answer's call is one that was started");
    for (unsigned i = 0; i < started->running_count; i++)
        fuzz_require(started->running[i] != answer->call_id, "a running call has no answer");
    fuzz_require(answer->body.len <= PAGE_ANSWER_MAX, "an answer has at most PAGE_ANSWER_MAX");
    touch(answer->body);
    touch(answer->content_type);
    touch(answer->failure.type);
    touch(answer->failure.message);
    touch(answer->failure.traceback);
    touch(answer->failure.context);
    touch(answer->failure.details);
}

/* Puts the next bytes of the input there, zeroes where it has ended. */
static void fill(size_t place, size_t room, const uint8_t **data, size_t *size)
{
    size_t part = *size < room ? *size : room;
    memset(page + place, 0, room);
    memcpy(page + place, *data, part);
    *data += part;
    *size -= part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct started_calls started;
    if (!data)
        return 0;
    fill(PAGE_RUNNING_AT, SLOTS_BYTES, &data, &size);
    fill(PAGE_INDEX_AT, INDEX_BYTES, &data, &size);
    fill(PAGE_RING_AT, PAGE_ANSWER_MAX, &data, &size);
    struct arena *arena = arena_new(0);
    page_read(page, NULL, arena, &started);
    fuzz_require(started.finished_count <= started.started_count, "no answer without a call");
    for (unsigned i = 0; i < started.finished_count; i++)
        check_answer(&started, &started.finished[i]);
    arena_unref(&arena);
    return 0;
}
