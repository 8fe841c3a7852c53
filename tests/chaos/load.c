/* chaos_load PORT CONNECTIONS SECONDS RATE FIRST PATH BODY FILE: load that keeps books.
 *
 * POSTs BODY as JSON over kept HTTP/1.1 connections. Each "%n" in it becomes the request's number,
 * counted from FIRST, and so must the result be. RATE 0 is a closed loop: every connection sends
 * its next request when it has its answer. Otherwise RATE requests a second are due at even times,
 * whatever becomes of the earlier ones; up to CONNECTIONS are opened for them, and one that finds
 * none free is sent when there is (its record shows both times).
 *
 * FILE gets one record a request, in the order of the answers. A connection that ends or refuses is
 * a request with status 0. After SECONDS nothing is sent; answers are awaited for a minute.
 *
 * An answer waits in its socket while this program does something else, or has no processor. The
 * kernel notes when it arrived there, so that such a wait is not taken for the gateway's. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 14, REQUEST_MAX = 4096, PATIENCE_SECONDS = 60, EVENTS = 256 };

/* What FILE consists of; stage.py knows this layout. Times of CLOCK_MONOTONIC in nanoseconds. */
struct record {
    int64_t due;
    int64_t sent;
    int64_t arrived; /* the last of the answer, in our socket */
    int64_t done;    /* it was read */
    uint32_t number;
    uint16_t status;
    char executed;  /* first letter of the member of a problem, or 0 */
    uint8_t right;  /* the result is the number */
    char label[32]; /* a problem's code, else the worker */
};

struct connection {
    int fd;
    struct record record;
    size_t size;
    char answer[ANSWER_MAX];
    struct connection *next_free;
};

