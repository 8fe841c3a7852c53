/* listener_open(): from a host and a port to listening sockets. */
#include "server/http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static int open_socket(const struct addrinfo *address)
{
    const int on = 1, off = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return fd;
}

static int fail(int fd)
{
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Accepted sockets inherit TCP_NODELAY from the listening one. */
static int open_one(const struct addrinfo *address)
{
    const int on = 1;
    int fd = open_socket(address);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return fail(fd);
    return fd;
}

/* SO_REUSEPORT would let us share the port silently with another gateway of the same user; a plain
 * socket would not. */
static bool is_free(const struct addrinfo *address)
{
    int fd = open_socket(address);
    if (fd < 0)
        return false;
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0)
        return fail(fd) == 0;
    close(fd);
    return true;
}

static uint16_t *port_of(struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)(void *)address)->sin6_port
                                          : &((struct sockaddr_in *)(void *)address)->sin_port;
}

static bool learn_port(int fd, struct addrinfo *address)
{
    struct sockaddr_storage bound;
    memset(&bound, 0, sizeof(bound));
    socklen_t len = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return false;
    *port_of(address->ai_addr) = *port_of((struct sockaddr *)&bound);
    return true;
}

static bool open_all(struct addrinfo *address, unsigned count, int *out_fds)
{
    if (*port_of(address->ai_addr) != 0 && !is_free(address))
        return false;
    for (unsigned i = 0; i < count; i++) {
        out_fds[i] = open_one(address);
        if (out_fds[i] >= 0 && learn_port(out_fds[i], address))
            continue;
        int reason = errno;
        for (unsigned j = 0; j <= i; j++)
            if (out_fds[j] >= 0)
                close(out_fds[j]);
        errno = reason;
        return false;
    }
    return true;
}

/* For a name prefers IPv4: "localhost" is ::1 as well, but more clients try 127.0.0.1 first than
 * only ::1. */
static bool try_family(struct addrinfo *addresses, int family, unsigned count, int *out_fds,
                       uint16_t *out_port)
{
    for (struct addrinfo *address = addresses; address; address = address->ai_next) {
        if (address->ai_family != family || !open_all(address, count, out_fds))
            continue;
        *out_port = ntohs(*port_of(address->ai_addr));
        return true;
    }
    return false;
}

bool listener_open(const char *host, uint16_t port, unsigned count, int *out_fds,
                   uint16_t *out_port, char *out_error, size_t error_size)
{
    bool is_any = !host || !*host || strcmp(host, "*") == 0;
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    int error = getaddrinfo(is_any ? NULL : host, service, &hints, &addresses);
    if (error != 0) {
        snprintf(out_error, error_size, "cannot resolve \"%s\": %s", host, gai_strerror(error));
        return false;
    }
    errno = EADDRNOTAVAIL;
    int first = is_any ? AF_INET6 : AF_INET; /* :: takes IPv4 as well */
    int second = is_any ? AF_INET : AF_INET6;
    bool done = try_family(addresses, first, count, out_fds, out_port);
    int reason = errno;
    if (!done && reason != EADDRINUSE) {
        done = try_family(addresses, second, count, out_fds, out_port);
        reason = errno;
    }
    if (!done)
        snprintf(out_error, error_size, "cannot listen on %s port %u: %s", is_any ? "*" : host,
                 (unsigned)port, strerror(reason));
    freeaddrinfo(addresses);
    return done;
}
