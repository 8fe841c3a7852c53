#include "server/http/listener.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/http/http1.h"
#include "server/http/http2.h"
#include "server/http/reactor_inside.h"
#include "server/http/sniff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 64 };

struct listener {
    struct tenant tenant; /* first */
    struct reactor *reactor;
    struct http1 *http1;
    struct http2 *http2;
    uv_poll_t poll;
    int fd;
    bool paused;         /* out of descriptors until the next sweep */
    struct list waiting; /* of struct newcomer */
};

/* A connection that has not yet shown which protocol it speaks. */
struct newcomer {
    uv_poll_t poll;
    struct list node;
    struct listener *listener;
    int fd;
    bool is_partial; /* the socket wakes us only for a whole preface */
    uint64_t deadline_us;
    struct sockaddr_storage address;
    socklen_t address_len;
};

static void on_newcomer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Ends our interest in the socket, which stays open. */
static void let_go(struct newcomer *newcomer)
{
    list_remove(&newcomer->node);
    uv_close((uv_handle_t *)&newcomer->poll, on_newcomer_closed);
}

static void turn_away(struct newcomer *newcomer)
{
    int fd = newcomer->fd;
    let_go(newcomer);
    close(fd);
    reactor_dismiss(newcomer->listener->reactor);
}

static enum sniff_verdict peek(int fd, bool *out_dead)
{
    char start[SNIFF_PREFACE_LEN];
    ssize_t n = recv(fd, start, sizeof(start), MSG_PEEK | MSG_DONTWAIT);
    enum sniff_verdict verdict = sniff(bytes_from(start, n > 0 ? (size_t)n : 0));
    *out_dead = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || verdict == SNIFF_JUNK;
    return verdict;
}

static void hand_over(struct listener *listener, enum sniff_verdict verdict, int fd,
                      const struct sockaddr_storage *address, socklen_t address_len)
{
    reactor_worked(listener->reactor);
    if (verdict == SNIFF_HTTP2)
        http2_adopt(listener->http2, fd);
    else
        http1_adopt(listener->http1, fd, (const struct sockaddr *)address, address_len);
}

/* Wake-ups only for 24 bytes or the end: the loop's epoll is level-triggered, and would spin on a
 * partial preface. */
static void set_wake_up_at(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

static void on_first_bytes(uv_poll_t *poll, int status, int events)
{
    struct newcomer *newcomer = poll->data;
    bool dead = false;
    enum sniff_verdict verdict = peek(newcomer->fd, &dead);
    bool more_never_comes = status < 0 || events & UV_DISCONNECT;
    if (dead || (verdict == SNIFF_MORE && more_never_comes)) {
        turn_away(newcomer);
        return;
    }
    if (verdict == SNIFF_MORE) {
        newcomer->is_partial = true;
        set_wake_up_at(newcomer->fd, SNIFF_PREFACE_LEN);
        return;
    }
    if (newcomer->is_partial)
        set_wake_up_at(newcomer->fd, 1);
    let_go(newcomer);
    hand_over(newcomer->listener, verdict, newcomer->fd, &newcomer->address, newcomer->address_len);
}

static void wait_for_first_bytes(struct listener *listener, int fd,
                                 const struct sockaddr_storage *address, socklen_t address_len)
{
    struct reactor *reactor = listener->reactor;
    struct newcomer *newcomer = MEM_NEW(struct newcomer);
    newcomer->listener = listener;
    newcomer->fd = fd;
    newcomer->deadline_us =
        reactor_now_us(reactor) + reactor->options.first_byte_timeout_ms * UINT64_C(1000);
    newcomer->address = *address;
    newcomer->address_len = address_len;
    newcomer->poll.data = newcomer;
    list_push_back(&listener->waiting, &newcomer->node);
    if (uv_poll_init(&reactor->loop, &newcomer->poll, fd) != 0)
        abort();
    uv_poll_start(&newcomer->poll, UV_READABLE | UV_DISCONNECT, on_first_bytes);
}

static void welcome(struct listener *listener, int fd, const struct sockaddr_storage *address,
                    socklen_t address_len)
{
    struct reactor *reactor = listener->reactor;
    if (!reactor_admit(reactor)) {
        close(fd);
        return;
    }
    bool dead = false;
    enum sniff_verdict verdict = peek(fd, &dead);
    if (dead) {
        close(fd);
        reactor_dismiss(reactor);
    } else if (verdict == SNIFF_MORE) {
        wait_for_first_bytes(listener, fd, address, address_len);
    } else {
        hand_over(listener, verdict, fd, address, address_len);
    }
}

/* The socket stays readable while we have no descriptor to accept with: stop looking for a while.
 */
static void pause_accepting(struct listener *listener)
{
    log_event(LOG_ERROR, "out of descriptors, not accepting for a second",
              LOG_STR("reason", strerror(errno)), LOG_END);
    uv_poll_stop(&listener->poll);
    listener->paused = true;
}

static void on_connections(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct listener *listener = poll->data;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        int fd =
            accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(listener, fd, &address, len);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return pause_accepting(listener);
        else if (errno == EAGAIN)
            return;
    }
}

/* --- as a tenant --- */

static void stop_accepting(struct tenant *tenant)
{
    struct listener *listener = (struct listener *)tenant;
    if (listener->fd >= 0) {
        uv_close((uv_handle_t *)&listener->poll, NULL);
        close(listener->fd);
        listener->fd = -1;
    }
    LIST_FOREACH (&listener->waiting, node, following)
        turn_away(CONTAINER_OF(node, struct newcomer, node));
}

/* And accepts again after a shortage of descriptors. */
static void sweep(struct tenant *tenant, uint64_t now_us)
{
    struct listener *listener = (struct listener *)tenant;
    LIST_FOREACH (&listener->waiting, node, following) {
        struct newcomer *newcomer = CONTAINER_OF(node, struct newcomer, node);
        if (now_us < newcomer->deadline_us)
            break; /* the list is in the order of deadlines */
        turn_away(newcomer);
    }
    if (listener->paused && listener->fd >= 0) {
        listener->paused = false;
        uv_poll_start(&listener->poll, UV_READABLE, on_connections);
    }
}

static bool is_empty(const struct tenant *tenant)
{
    return list_empty(&((const struct listener *)tenant)->waiting);
}

static void release(struct tenant *tenant)
{
    free(tenant);
}

static const struct tenant_ops tenant_ops = {.sweep = sweep,
                                             .stop_accepting = stop_accepting,
                                             .drain = stop_accepting,
                                             .cut = stop_accepting,
                                             .is_empty = is_empty,
                                             .stop = stop_accepting,
                                             .free = release};

void listener_start(struct reactor *reactor, int fd)
{
    struct listener *listener = MEM_NEW(struct listener);
    listener->tenant.ops = &tenant_ops;
    listener->reactor = reactor;
    listener->http1 = http1_new(reactor);
    listener->http2 = http2_new(reactor);
    listener->fd = fd;
    listener->poll.data = listener;
    list_init(&listener->waiting);
    if (uv_poll_init(&reactor->loop, &listener->poll, fd) != 0)
        abort();
    uv_poll_start(&listener->poll, UV_READABLE, on_connections);
    reactor_add(reactor, &listener->tenant);
}
