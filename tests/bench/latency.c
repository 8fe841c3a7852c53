/* bench_latency PORT COUNT PATH BODY: one connection, one request at a time, no load.
 *
 * POSTs BODY as JSON COUNT times over a kept connection and prints the round-trip times as one line
 * of JSON. Any answer but 200 ends it with exit code 1. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("cannot connect to port %d", port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

/* Reads one answer, whole. */
static void read_answer(int fd)
{
    static char text[1 << 16];
    size_t size = 0, wanted = SIZE_MAX;
    while (size < wanted) {
        ssize_t got = recv(fd, text + size, sizeof(text) - 1 - size, 0);
        if (got <= 0)
            fail("the connection was closed");
        size += (size_t)got;
        text[size] = '\0';
        const char *end = wanted == SIZE_MAX ? strstr(text, "\r\n\r\n") : NULL;
        if (!end)
            continue;
        const char *length = strcasestr(text, "\r\ncontent-length:");
        if (strncmp(text, "HTTP/1.1 200 ", 13) != 0 || !length)
            fail("not an answer of known length with status 200: %s", text);
        wanted = (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10);
    }
}

static double exchange_us(int fd, const char *request, size_t size)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (send(fd, request, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("cannot send");
    read_answer(fd);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage: bench_latency PORT COUNT PATH BODY");
    size_t count = strtoul(argv[2], NULL, 10);
    char request[4096];
    int size = snprintf(request, sizeof(request),
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        argv[3], strlen(argv[4]), argv[4]);
    double *times = calloc(count, sizeof(*times));
    if (count == 0 || size >= (int)sizeof(request) || !times)
        fail("bad arguments");
    int fd = connect_to(atoi(argv[1]));
    for (size_t i = 0; i < count / 10; i++)
        exchange_us(fd, request, (size_t)size); /* warm up */
    for (size_t i = 0; i < count; i++)
        times[i] = exchange_us(fd, request, (size_t)size);
    qsort(times, count, sizeof(*times), compare);
    printf("{\"count\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", count, times[count / 2],
           times[count / 100 * 99]);
    free(times);
    close(fd);
    return EXIT_SUCCESS;
}
