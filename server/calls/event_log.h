/* The events of one stream, numbered from 1, for any number of readers: those that none of them has
 * come to yet, and the last ones of the others. The foremost reader paces the worker; whoever falls
 * too far behind it is told of a gap, so that no reader holds up another, or grows the log. Not
 * locked: see job.h. */
#ifndef SNAKEPIT_SERVER_CALLS_EVENT_LOG_H
#define SNAKEPIT_SERVER_CALLS_EVENT_LOG_H

#include "base/list.h"
#include "server/calls/event_text.h"

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
    struct list readers;
    uint64_t front; /* number of the last event that the foremost reader has had; UINT64_MAX: there
                       is none */
    size_t bytes;   /* held in all */
    size_t keep;    /* bytes of events to hold of those that a reader has had, or that nobody waits
                       for; more than 0: the last event in any case */
    uint64_t count; /* events there have been */
    uint64_t owed;  /* what the worker may emit for events that were read, or that nobody waits for:
                       see Credit in bridge.proto; for the log's owner to take */
};

/* Where a reader is. Embedded in what its owner knows of it; the log's, but for list_init() of its
 * place. */
struct event_reader {
    struct list place;     /* among the log's; in none: it does not follow */
    struct event *next;    /* that is held and comes next; NULL: it comes to the end */
    struct event *current; /* that it is being told, a reference; or NULL */
    size_t offset;         /* bytes of the text of that which it has had */
    uint64_t had;          /* number of the last event that it has had, or that it knows is gone */
};

/* Empty; keeps nothing. */
void event_log_init(struct event_log *log);
void event_log_deinit(struct event_log *log);

/* Adds an event; `data` is a checked JSON text, copied without its line breaks. */
void event_log_add(struct event_log *log, enum event_kind kind, struct bytes data);

/* A reader comes, that has had the events up to number `had`. */
void event_log_follow(struct event_log *log, struct event_reader *reader, uint64_t had);

/* It goes; harmless when it does not follow. */
void event_log_unfollow(struct event_log *log, struct event_reader *reader);

/* Writes text for a reader that follows, as much as there is and fits; returns how much. */
size_t event_log_read(struct event_log *log, struct event_reader *reader, enum event_format format,
                      char *room, size_t size);

/* Whether it has something to read. */
bool event_log_waits(const struct event_log *log, const struct event_reader *reader);

#endif
