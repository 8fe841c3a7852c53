#include "bridge/chatter.h"

#include "base/utf8.h"

enum { SECOND_MS = 1000 };

#define SOURCE(chatter)                                                                            \
    LOG_STR("pool", (chatter)->source.pool), LOG_STR("worker", (chatter)->source.worker),          \
        LOG_INT("pid", (chatter)->pid), LOG_STR("stream", (chatter)->source.stream)

static void tell_dropped(struct chatter *chatter)
{
    if (chatter->dropped)
        log_event(LOG_WARNING, "worker output dropped", SOURCE(chatter),
                  LOG_INT("lines", chatter->dropped), LOG_END);
    chatter->dropped = 0;
}

/* Whether another line may be told in this second. */
static bool has_room(struct chatter *chatter, uint64_t now_ms)
{
    if (chatter->source.lines_per_second == 0)
        return true;
    if (chatter->said == 0 || now_ms - chatter->since_ms >= SECOND_MS) {
        tell_dropped(chatter);
        chatter->since_ms = now_ms;
        chatter->said = 0;
    }
    return chatter->said++ < chatter->source.lines_per_second;
}

static void tell(struct chatter *chatter, bool continues, uint64_t now_ms)
{
    const struct log_field more = {.name = continues ? "continues" : NULL, .number = 1};
    if (!has_room(chatter, now_ms))
        chatter->dropped++;
    else
        log_event(chatter->source.level, "worker output", SOURCE(chatter),
                  LOG_STR("text", chatter->line), more, LOG_END);
}

/* The line is full: all of it but the beginning of a character. */
static void tell_part(struct chatter *chatter, uint64_t now_ms)
{
    size_t end = chatter->len;
    while (end > 0 && utf8_is_continuation((unsigned char)chatter->line[end - 1]))
        end--;
    end -= end > 0 && (unsigned char)chatter->line[end - 1] >= 0x80;
    if (end == 0) /* it is no text */
        end = chatter->len;
    char kept = chatter->line[end];
    chatter->line[end] = '\0';
    tell(chatter, true, now_ms);
    chatter->line[end] = kept;
    chatter->len -= end;
    memmove(chatter->line, chatter->line + end, chatter->len);
}

static void end_line(struct chatter *chatter, uint64_t now_ms)
{
    chatter->line[chatter->len] = '\0';
    if (chatter->len > 0)
        tell(chatter, false, now_ms);
    chatter->len = 0;
}

void chatter_hear(struct chatter *chatter, struct bytes text, uint64_t now_ms)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        if (byte == '\n' || byte == '\r') {
            end_line(chatter, now_ms);
            continue;
        }
        if (chatter->len == CHATTER_LINE_BYTES)
            tell_part(chatter, now_ms);
        chatter->line[chatter->len++] = byte ? byte : ' '; /* a 0 would end it */
    }
}

void chatter_end(struct chatter *chatter, uint64_t now_ms)
{
    end_line(chatter, now_ms);
    tell_dropped(chatter);
}
