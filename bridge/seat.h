/* A seat: what the bridge knows of the process in one of the pool's worker seats.
 *
 *     EMPTY ──► WAITING ──► FORKING ──► ALIVE ──► EMPTY
 *                  └──────► BOOTING ──────┘
 *
 * From each of them back to EMPTY when it cannot go on.
 *
 * A worker is gone when both its process and its stream have ended: what it had sent may still be
 * on its way when it is dead. Whichever ends first, the other one has a moment to follow, and is
 * broken off then.
 *
 * Its life is the supervisor thread's: seat_start.c until the process is there, seat_life.c from
 * there to its end. The few members that other threads need are under the seat's lock: seat.c. */
#ifndef SNAKEPIT_BRIDGE_SEAT_H
#define SNAKEPIT_BRIDGE_SEAT_H

#include "bridge/channel.h"
#include "bridge/frame.h"
#include "bridge/interpreter.h"
#include "bridge/link.h"
#include "bridge/supervisor.h"
#include "bridge/tail.h"

#include <pthread.h>

struct bridge;

enum seat_state {
    SEAT_EMPTY,
    SEAT_WAITING, /* for the zygote to have loaded */
    SEAT_FORKING, /* the zygote was asked; the pid is not known yet */
    SEAT_BOOTING, /* an interpreter of its own is loading, since forking is not possible */
    SEAT_ALIVE,   /* the process is known */
};
enum { SEAT_STATES = SEAT_ALIVE + 1 };

struct seat {
    struct bridge *bridge;

    pthread_mutex_t lock; /* guards this block */
    struct worker_ref worker;
    char id[WORKER_ID_MAX]; /* empty: nobody is expected */
    uint8_t token[START_TOKEN_BYTES];
    struct link *link;       /* a reference; NULL while not attached */
    struct channel *channel; /* a reference; NULL while EMPTY */
    uint64_t pong;           /* sequence of the last ping it answered */
    const void *page;        /* the supervisor's thread alone makes and frees it */

    /* The supervisor's thread alone. */
    enum seat_state state;
    struct process process;
    struct interpreter *interpreter; /* BOOTING, and ALIVE after it became the worker */
    struct interpreter *mother;      /* FORKING: the zygote that was asked */
    struct tail *tail;               /* of its standard error */
    struct tail *output;             /* of its standard output */
    int page_fd;                     /* until they have been handed over */
    int error_fd, output_fd;         /* likewise */
    int channel_fd;                  /* the worker's end of the channel, likewise */
    int template_fd;                 /* of a control socket, likewise, or -1 */
    int control;                     /* our end of it, or -1 */
    unsigned generation;             /* of the process that it was forked from */
    bool reforking;                  /* stopping, but workers are to be forked from its process */
    uv_timer_t timer;  /* until when it must have attached, let go of its stream, left as it was
                          told, or followed the stream that it let go of; and once its process has
                          exited, what was still on its way must have come */
    bool stalled;      /* it has left a ping unanswered for too long */
    bool stopping;     /* it is to leave: its end is expected */
    bool exited;       /* its process has ended; `exit` says how */
    bool attached;     /* it was, at some time */
    char failure[256]; /* why it cannot start, in its own words, or empty */
    struct worker_exit exit;
    uint64_t ping; /* sequence of the last ping, 0 before the first */
    uint64_t pinged_us;
    uint64_t
        sent_us;    /* since when it says to have answered that ping, and nothing has come; or 0 */
    unsigned reads; /* of its link, when that was looked at last */
};

/* Before there are other threads that know of it; seat_open() is the supervisor thread's part. */
void seat_init(struct seat *seat, struct bridge *bridge, unsigned index);

/* --- any thread --- */

/* The link of whoever sits here, with a reference for the caller, or NULL; and that of this worker
 * only. */
struct link *seat_link(struct seat *seat);
struct link *seat_link_of(struct seat *seat, struct worker_ref worker);

/* The same for the descriptor channel. */
struct channel *seat_channel_of(struct seat *seat, struct worker_ref worker);

/* Whether this worker is in the code of that call's tool at this moment. */
bool seat_runs(struct seat *seat, struct worker_ref worker, uint64_t call_id);

/* The worker that a hello claims to be, if it is expected and has the right token; notes its link.
 */
bool seat_attach(struct seat *seat, const struct frame_hello *hello, struct link *link,
                 struct worker_ref *out_worker) __attribute__((warn_unused_result));

/* The link is over. Returns whether it was the seat's. */
bool seat_detach(struct seat *seat, struct link *link);

/* --- seat_life.c: the supervisor's thread --- */

/* Moves the seat on; aborts on a move that the picture above does not have. */
void seat_move(struct seat *seat, enum seat_state next);

/* Gives the seat its timer; and takes it away, killing what is left in the seat. */
void seat_open(struct seat *seat);
void seat_close(struct seat *seat);

/* The worker, if it is still this one, is to leave within `grace_us`; 0 kills it now. */
void seat_stop(struct seat *seat, struct worker_ref worker, uint64_t grace_us);

/* The same, but that its process is to stay, for others to be forked from it, if it can and
 * `adoptable`: seat_unlinked() says when it has come so far. */
void seat_refork(struct seat *seat, struct worker_ref worker, uint64_t grace_us, bool adoptable);

/* It cannot start, and why. */
void seat_unable(struct seat *seat, const char *reason);

/* It has attached in time. */
void seat_attached(struct seat *seat, struct worker_ref worker);

/* Its link is over. `fault`: why it was refused, or empty. Returns whether workers can be forked
 * from its process now, as seat_refork() wanted: the caller takes `process` and `control`, and
 * vacates the seat; or kills it. */
bool seat_unlinked(struct seat *seat, struct worker_ref worker, const char *fault);

/* Nobody sits here any more: the pool is told, and the seat is EMPTY. */
void seat_vacate(struct seat *seat);

/* Its process, 0 when there is none that is known. */
pid_t seat_pid(const struct seat *seat);

/* Kills its process. The pool hears of it as of any other death. */
void seat_kill(struct seat *seat);

/* The process has ended, and so. */
void seat_gone(struct seat *seat, const struct worker_exit *exit);

/* Has the worker end in that time, unless it comes on before, see `timer`. */
void seat_set_timer(struct seat *seat, uint64_t after_ms);

/* Closes what the worker has by now, or never will have. */
void seat_close_handed_over(struct seat *seat);

/* --- seat_start.c: the same --- */

/* A process is wanted in this EMPTY seat, which then WAITs, unless it cannot be had. */
void seat_start(struct seat *seat, struct worker_ref worker, const char *id);

/* The WAITING seat has the zygote fork its worker, in that generation. False: it cannot be asked,
 * and the seat waits on. */
bool seat_fork(struct seat *seat, struct interpreter *zygote, unsigned generation)
    __attribute__((warn_unused_result));

/* The WAITING seat gets an interpreter of its own. */
void seat_boot(struct seat *seat);

/* The zygote has forked it. */
void seat_forked(struct seat *seat, pid_t pid);

/* That zygote is gone: a worker that it was to fork will not come. One that WAITs waits for the
 * next zygote. */
void seat_orphaned(struct seat *seat, const struct interpreter *zygote);

#endif
