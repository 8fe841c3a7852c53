#include "server/event_log.h"

#include "base/mem.h"
#include "pool/call.h"

#include <stdio.h>
#include <stdlib.h>

struct event {
    struct event *next;
    uint64_t id;
    enum event_kind kind;
    bool is_paid; /* what it cost is in `owed`, or it cost nothing */
    size_t len;
    char data[];
};

static const char *const names[] = {
    [EVENT_START] = "start",         [EVENT_CHUNK] = "chunk",
    [EVENT_PROGRESS] = "progress",   [EVENT_LOG] = "log",
    [EVENT_TOOL_CALL] = "tool_call", [EVENT_ERROR] = "error",
    [EVENT_DONE] = "done",           [EVENT_GAP] = "gap",
};

/* Line breaks in a checked JSON text are white space between its parts. */
static struct event *new_event(uint64_t id, enum event_kind kind, struct bytes data)
{
    bool free = kind != EVENT_CHUNK && kind != EVENT_PROGRESS && kind != EVENT_LOG;
    struct event *event = mem_alloc(sizeof *event + data.len);
    *event = (struct event){.id = id, .kind = kind, .is_paid = free, .len = data.len};
    memcpy(event->data, data.data, data.len);
    for (char *at = event->data, *end = at + data.len; (at = memchr(at, '\n', (size_t)(end - at)));)
        *at = ' ';
    for (char *at = event->data, *end = at + data.len; (at = memchr(at, '\r', (size_t)(end - at)));)
        *at = ' ';
    return event;
}

static size_t size_of(const struct event *event)
{
    return sizeof *event + event->len;
}

static void pay(struct event_log *log, struct event *event)
{
    if (!event->is_paid)
        log->owed += event->len + EMISSION_OVERHEAD;
    event->is_paid = true;
}

void event_log_init(struct event_log *log, size_t keep)
{
    *log = (struct event_log){.keep = keep};
}

static void drop_first(struct event_log *log)
{
    struct event *first = log->first;
    log->first = first->next;
    if (!log->first)
        log->last = NULL;
    log->bytes -= size_of(first);
    free(first);
}

/* Holds no more than it should of what nobody waits for. */
static void trim(struct event_log *log)
{
    while (log->bytes > log->keep && log->first && !(log->followed && log->first == log->next))
        drop_first(log);
}

void event_log_deinit(struct event_log *log)
{
    while (log->first)
        drop_first(log);
    free(log->gap);
    log->gap = log->next = NULL;
}

void event_log_add(struct event_log *log, enum event_kind kind, struct bytes data)
{
    struct event *event = new_event(++log->count, kind, data);
    if (log->last)
        log->last->next = event;
    else
        log->first = event;
    log->last = event;
    log->bytes += size_of(event);
    if (!log->followed)
        pay(log, event);
    else if (!log->next)
        log->next = event;
    trim(log);
}

/* Events `from` to `to` are not there any more. */
static struct event *new_gap(uint64_t from, uint64_t to)
{
    char text[64];
    snprintf(text, sizeof text, "{\"from\":%llu,\"to\":%llu}", (unsigned long long)from,
             (unsigned long long)to);
    return new_event(to, EVENT_GAP, bytes_of(text));
}

/* What the reader has not had is not waited for any more. */
void event_log_unfollow(struct event_log *log)
{
    for (struct event *event = log->next; event; event = event->next)
        pay(log, event);
    free(log->gap);
    log->gap = log->next = NULL;
    log->offset = 0;
    log->followed = false;
    trim(log);
}

/* What another reader has not had stays unpaid, unless this one does not want it either: so that
 * readers who take turns cannot make the worker emit more. */
void event_log_follow(struct event_log *log, uint64_t had)
{
    uint64_t first = log->first ? log->first->id : log->count + 1;
    free(log->gap);
    log->gap = first > had + 1 ? new_gap(had + 1, first - 1) : NULL;
    log->offset = 0;
    log->followed = true;
    for (log->next = log->first; log->next && log->next->id <= had; log->next = log->next->next)
        pay(log, log->next);
    trim(log);
}

/* The reader has had all of it. */
static void pass(struct event_log *log, struct event *event)
{
    log->offset = 0;
    pay(log, event);
    if (event == log->gap) {
        free(log->gap);
        log->gap = NULL;
    } else {
        log->next = event->next;
    }
}

size_t event_log_read(struct event_log *log, enum event_format format, char *room, size_t size)
{
    size_t filled = 0;
    while (event_log_waits(log) && filled < size) {
        struct event *event = log->gap ? log->gap : log->next;
        struct bytes data = bytes_from(event->data, event->len);
        bool end = false;
        size_t count = event_text_piece(format, event->id, names[event->kind], data, log->offset,
                                        room + filled, size - filled, &end);
        filled += count;
        log->offset += count;
        if (end)
            pass(log, event);
    }
    trim(log);
    return filled;
}

bool event_log_waits(const struct event_log *log)
{
    return log->followed && (log->gap || log->next);
}
