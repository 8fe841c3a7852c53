#include "server/http/bell.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct bell *bell = poll->data;
    uint64_t rings;
    (void)status, (void)events;
    if (read(bell->fd, &rings, sizeof rings) == sizeof rings)
        bell->on_ring(bell->context);
}

void bell_init(struct bell *bell, uv_loop_t *loop, void (*on_ring)(void *context), void *context)
{
    bell->on_ring = on_ring;
    bell->context = context;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0 || uv_poll_init(loop, &bell->poll, bell->fd) != 0)
        abort();
    bell->poll.data = bell;
    uv_poll_start(&bell->poll, UV_READABLE, on_poll);
}

void bell_ring(struct bell *bell)
{
    uint64_t one = 1;
    if (write(bell->fd, &one, sizeof one) != sizeof one)
        abort();
}

void bell_close(struct bell *bell)
{
    uv_close((uv_handle_t *)&bell->poll, NULL);
    close(bell->fd);
}