struct load {
    int port;
    size_t most, opened, busy;
    int64_t end, due, interval;
    uint32_t next;
    const char *path, *body;
    int epoll;
    FILE *file;
    struct connection *free;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* --- connections --- */

static void set_free(struct load *load, struct connection *connection)
{
    connection->next_free = load->free;
    load->free = connection;
}

static void connect_it(struct load *load, struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("cannot connect to port %d: %s", load->port, strerror(errno));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(connection->fd, SOL_SOCKET, SO_TIMESTAMPING,
               &(int){SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        fail("epoll: %s", strerror(errno));
}

/* A free connection, a new one while there may be more, or NULL. */
static struct connection *take_free(struct load *load)
{
    struct connection *connection = load->free;
    if (connection) {
        load->free = connection->next_free;
        return connection;
    }
    if (load->opened == load->most)
        return NULL;
    connection = calloc(1, sizeof(*connection));
    if (!connection)
        fail("no memory");
    load->opened++;
    connect_it(load, connection);
    return connection;
}

/* --- requests --- */

/* BODY with the number in it; returns its size. */
static size_t write_body(const struct load *load, uint32_t number, char *out, size_t max)
{
    size_t size = 0;
    for (const char *at = load->body; *at && size < max;) {
        if (at[0] == '%' && at[1] == 'n') {
            size += (size_t)snprintf(out + size, max - size, "%u", number);
            at += 2;
        } else {
            out[size++] = *at++;
        }
    }
    if (size >= max)
        fail("the body is too long");
    out[size] = '\0';
    return size;
}

static void finish(struct load *load, struct connection *connection, uint16_t status)
{
    connection->record.status = status;
    connection->record.done = now_ns();
    if (!connection->record.arrived)
        connection->record.arrived = connection->record.done;
    if (fwrite(&connection->record, sizeof(connection->record), 1, load->file) != 1)
        fail("cannot write: %s", strerror(errno));
    load->busy--;
}

static void end_broken(struct load *load, struct connection *connection)
{
    finish(load, connection, 0);
    close(connection->fd);
    connect_it(load, connection);
    set_free(load, connection);
}

static void begin(struct load *load, struct connection *connection, int64_t due)
{
    char body[REQUEST_MAX], request[2 * REQUEST_MAX];
    connection->record = (struct record){.number = load->next++};
    connection->size = 0;
    size_t body_size = write_body(load, connection->record.number, body, sizeof(body));
    int size = snprintf(request, sizeof(request),
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        load->path, body_size, body);
    load->busy++;
    connection->record.sent = now_ns();
    connection->record.due = due ? due : connection->record.sent;
    if (send(connection->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        end_broken(load, connection);
}

/* --- answers --- */

/* Copies the string member `name` of a JSON text as it stands there, cut to `max`. */
static void copy_member(const char *text, const char *name, char *out, size_t max)
{
    char key[32];
    snprintf(key, sizeof(key), "\"%s\":\"", name);
    const char *value = strstr(text, key);
    if (value) {
        value += strlen(key);
        snprintf(out, max, "%.*s", (int)strcspn(value, "\""), value);
    }
}

static void judge(struct record *record, uint16_t status, const char *body)
{
    char result[32], executed[8] = "";
    snprintf(result, sizeof(result), "{\"result\":%u,", record->number);
    record->right = status == 200 && strncmp(body, result, strlen(result)) == 0;
    copy_member(body, status == 200 ? "worker" : "code", record->label, sizeof(record->label));
    if (status != 200)
        copy_member(body, "executed", executed, sizeof(executed));
    record->executed = executed[0];
}

/* True when the answer is whole; then *out_body is where its body begins. */
static bool is_whole(const struct connection *connection, const char **out_body)
{
    const char *end = strstr(connection->answer, "\r\n\r\n");
    const char *length = end ? strcasestr(connection->answer, "\r\ncontent-length:") : NULL;
    if (end && (!length || length > end))
        fail("an answer without a length: %s", connection->answer);
    *out_body = end ? end + 4 : NULL;
    return end && connection->size - (size_t)(end + 4 - connection->answer) >=
                      strtoul(length + 17, NULL, 10);
}

/* When what came with this message had arrived, on now_ns()'s clock; 0: the kernel has not said. */
static int64_t arrival_of(struct msghdr *message)
{
    struct timespec now, noted[3]; /* the first is ours: struct scm_timestamping */
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_TIMESTAMPING)
            continue;
        memcpy(noted, CMSG_DATA(at), sizeof(noted));
        clock_gettime(CLOCK_REALTIME, &now);
        return now_ns() -
               ((now.tv_sec - noted[0].tv_sec) * 1000000000 + now.tv_nsec - noted[0].tv_nsec);
    }
    return 0;
}

static ssize_t receive(struct connection *connection)
{
    char room[CMSG_SPACE(3 * sizeof(struct timespec))];
    struct iovec rest = {connection->answer + connection->size, ANSWER_MAX - 1 - connection->size};
    struct msghdr message = {
        .msg_iov = &rest, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    ssize_t got = recvmsg(connection->fd, &message, MSG_DONTWAIT);
    if (got > 0)
        connection->record.arrived = arrival_of(&message);
    return got;
}

static void on_readable(struct load *load, struct connection *connection)
{
    ssize_t got = receive(connection);
    if (got < 0 && errno == EAGAIN)
        return;
    bool idle = connection->record.done != 0;
    if (got <= 0 && idle)
        fail("an idle connection was closed");
    if (got <= 0) {
        end_broken(load, connection);
        return;
    }
    if (idle)
        fail("more than one answer: %s", connection->answer);
    connection->size += (size_t)got;
    connection->answer[connection->size] = '\0';
    const char *body;
    if (!is_whole(connection, &body))
        return;
    uint16_t status = (uint16_t)strtoul(connection->answer + strlen("HTTP/1.1 "), NULL, 10);
    judge(&connection->record, status, body);
    finish(load, connection, status);
    set_free(load, connection);
}

/* --- the loop --- */

/* Sends what is due now. */
static void send_due(struct load *load)
{
    struct connection *connection;
    while (now_ns() < load->end && (!load->interval || load->due <= now_ns()) &&
           (connection = take_free(load)) != NULL) {
        begin(load, connection, load->interval ? load->due : 0);
        load->due += load->interval;
    }
}

/* Until the next request is due, or the end; in any case short. */
static struct timespec patience(const struct load *load)
{
    int64_t now = now_ns(), most = 100000000;
    int64_t next = load->interval && now < load->end ? load->due : load->end;
    /* What is overdue waits for a connection. */
    int64_t left = next > now && next - now < most ? next - now : most;
    return (struct timespec){.tv_nsec = left};
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS];
    int64_t give_up = load->end + (int64_t)PATIENCE_SECONDS * 1000000000;
    while (now_ns() < load->end || (load->busy > 0 && now_ns() < give_up)) {
        send_due(load);
        struct timespec wait = patience(load);
        int count = epoll_pwait2(load->epoll, events, EVENTS, &wait, NULL);
        for (int i = 0; i < count; i++)
            on_readable(load, events[i].data.ptr);
    }
    if (load->busy > 0)
        fail("%zu requests were never answered", load->busy);
}

int main(int argc, char **argv)
{
    if (argc != 9)
        fail("usage: chaos_load PORT CONNECTIONS SECONDS RATE FIRST PATH BODY FILE");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    double rate = strtod(argv[4], NULL);
    struct load load = {.port = atoi(argv[1]),
                        .most = strtoul(argv[2], NULL, 10),
                        .interval = rate > 0 ? (int64_t)(1e9 / rate) : 0,
                        .next = (uint32_t)strtoul(argv[5], NULL, 10),
                        .path = argv[6],
                        .body = argv[7],
                        .epoll = epoll_create1(EPOLL_CLOEXEC),
                        .file = fopen(argv[8], "we")};
    if (!load.file || load.epoll < 0 || strlen(load.path) > REQUEST_MAX / 2)
        fail("bad arguments");
    load.due = now_ns();
    load.end = load.due + (int64_t)(strtod(argv[3], NULL) * 1e9);
    run(&load);
    if (fclose(load.file) != 0)
        fail("cannot write: %s", strerror(errno));
    return EXIT_SUCCESS;
}
