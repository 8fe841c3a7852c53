/* A worker's frame: any bytes are read or refused, and what is read lies in the arena and can be
 * looked at. */
#include "bridge/frame.h"
#include "fuzz.h"

static volatile unsigned char sink;

static void touch(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sink ^= (unsigned char)bytes.data[i];
}

static void touch_hello(const struct frame_hello *hello)
{
    touch(hello->worker_id);
    touch(hello->token);
    touch(hello->worker.python_version);
    for (size_t i = 0; i < hello->tool_count; i++) {
        touch(hello->tools[i].name);
        touch(hello->tools[i].description);
        touch(hello->tools[i].schema);
    }
}

static void touch_answer(const struct worker_answer *answer)
{
    touch(answer->body);
    touch(answer->content_type);
    touch(answer->failure.type);
    touch(answer->failure.message);
    touch(answer->failure.traceback);
    touch(answer->failure.context);
    touch(answer->failure.code);
    touch(answer->failure.details);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    struct worker_frame frame;
    if (frame_read(bytes_from(data, size), arena, &frame)) {
        if (frame.hello)
            touch_hello(frame.hello);
        for (size_t i = 0; i < frame.answer_count; i++)
            touch_answer(&frame.answers[i]);
    }
    arena_unref(&arena);
    return 0;
}
