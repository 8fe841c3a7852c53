/* The events of one stream, numbered from 1: those that its reader has not had yet, and the last
 * ones that it had, for a reader that comes back. Not locked: see job.h. */
#ifndef SNAKEPIT_SERVER_EVENT_LOG_H
#define SNAKEPIT_SERVER_EVENT_LOG_H

#include "server/event_text.h"

#include <stdbool.h>

enum event_kind {
    EVENT_START,     /* {"request_id":…,"worker":…} */
    EVENT_CHUNK,     /* a value that the tool yielded */
    EVENT_PROGRESS,  /* {"done":…,"total":…,"message":…} */
    EVENT_LOG,       /* {"level":…,"message":…} */
    EVENT_TOOL_CALL, /* {"id":…,"name":…,"args":…} */
    EVENT_ERROR,     /* a problem document */
    EVENT_DONE,      /* {"result":…,"meta":{…}} */
    EVENT_GAP,       /* {"from":…,"to":…}: events that the reader has missed */
};

struct event;

struct event_log {
    struct event *first, *last;
    struct event *next; /* the reader's; NULL: it has had all there are */
    struct event *gap;  /* comes before `next`; or NULL */
    size_t offset;      /* bytes of the text of `gap` or `next` that it has had */
    size_t bytes;       /* held in all */
    size_t keep;        /* bytes of events to hold beyond what a reader waits for */
    uint64_t count;     /* events there have been */
    uint64_t owed;      /* what the worker may emit for events that were read, or that nobody waits
                           for: see Credit in bridge.proto; for the log's owner to take */
    bool followed;
};

/* Empty. `keep`: how many bytes of events that nobody waits for are held, at most. */
void event_log_init(struct event_log *log, size_t keep);
void event_log_deinit(struct event_log *log);

/* Adds an event; `data` is a checked JSON text, copied without its line breaks. */
void event_log_add(struct event_log *log, enum event_kind kind, struct bytes data);

/* A reader comes, that has had the events up to number `had`; it takes the place of another. */
void event_log_follow(struct event_log *log, uint64_t had);

/* It goes. */
void event_log_unfollow(struct event_log *log);

/* Writes text for the reader, as much as there is and fits; returns how much. */
size_t event_log_read(struct event_log *log, enum event_format format, char *room, size_t size);

/* Whether there is something to read. */
bool event_log_waits(const struct event_log *log);

#endif
