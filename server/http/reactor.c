#include "server/http/reactor.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/http/reactor_inside.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SWEEP_MS = 1000, DRAIN_POLL_MS = 10, BODY_DESCRIPTORS = 1024 };

/* --- admission --- */

bool reactor_admit(struct reactor *reactor)
{
    unsigned before = atomic_fetch_add_explicit(reactor->connection_count, 1, memory_order_relaxed);
    if (before >= reactor->options.connection_limit) {
        atomic_fetch_sub_explicit(reactor->connection_count, 1, memory_order_relaxed);
        http_stats_add(&reactor->stats.refused, 1);
        return false;
    }
    http_stats_add(&reactor->stats.accepted, 1);
    return true;
}

void reactor_dismiss(struct reactor *reactor)
{
    atomic_fetch_sub_explicit(reactor->connection_count, 1, memory_order_relaxed);
}

/* --- tenants --- */

void reactor_add(struct reactor *reactor, struct tenant *tenant)
{
    struct tenant **place = reactor->tenants;
    while (*place)
        place++;
    if (place == reactor->tenants + REACTOR_MAX_TENANTS)
        abort();
    *place = tenant;
}

static bool is_due(const struct reactor *reactor)
{
    bool due = false;
    for (struct tenant *const *at = reactor->tenants; *at && !due; at++)
        due = (*at)->ops->is_due && (*at)->ops->is_due(*at);
    return due;
}

static bool is_empty(const struct reactor *reactor)
{
    bool empty = true;
    for (struct tenant *const *at = reactor->tenants; *at && empty; at++)
        empty = (*at)->ops->is_empty(*at);
    return empty;
}

static void stop_accepting(struct reactor *reactor)
{
    for (struct tenant **at = reactor->tenants; *at; at++) {
        if ((*at)->ops->stop_accepting)
            (*at)->ops->stop_accepting(*at);
    }
}

/* --- a turn of the loop --- */

static void hand_out_mail(struct reactor *reactor)
{
    struct mail *mail = mailbox_drain(&reactor->inbox);
    while (mail) {
        struct mail *next = mail->next;
        reactor_worked(reactor);
        mail->open(mail);
        mail = next;
    }
}

static void on_again(uv_idle_t *idle)
{
    (void)idle;
}

/* Everything is gone: closes what keeps the loop running. The bell stays, for late posts of other
 * threads. */
static void finish(struct reactor *reactor)
{
    for (struct tenant **at = reactor->tenants; *at; at++)
        (*at)->ops->stop(*at);
    uv_close((uv_handle_t *)&reactor->turn, NULL);
    uv_close((uv_handle_t *)&reactor->again, NULL);
    uv_close((uv_handle_t *)&reactor->second, NULL);
    uv_unref((uv_handle_t *)&reactor->bell.poll);
}

static void on_turn(uv_prepare_t *prepare)
{
    struct reactor *reactor = prepare->data;
    for (struct tenant **at = reactor->tenants; *at; at++) {
        if ((*at)->ops->run)
            (*at)->ops->run(*at);
    }
    if (reactor->worked) {
        reactor->worked = false;
        if (reactor->hooks.on_turn_end)
            reactor->hooks.on_turn_end(reactor);
    }
    if (is_due(reactor))
        uv_idle_start(&reactor->again, on_again);
    else
        uv_idle_stop(&reactor->again);
    if (reactor->draining && is_empty(reactor))
        finish(reactor);
}

/* --- time --- */

static void on_second(uv_timer_t *timer)
{
    struct reactor *reactor = timer->data;
    uint64_t now = reactor_now_us(reactor);
    if (reactor->hooks.on_second && now - reactor->second_us >= SWEEP_MS * UINT64_C(1000)) {
        reactor->second_us = now;
        reactor->hooks.on_second(reactor);
    }
    for (struct tenant **at = reactor->tenants; *at; at++)
        (*at)->ops->sweep(*at, now);
}

/* --- wishes of other threads --- */

static void on_drain_poll(uv_timer_t *timer)
{
    struct reactor *reactor = timer->data;
    on_second(timer);
    if (clock_now_us() < atomic_load(&reactor->wish_deadline_us))
        return;
    for (struct tenant **at = reactor->tenants; *at; at++)
        (*at)->ops->cut(*at);
}

static void begin_drain(struct reactor *reactor)
{
    reactor->draining = true;
    for (struct tenant **at = reactor->tenants; *at; at++)
        (*at)->ops->drain(*at);
    uv_timer_start(&reactor->second, on_drain_poll, DRAIN_POLL_MS, DRAIN_POLL_MS);
}

static void on_ring(void *context)
{
    struct reactor *reactor = context;
    hand_out_mail(reactor);
    if (atomic_load(&reactor->wish_stop_accepting))
        stop_accepting(reactor);
    if (atomic_load(&reactor->wish_deadline_us) != 0 && !reactor->draining)
        begin_drain(reactor);
}

