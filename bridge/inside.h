/* The bridge's insides, for the files of this room alone: what its seats have in common, and what
 * is noted of them. */
#ifndef SNAKEPIT_BRIDGE_INSIDE_H
#define SNAKEPIT_BRIDGE_INSIDE_H

#include "bridge/endpoint.h"
#include "bridge/link.h"
#include "bridge/options.h"
#include "bridge/reload.h"
#include "bridge/supervisor.h"
#include "pool/pool.h"

#include <pthread.h>

struct seat;

enum { DIRTY_WORDS = (POOL_MAX_SEATS + 63) / 64 };

struct bridge {
    struct runtime runtime; /* first */
    struct bridge_options options;
    struct supervisor *supervisor;
    struct registry *registry;
    struct endpoint *endpoint;
    struct link_handler handler;
    struct pool *pool;                   /* constant from bridge_serve() on */
    struct seat *seats;                  /* POOL_MAX_SEATS of them, owned */
    _Atomic uint64_t dirty[DIRTY_WORDS]; /* seats whose frames wait for a flush */

    pthread_mutex_t lock; /* guards this block */
    pthread_cond_t changed;
    unsigned occupied;         /* seats that are not EMPTY, or about to be taken */
    struct reload_view reload; /* changed by the supervisor's thread alone */
    struct reload_view refork; /* likewise */

    /* The supervisor's thread alone. */
    struct interpreter *zygote;      /* from which workers come; NULL while there is none */
    struct interpreter *next_zygote; /* that loads changed code, or NULL */
    struct interpreter *old_zygote;  /* that was replaced and forks the last workers, or NULL */
    bool zygote_loaded;
    bool next_is_warm;   /* next_zygote was a worker */
    unsigned generation; /* counts the zygotes */
    bool refork_missed;  /* a warm worker could not be taken as long as there was an old zygote */
    bool spawn_only;     /* what was loaded cannot be forked: one interpreter per worker */
    bool serving;
    bool leaving;
    unsigned start_failures; /* of workers, since the last one that attached */
    char failure[512];       /* came before there was a pool to tell */
    uv_timer_t clock;        /* the pool's next tick */
    uv_timer_t rounds;
    uv_timer_t measures;
    uv_timer_t zygote_retry;
};

/* A seat is empty again. Any thread. */
void bridge_vacated(struct bridge *bridge);

/* No worker can be started, and why. Supervisor's thread. */
void bridge_failed(struct bridge *bridge, const char *reason);

/* A worker ended by itself before it had attached. `reason`: in its own words, or empty. When it
 * happens again and again, the pool is told. Supervisor's thread. */
void bridge_start_failed(struct bridge *bridge, const char *reason, const struct worker_exit *exit);

#endif
