#include "server/outbound/curl_loop.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SOCKETS_AT_ONCE = 64 };

/* Lets libcurl do what there is to do: with a socket, or because its time has come. Never from one
 * of its own callbacks. */
static void advance(struct curl_loop *loop, curl_socket_t socket, int events)
{
    int running;
    loop->curl->multi_socket_action(loop->multi, socket, events, &running);
}

/* What has ended in this turn of the loop is told at once, for those told wake up once. */
static void on_turn(uv_prepare_t *turn)
{
    struct curl_loop *loop = turn->data;
    int left;
    for (CURLMsg *message; (message = loop->curl->multi_info_read(loop->multi, &left));) {
        char *owner = NULL;
        loop->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        if (message->msg == CURLMSG_DONE)
            loop->on_done(owner, message->data.result);
    }
}

static void on_clock(uv_timer_t *clock)
{
    advance(clock->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_clock(CURLM *multi, long timeout_ms, void *context)
{
    struct curl_loop *loop = context;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&loop->clock);
    else
        uv_timer_start(&loop->clock, on_clock, (uint64_t)timeout_ms, 0);
    return 0;
}

/* An event that is neither is an error, which libcurl looks at itself. The number may be another
 * socket's since: libcurl does not mind that it cannot be read yet. */
static void on_sockets(uv_poll_t *poll, int status, int events)
{
    struct curl_loop *loop = poll->data;
    struct epoll_event ready[SOCKETS_AT_ONCE];
    (void)status, (void)events;
    int count = epoll_wait(loop->sockets, ready, SOCKETS_AT_ONCE, 0);
    for (int i = 0; i < count; i++)
        advance(loop, ready[i].data.fd,
                (ready[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                    (ready[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0));
}

/* What libcurl wants to know of a socket of its own, which it closes behind CURL_POLL_REMOVE. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *known)
{
    struct curl_loop *loop = context;
    struct epoll_event event = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) |
                                          (what & CURL_POLL_OUT ? EPOLLOUT : 0U),
                                .data.fd = socket};
    (void)easy;
    int how = what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL : known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    epoll_ctl(loop->sockets, how, socket, &event);
    if (how == EPOLL_CTL_ADD)
        loop->curl->multi_assign(loop->multi, socket, loop);
    return 0;
}

static void start_multi(struct curl_loop *loop, unsigned connections)
{
    const struct libcurl *curl = loop->curl;
    CURLM *multi = loop->multi = curl->multi_init();
    if (!multi)
        abort();
    curl->multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections);
    curl->multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections / 2);
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, loop);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_clock);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, loop);
}

void curl_loop_init(struct curl_loop *loop, const struct libcurl *curl, uv_loop_t *uv,
                    unsigned connections, void (*on_done)(void *owner, CURLcode code))
{
    loop->curl = curl;
    loop->on_done = on_done;
    loop->sockets = epoll_create1(EPOLL_CLOEXEC);
    if (loop->sockets < 0 || uv_poll_init(uv, &loop->poll, loop->sockets) != 0)
        abort();
    uv_timer_init(uv, &loop->clock);
    uv_prepare_init(uv, &loop->turn);
    loop->poll.data = loop->clock.data = loop->turn.data = loop;
    uv_poll_start(&loop->poll, UV_READABLE, on_sockets);
    uv_prepare_start(&loop->turn, on_turn);
    start_multi(loop, connections);
}

void curl_loop_close(struct curl_loop *loop)
{
    loop->curl->multi_cleanup(loop->multi);
    uv_close((uv_handle_t *)&loop->clock, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->poll, NULL);
    close(loop->sockets);
}
