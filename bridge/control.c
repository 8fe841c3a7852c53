#include "bridge/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Big enough for a burst of fork orders. */
enum { SEND_BUFFER_BYTES = 1 << 20 };

bool control_pair(int *out_ours, int *out_theirs)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    int size = SEND_BUFFER_BYTES;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *out_ours = ends[0];
    *out_theirs = ends[1];
    return true;
}

static bool send_text(int socket, const char *text, const int *fds, unsigned fd_count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
    } control = {0};
    struct iovec vector = {.iov_base = (void *)(size_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

bool control_send(int socket, json_t *packet, const int *fds, unsigned fd_count)
{
    char *text = json_dumps(packet, JSON_COMPACT);
    json_decref(packet);
    bool sent = text && send_text(socket, text, fds, fd_count);
    free(text);
    return sent;
}

json_t *control_receive(int socket, bool *out_end)
{
    char text[CONTROL_MAX_BYTES];
    ssize_t got = recv(socket, text, sizeof text, 0);
    *out_end = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (got <= 0)
        return NULL;
    json_t *packet = json_loadb(text, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    *out_end = !json_is_object(packet);
    if (*out_end) {
        json_decref(packet);
        return NULL;
    }
    return packet;
}
