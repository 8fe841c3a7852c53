/* A job: a call that others can look at than the exchange that made it. Streams are jobs, and so
 * are calls that are answered later, or that an Idempotency-Key names.
 *
 * A monitor, as the pool is: one mutex, short sections. What a worker emits goes into the log of
 * events on the thread that received it, and a reader's reactor is woken only when the reader has
 * had all there was: a hop through the mailbox for each value would cost more than the lock, and
 * readers may sit on different reactors. Any thread may call everything here. */
#ifndef SNAKEPIT_SERVER_CALLS_JOB_H
#define SNAKEPIT_SERVER_CALLS_JOB_H

#include "base/list.h"
#include "base/mailbox.h"
#include "server/calls/event_log.h"
#include "server/calls/outcome.h"
#include "server/tools/offer.h"

#include "pool/call.h"

#include <pthread.h>

struct ledger;

/* Somebody on a reactor who wants to hear of a job: its mail is posted when there is something new.
 */
struct job_watcher {
    struct mail mail; /* its `open` is the watcher's own, and calls job_heard() first */
    struct mailbox *home;

    /* The job's, under its lock. */
    struct list place;
    bool posted;
    struct event_reader reader; /* of those who follow the events */
    bool hungry;                /* it has read all there was */
};

/* `open`: of its mail, which goes to `home`. */
void job_watcher_init(struct job_watcher *watcher, void (*open)(struct mail *mail),
                      struct mailbox *home);

/* The lists of a ledger. Jobs go from one to the other: whoever looks for a call in the order in
 * which it moves, where it runs, then among those that are under way, then among those that are
 * done, does not miss it. */
enum job_list { JOBS_UNDER_WAY, JOBS_DONE };
enum { JOB_LISTS = JOBS_DONE + 1 };

/* Lives as long as its call, whose references are its own: who emits has one. */
struct job {
    struct call *call; /* this block is constant after submission */
    bool is_stream;
    bool detached;           /* goes on when nobody listens */
    bool is_kept;            /* its outcome is kept for a while */
    enum result_shape shape; /* of its answer, for those who fetch it later */
    size_t result_limit;     /* of a stream, bytes */
    struct bytes
        instance; /* what was asked for, a path in the call's arena: of problem documents */
    struct offers *offers; /* tools of its caller's; or NULL */
    uint64_t fingerprint;  /* of the request, to tell one from another with the same key */

    /* Of the ledger that it was entered in. */
    struct ledger *ledger;            /* borrows */
    void (*on_done)(struct job *job); /* once its outcome is final */

    /* The same, under its lock. */
    struct bytes key;  /* Idempotency-Key, in the call's arena; empty: none, or not any more */
    bool is_announced; /* somebody has been told where it will be found */
    struct job *next_by_id, *next_by_key;
    struct list place;           /* in the ledger's list of those under way, or of those done */
    uint64_t numbers[JOB_LISTS]; /* in each list, once it was in; constant from then on */
    size_t kept_bytes;
    uint64_t expires_us;

    pthread_mutex_t lock;    /* guards the following */
    bool was_started;        /* the call has been submitted */
    bool done;               /* the call's outcome is final */
    bool was_heard;          /* the worker has emitted something */
    const char *fault;       /* what is wrong with what it has emitted, or NULL; static */
    struct event_log events; /* its readers are watchers */
    struct list watchers;    /* who wait for the end */
    struct list questions;   /* to the readers, see question.h */
    uint64_t asked;          /* questions there have been */
};

/* A job for that call, which has not been submitted: takes the caller's reference to it. In no
 * ledger. Returned with one reference. */
struct job *job_new(struct call *call) __attribute__((returns_nonnull));
struct job *job_ref(struct job *job);

/* The job of that call, which lives as long as the call; NULL: it has none. */
struct job *job_of(const struct call *call);

/* Drops a reference and clears the pointer; accepts NULL inside. */
void job_unref(struct job **job);

/* Submits the call of a job that was entered, and whose request id is final thereby. */
void job_start(struct job *job);

/* Tells the readers of a stream that it has started, if a worker has it, in that state at least,
 * and they have not been told. Returns whether they have. */
bool job_begin(struct job *job, enum call_state state);

/* Tells the readers something of the call, which has not ended; `text` is JSON. False: they are so
 * far behind that they must not be told more. */
bool job_tell(struct job *job, enum event_kind kind, struct bytes text)
    __attribute__((warn_unused_result));

/* A job that says as much of its end as fits `size` bytes, to be kept in the place of one that is
 * done and takes more: without its arguments, and if need be without its result. Not entered in the
 * ledger. Returned with one reference. */
struct job *job_digest(struct job *job, size_t size) __attribute__((returns_nonnull));

/* Gives the call up. */
void job_cancel(struct job *job);

/* The watcher has left: if it was the last that read, the call is given up, unless it goes on for
 * others. */
void job_abandon(struct job *job, struct job_watcher *watcher);

/* The call, if it is DONE, else NULL. */
const struct call *job_outcome(struct job *job);

/* Whether its call has been submitted; nobody is told of it before. */
bool job_was_started(struct job *job);

/* Whether it ended before anything was emitted, so that its outcome says it all. */
bool job_is_mute(struct job *job);

/* Whether it is done, and event number `had` was its last or never came. */
bool job_has_told(struct job *job, uint64_t had);

/* The watcher hears of the end, at once if it has come; and no more. job_ignore() returns false
 * when its mail is under way: the watcher must live until that is opened. */
void job_watch(struct job *job, struct job_watcher *watcher);
bool job_ignore(struct job *job, struct job_watcher *watcher) __attribute__((warn_unused_result));

/* The watcher's mail has arrived. */
void job_heard(struct job *job, struct job_watcher *watcher);

/* Holds so many bytes of the events from now on, for readers that come back, or are several. */
void job_hold(struct job *job, size_t bytes);

/* The watcher, which watches already, reads the events after number `had`. */
void job_follow(struct job *job, struct job_watcher *watcher, uint64_t had);

/* Writes text of events to `room`; returns how much. 0 and not `out_end`: the watcher will hear
 * when there is more. `out_end`: that was all. */
size_t job_read(struct job *job, struct job_watcher *watcher, enum event_format format, char *room,
                size_t size, bool *out_end);

/* Bytes that it holds, about. */
size_t job_size(struct job *job);

#endif
