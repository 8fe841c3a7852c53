#include "bridge/channel.h"

#include "base/mem.h"
#include "base/quota.h"
#include "pool/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert((int)CHANNEL_KEPT_MAX >= (int)RUNNING_MAX, "one for each call that runs");

struct kept {
    uint64_t id;
    int fd;
};

struct channel {
    int socket;
    atomic_uint references;
    struct quota *held;   /* a reference */
    pthread_mutex_t lock; /* guards the following, and who receives */
    struct kept kept[CHANNEL_KEPT_MAX];
    unsigned count; /* of those, oldest first */
};

struct channel *channel_new(int *out_theirs)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return NULL;
    struct channel *channel = MEM_NEW(struct channel);
    channel->socket = ends[0];
    atomic_init(&channel->references, 1);
    channel->held = quota_new(CHANNEL_HELD_MAX);
    pthread_mutex_init(&channel->lock, NULL);
    *out_theirs = ends[1];
    return channel;
}

struct channel *channel_ref(struct channel *channel)
{
    atomic_fetch_add_explicit(&channel->references, 1, memory_order_relaxed);
    return channel;
}

void channel_unref(struct channel **channel)
{
    struct channel *gone = *channel;
    *channel = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < gone->count; i++)
        close(gone->kept[i].fd);
    close(gone->socket);
    quota_unref(&gone->held);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* A packet, and room for one descriptor: of more, the kernel closes the rest. */
struct packet {
    uint64_t id;
    struct iovec vector;
    struct msghdr message;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
};

static void prepare(struct packet *packet)
{
    memset(packet, 0, sizeof *packet);
    packet->vector = (struct iovec){&packet->id, sizeof packet->id};
    packet->message.msg_iov = &packet->vector;
    packet->message.msg_iovlen = 1;
    packet->message.msg_control = packet->control.space;
    packet->message.msg_controllen = CMSG_LEN(sizeof(int));
}

bool channel_send(struct channel *channel, uint64_t id, int fd)
{
    struct packet packet;
    prepare(&packet);
    packet.id = id;
    packet.control.header.cmsg_level = SOL_SOCKET;
    packet.control.header.cmsg_type = SCM_RIGHTS;
    packet.control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&packet.control.header), &fd, sizeof fd);
    ssize_t sent;
    do {
        sent = sendmsg(channel->socket, &packet.message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent == sizeof packet.id;
}

/* The next packet; false when there is none. `out_fd` is -1 in one that makes no sense. */
static bool receive(struct channel *channel, uint64_t *out_id, int *out_fd)
{
    struct packet packet;
    ssize_t got;
    *out_fd = -1;
    do {
        prepare(&packet);
        got = recvmsg(channel->socket, &packet.message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&packet.message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(out_fd, CMSG_DATA(header), sizeof *out_fd);
    *out_id = got == sizeof packet.id ? packet.id : 0;
    return true;
}

static int remove_kept(struct channel *channel, unsigned index)
{
    int fd = channel->kept[index].fd;
    channel->count--;
    memmove(&channel->kept[index], &channel->kept[index + 1],
            (channel->count - index) * sizeof channel->kept[0]);
    return fd;
}

static void keep(struct channel *channel, uint64_t id, int fd)
{
    if (channel->count == CHANNEL_KEPT_MAX)
        close(remove_kept(channel, 0));
    channel->kept[channel->count++] = (struct kept){id, fd};
}

static int find(struct channel *channel, uint64_t id)
{
    for (unsigned i = 0; i < channel->count; i++) {
        if (channel->kept[i].id == id)
            return remove_kept(channel, i);
    }
    uint64_t other;
    for (int fd; receive(channel, &other, &fd);) {
        if (other == id && fd >= 0)
            return fd;
        if (fd >= 0)
            keep(channel, other, fd);
    }
    return -1;
}

struct quota *channel_quota(const struct channel *channel)
{
    return channel->held;
}

int channel_take(struct channel *channel, uint64_t id)
{
    pthread_mutex_lock(&channel->lock);
    int fd = find(channel, id);
    pthread_mutex_unlock(&channel->lock);
    return fd;
}
