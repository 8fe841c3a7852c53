#include "server/calls/event_log.h"

#include "base/mem.h"
#include "pool/call.h"

#include <stdio.h>
#include <stdlib.h>

struct event {
    struct event *next;
    uint64_t id;
    enum event_kind kind;
    bool is_paid;        /* what it cost is in `owed`, or it cost nothing */
    unsigned references; /* the log's, and those of readers that are in the midst of it */
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
    *event =
        (struct event){.id = id, .kind = kind, .is_paid = free, .references = 1, .len = data.len};
    memcpy(event->data, data.data, data.len);
    for (char *at = event->data, *end = at + data.len; (at = memchr(at, '\n', (size_t)(end - at)));)
        *at = ' ';
    for (char *at = event->data, *end = at + data.len; (at = memchr(at, '\r', (size_t)(end - at)));)
        *at = ' ';
    return event;
}

static void unref(struct event *event)
{
    if (--event->references == 0)
        free(event);
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

static struct event_reader *reader_of(struct list *node)
{
    return CONTAINER_OF(node, struct event_reader, place);
}

void event_log_init(struct event_log *log)
{
    *log = (struct event_log){.front = UINT64_MAX};
    list_init(&log->readers);
}

static void drop_first(struct event_log *log)
{
    struct event *first = log->first;
    LIST_FOREACH (&log->readers, node, following) {
        if (reader_of(node)->next == first)
            reader_of(node)->next = first->next;
    }
    log->first = first->next;
    if (!log->first)
        log->last = NULL;
    log->bytes -= size_of(first);
    unref(first);
}

/* Holds no more than it should of what the foremost reader has had. */
static void trim(struct event_log *log)
{
    while (log->bytes > log->keep && log->first && log->first->id <= log->front &&
           (log->first != log->last || !log->keep))
        drop_first(log);
}

void event_log_deinit(struct event_log *log)
{
    while (log->first)
        drop_first(log);
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
    if (list_empty(&log->readers))
        pay(log, event);
    LIST_FOREACH (&log->readers, node, following) {
        if (!reader_of(node)->next)
            reader_of(node)->next = event;
    }
    trim(log);
}

/* --- readers --- */

static void find_front(struct event_log *log)
{
    log->front = list_empty(&log->readers) ? UINT64_MAX : 0;
    LIST_FOREACH (&log->readers, node, following) {
        if (reader_of(node)->had > log->front)
            log->front = reader_of(node)->had;
    }
}

/* What the last reader has not had is not waited for any more. */
void event_log_unfollow(struct event_log *log, struct event_reader *reader)
{
    if (list_empty(&reader->place))
        return;
    list_remove(&reader->place);
    if (reader->current)
        unref(reader->current);
    reader->current = NULL;
    for (struct event *event = log->first; event && list_empty(&log->readers); event = event->next)
        pay(log, event);
    find_front(log);
    trim(log);
}

/* What it does not want of the events that another has not had is paid as if it had read that. */
void event_log_follow(struct event_log *log, struct event_reader *reader, uint64_t had)
{
    *reader = (struct event_reader){.had = had < log->count ? had : log->count};
    list_push_back(&log->readers, &reader->place);
    for (reader->next = log->first; reader->next && reader->next->id <= had;
         reader->next = reader->next->next)
        pay(log, reader->next);
    find_front(log);
    trim(log);
}

/* Events `from` to `to` are not there any more. */
static struct event *new_gap(uint64_t from, uint64_t to)
{
    char text[64];
    (void)snprintf(text, sizeof text, "{\"from\":%llu,\"to\":%llu}", (unsigned long long)from,
                   (unsigned long long)to);
    return new_event(to, EVENT_GAP, bytes_of(text));
}

bool event_log_waits(const struct event_log *log, const struct event_reader *reader)
{
    return reader->had < log->count;
}

/* What it is to be told now, as it waits for something; with a reference. */
static struct event *turn_to_next(struct event_log *log, struct event_reader *reader)
{
    struct event *next = reader->next;
    if (!next || next->id > reader->had + 1)
        return new_gap(reader->had + 1, next ? next->id - 1 : log->count);
    reader->next = next->next;
    next->references++;
    return next;
}

/* It has had all of it. */
static void pass(struct event_log *log, struct event_reader *reader)
{
    struct event *event = reader->current;
    reader->current = NULL;
    reader->offset = 0;
    reader->had = event->id;
    if (reader->had > log->front)
        log->front = reader->had;
    pay(log, event);
    unref(event);
}

size_t event_log_read(struct event_log *log, struct event_reader *reader, enum event_format format,
                      char *room, size_t size)
{
    size_t filled = 0;
    while (event_log_waits(log, reader) && filled < size) {
        if (!reader->current)
            reader->current = turn_to_next(log, reader);
        const struct event *event = reader->current;
        bool end = false;
        size_t count = event_text_piece(format, event->id, names[event->kind],
                                        bytes_from(event->data, event->len), reader->offset,
                                        room + filled, size - filled, &end);
        filled += count;
        reader->offset += count;
        if (end)
            pass(log, reader);
    }
    trim(log);
    return filled;
}
