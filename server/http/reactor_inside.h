/* The inside of a reactor, for reactor.c and its tenants only. Everything here belongs to the
 * reactor's thread but for what says otherwise. */
#ifndef SNAKEPIT_SERVER_HTTP_REACTOR_INSIDE_H
#define SNAKEPIT_SERVER_HTTP_REACTOR_INSIDE_H

#include "base/mailbox.h"
#include "server/http/bell.h"
#include "server/http/http_options.h"
#include "server/http/http_stats.h"
#include "server/http/reactor_hooks.h"

#include <stdatomic.h>
#include <uv.h>

struct router;

enum { REACTOR_SCRATCH = 64 * 1024, REACTOR_MAX_TENANTS = 4 };

struct reactor {
    struct http_options options;
    struct reactor_hooks hooks;
    const struct router *router;
    struct http_stats stats;
    struct mailbox inbox; /* any thread posts */

    uv_thread_t thread;
    uv_loop_t loop;
    struct bell bell;   /* any thread rings: mail, or a changed wish */
    uv_prepare_t turn;  /* the end of a turn, before the loop sleeps */
    uv_idle_t again;    /* active when the next turn must not sleep */
    uv_timer_t second;  /* sweeps time-outs; faster while draining */
    uint64_t second_us; /* of the last hooks.on_second */
    bool worked;        /* something happened in this turn */

    struct tenant *tenants[REACTOR_MAX_TENANTS + 1]; /* in the order they came, then NULL */
    _Atomic unsigned *connection_count;              /* shared with other reactors */
    _Atomic unsigned own_connection_count;

    /* Wishes of other threads. */
    _Atomic bool wish_stop_accepting;
    _Atomic uint64_t wish_deadline_us; /* 0: run on; else stop, with this deadline */

    unsigned descriptors; /* of bodies, see reactor_hold_descriptor() */
    size_t held;          /* bytes of bodies, see reactor_hold() */
    bool draining;
    bool running; /* between reactor_start() and reactor_join() */
    char id_prefix[17];
    uint64_t id_counter;
    char scratch[REACTOR_SCRATCH]; /* for one read at a time */
};

/* A tenant moves in, before reactor_start(). The reactor frees it. */
void reactor_add(struct reactor *reactor, struct tenant *tenant);

/* Takes a connected, non-blocking socket into the count; false when the limit is reached. */
bool reactor_admit(struct reactor *reactor);
void reactor_dismiss(struct reactor *reactor);

/* The time at which this turn of the loop began; for time-outs. */
static inline uint64_t reactor_now_us(const struct reactor *reactor)
{
    return uv_now(&reactor->loop) * 1000;
}

/* Marks this turn as one that did work. */
static inline void reactor_worked(struct reactor *reactor)
{
    reactor->worked = true;
}

#endif