static void wake_up(void *context)
{
    struct reactor *reactor = context;
    bell_ring(&reactor->bell);
}

void reactor_stop_accepting(struct reactor *reactor)
{
    atomic_store(&reactor->wish_stop_accepting, true);
    wake_up(reactor);
}

void reactor_stop(struct reactor *reactor, unsigned grace_ms)
{
    uint64_t wanted = clock_now_us() + grace_ms * UINT64_C(1000);
    uint64_t old = atomic_load(&reactor->wish_deadline_us);
    while ((old == 0 || wanted < old) &&
           !atomic_compare_exchange_weak(&reactor->wish_deadline_us, &old, wanted))
        ;
    wake_up(reactor);
}

/* --- life --- */

static void choose_id_prefix(struct reactor *reactor)
{
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
        abort();
    snprintf(reactor->id_prefix, sizeof(reactor->id_prefix), "%016llx", (unsigned long long)bits);
}

struct reactor *reactor_new(const struct http_options *options, const struct router *router,
                            const struct reactor_hooks *hooks, _Atomic unsigned *connection_count)
{
    struct reactor *reactor = MEM_NEW(struct reactor);
    reactor->options = *options;
    reactor->hooks = *hooks;
    reactor->router = router;
    reactor->connection_count =
        connection_count ? connection_count : &reactor->own_connection_count;
    http_stats_init(&reactor->stats, router_count(router));
    choose_id_prefix(reactor);
    mailbox_init(&reactor->inbox, wake_up, reactor);
    if (uv_loop_init(&reactor->loop) != 0)
        abort();
    bell_init(&reactor->bell, &reactor->loop, on_ring, reactor);
    return reactor;
}

static void start_handles(struct reactor *reactor)
{
    uv_prepare_init(&reactor->loop, &reactor->turn);
    uv_idle_init(&reactor->loop, &reactor->again);
    uv_timer_init(&reactor->loop, &reactor->second);
    reactor->turn.data = reactor->second.data = reactor;
    uv_prepare_start(&reactor->turn, on_turn);
    uv_timer_start(&reactor->second, on_second, SWEEP_MS, SWEEP_MS);
}

static void run(void *context)
{
    struct reactor *reactor = context;
    pthread_setname_np(pthread_self(), "reactor");
    uv_run(&reactor->loop, UV_RUN_DEFAULT);
    hand_out_mail(reactor);
}

void reactor_start(struct reactor *reactor)
{
    start_handles(reactor);
    reactor->running = true;
    if (uv_thread_create(&reactor->thread, run, reactor) != 0)
        abort();
}

void reactor_join(struct reactor *reactor)
{
    if (!reactor->running)
        return;
    uv_thread_join(&reactor->thread);
    reactor->running = false;
}

void reactor_free(struct reactor **where)
{
    struct reactor *reactor = *where;
    if (!reactor)
        return;
    *where = NULL;
    hand_out_mail(reactor); /* of what has ended since */
    bell_close(&reactor->bell);
    uv_run(&reactor->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&reactor->loop) != 0)
        abort();
    for (struct tenant **at = reactor->tenants; *at; at++)
        (*at)->ops->free(*at);
    http_stats_deinit(&reactor->stats);
    free(reactor);
}

/* --- what it has --- */

struct mailbox *reactor_inbox(struct reactor *reactor)
{
    return &reactor->inbox;
}

void *reactor_context(const struct reactor *reactor)
{
    return reactor->hooks.context;
}

const struct http_options *reactor_options(const struct reactor *reactor)
{
    return &reactor->options;
}

const struct router *reactor_router(const struct reactor *reactor)
{
    return reactor->router;
}

struct http_stats *reactor_stats(struct reactor *reactor)
{
    return &reactor->stats;
}

bool reactor_hold(struct reactor *reactor, size_t bytes)
{
    if (bytes > reactor->options.memory_limit - reactor->held)
        return false;
    reactor->held += bytes;
    return true;
}

void reactor_release(struct reactor *reactor, size_t bytes)
{
    reactor->held -= bytes;
}

bool reactor_hold_descriptor(struct reactor *reactor)
{
    if (reactor->descriptors == BODY_DESCRIPTORS)
        return false;
    reactor->descriptors++;
    return true;
}

void reactor_release_descriptor(struct reactor *reactor)
{
    reactor->descriptors--;
}

void reactor_next_id(struct reactor *reactor, char out_id[REACTOR_ID_LEN])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t count = ++reactor->id_counter;
    memcpy(out_id, reactor->id_prefix, 16);
    for (int i = REACTOR_ID_LEN - 1; i >= 16; i--, count >>= 4)
        out_id[i] = digits[count & 15];
}
