/* Sessions: what calls of one client have in common, beyond a connection.
 *
 * The store is a monitor of its own, one for the gateway; every function may be called from any
 * thread. A session lives until it is deleted, or until nobody has used it for its time to live; a
 * call that waits or runs uses it. Then nobody finds it any more, and its memory goes with the last
 * reference. */
#ifndef SNAKEPIT_POOL_SESSION_H
#define SNAKEPIT_POOL_SESSION_H

#include "base/bytes.h"
#include "base/heap.h"
#include "base/list.h"
#include "pool/variable_set.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct session_store;

/* Which worker a session's calls go to. */
enum affinity {
    AFFINITY_UNSAID,           /* as the session says, or the pool */
    AFFINITY_HINT,             /* the last one if it is free, else any */
    AFFINITY_STRICT_QUEUE,     /* the first one's only: waits for it */
    AFFINITY_STRICT_FAIL_FAST, /* the first one's only: refused when it is busy */
};
enum { AFFINITIES = AFFINITY_STRICT_FAIL_FAST + 1 };

enum { SESSION_ID_MAX = 128, SESSION_POOL_MAX = 32, SESSION_METADATA_MAX = 65536 };

/* Where a session's calls have been in one pool. Under that pool's lock. */
enum { SESSION_SEAT_WORDS = 3 };
struct session_trail {
    uint64_t worker;                    /* number of the last one, 0: none */
    unsigned seat;                      /* where that one sits */
    bool bound;                         /* it may have no other: counted in worker->bound */
    uint64_t lost;                      /* number of the one that was lost last, and waited for */
    uint64_t newest;                    /* number of the newest worker there was then */
    uint64_t seats[SESSION_SEAT_WORDS]; /* a bit for each whose worker has had a call, then */
};

struct session {
    struct session_store *store;
    struct session_trail *trails;    /* by the rank of the pool */
    struct bytes id;                 /* constant, in the same block */
    uint64_t number;                 /* constant: no other session ever has it, whatever its id */
    char pool[SESSION_POOL_MAX + 1]; /* constant: where its calls go that name none; or empty */
    int64_t created_s;               /* constant, of the epoch */
    atomic_bool ended;               /* nobody finds it any more */
    atomic_uint references;          /* one of the store's, one for each user */
    _Atomic uint64_t used_us;        /* when a use has begun or ended, the last time */
    _Atomic uint64_t calls;          /* that were made in it */
    _Atomic enum affinity affinity;

    /* Under the store's lock. */
    struct session *next; /* of the same hash */
    struct list order;    /* oldest first */
    struct heap_node due; /* not before this moment it may expire */
    uint64_t ttl_us;
    struct bytes metadata; /* a JSON object, owned; or empty */
    size_t charged;        /* for its variables, bytes */

    struct variable_set variables; /* under a lock of their own, taken before the store's */

    void *extra; /* of whoever sets it, and looks after it */
    void (*free_extra)(void *extra);
};

struct session_options {
    unsigned limit;      /* sessions at once */
    uint64_t ttl_us;     /* of those that bring none */
    size_t memory_limit; /* for what they keep, all of them, bytes */
    struct variables_limits variables;
    uint64_t (*now_us)(void); /* the clock */
};

/* 10,000 sessions of an hour, 256 MiB; 1,000 variables of 1 MiB each and 8 MiB together; the
 * monotonic clock. */
struct session_options session_defaults(void);

/* Returns owned. */
struct session_store *session_store_new(const struct session_options *options)
    __attribute__((returns_nonnull));

/* Workers of this pool, which is borrowed, serve sessions; `forget` is called with each session
 * that nobody uses any more, and whether one of its id is there again, under the store's lock. In
 * the order of the pools' ranks, and before there are any sessions. */
void session_store_add(struct session_store *store, struct pool *pool,
                       void (*forget)(struct pool *pool, struct session *session, bool again));

/* Workers do not hear any more of sessions that end. */
void session_store_stop(struct session_store *store);

/* Ends all sessions; nobody may have a reference any more. Clears the pointer, accepts NULL. */
void session_store_free(struct session_store **store);

/* What is wanted of a session. Empty, zero or unsaid: the default, or as it is. */
struct session_wish {
    struct bytes id;   /* at most SESSION_ID_MAX; empty: a new one, "s-" and 22 characters */
    struct bytes pool; /* at most SESSION_POOL_MAX */
    uint64_t ttl_us;
    struct bytes metadata; /* a JSON object of at most SESSION_METADATA_MAX; copied */
    enum affinity affinity;
};

enum session_verdict {
    SESSION_MADE,
    SESSION_THERE,  /* it was there, and is as it was */
    SESSION_FULL,   /* there are too many */
    SESSION_MEMORY, /* they keep too much */
};

/* Makes a session, unless there is one of that id. With MADE and THERE returns a reference. */
enum session_verdict session_open(struct session_store *store, const struct session_wish *wish,
                                  struct session **out_session);

struct session *session_ref(struct session *session);

/* The session of that id, with a reference; or NULL. That is a use. */
struct session *session_find(struct session_store *store, struct bytes id);

/* Whether it was deleted while calls use it: they may not read, write or begin anything in it. */
bool session_has_ended(const struct session *session);

/* A use has ended: drops a reference and clears the pointer; accepts NULL inside. */
void session_unref(struct session **session);

/* Ends it, and tells those who read its variables. False: there is none of that id. */
bool session_delete(struct session_store *store, struct bytes id);

/* Changes what is wished for but for id and pool. False, and nothing changed: sessions keep too
 * much. */
bool session_change(struct session *session, const struct session_wish *wish)
    __attribute__((warn_unused_result));

enum session_charge { SESSION_CHARGED, SESSION_TOO_MUCH, SESSION_ENDED };

/* Its variables take so many bytes less, and so many more. */
enum session_charge session_charge(struct session *session, size_t less, size_t more)
    __attribute__((warn_unused_result));

/* What its variables may be. */
const struct variables_limits *session_limits(const struct session *session);

/* Ends some of those whose time is over; to be called every second. */
void session_sweep(struct session_store *store);

/* How a session stands. */
struct session_view {
    uint64_t number;
    char id[SESSION_ID_MAX + 1];
    char pool[SESSION_POOL_MAX + 1];
    int64_t created_s;
    uint64_t ttl_us, idle_us;
    uint64_t calls;
    unsigned users; /* calls that wait or run, and who looks */
    enum affinity affinity;
    struct bytes metadata; /* owned copy, to be freed; or empty */
};

/* Writes down a session; the caller frees the metadata. Is no use. */
void session_look(struct session *session, struct session_view *out_view);

/* Writes up to `max`, oldest first, without their metadata, of those with a higher number than
 * `after`; returns how many. */
unsigned session_list(struct session_store *store, uint64_t after, struct session_view *out_views,
                      unsigned max);

struct session_counts {
    unsigned current, limit;
    size_t memory, memory_limit; /* bytes */
    uint64_t created, deleted, expired, refused;
    unsigned retry_after_s; /* until a session expires, if nobody uses it; 1 at least */
};

/* Writes down how many there are and were. */
void session_count(struct session_store *store, struct session_counts *out_counts);

/* "hint", "strict_queue", "strict_fail_fast"; NULL for AFFINITY_UNSAID. */
const char *affinity_name(enum affinity affinity);

#endif
