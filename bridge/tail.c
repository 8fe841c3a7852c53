#include "bridge/tail.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* READS: then others have their turn. */
enum { KEPT_BYTES = 2048, READ_BYTES = 4096, READS = 16 };

struct tail {
    uv_poll_t poll;
    int fd;
    size_t len;
    char kept[KEPT_BYTES + 1]; /* ends in 0 */
    struct chatter chatter;
};

/* What CUDA and ROCm libraries, and PyTorch for them, say of an error. */
static const char *const complaints[] = {
    "CUDA error",         "cudaError",     "CUDNN_STATUS_",    "cuDNN error",
    "CUBLAS_STATUS_",     "CUFFT_STATUS",  "CUSOLVER_STATUS_", "CUSPARSE_STATUS_",
    "NCCL error",         "ncclUnhandled", "ncclInternal",     "ncclSystemError",
    "device-side assert", "HIP error",     "hipError",         "CUDA_ERROR_",
};

static void keep(struct tail *tail, struct bytes text)
{
    if (text.len > KEPT_BYTES)
        text = bytes_from(text.data + text.len - KEPT_BYTES, KEPT_BYTES);
    size_t old = tail->len + text.len > KEPT_BYTES ? KEPT_BYTES - text.len : tail->len;
    memmove(tail->kept, tail->kept + tail->len - old, old);
    memcpy(tail->kept + old, text.data, text.len);
    tail->len = old + text.len;
    for (size_t i = old; i < tail->len; i++)
        tail->kept[i] = tail->kept[i] ? tail->kept[i] : ' ';
    tail->kept[tail->len] = '\0';
}

/* Reads what is there, up to so many times. False: there is no more to come. */
static bool read_some(struct tail *tail)
{
    char text[READ_BYTES];
    for (unsigned i = 0; i < READS; i++) {
        ssize_t got = read(tail->fd, text, sizeof text);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        struct bytes piece = bytes_from(text, (size_t)got);
        chatter_hear(&tail->chatter, piece, uv_now(tail->poll.loop));
        keep(tail, piece);
    }
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct tail *tail = poll->data;
    (void)events;
    if (status < 0 || !read_some(tail))
        uv_poll_stop(poll);
}

struct tail *tail_open(uv_loop_t *loop, const struct chatter_source *source, int *out_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    struct tail *tail = MEM_NEW(struct tail);
    tail->fd = ends[0];
    tail->chatter.source = *source;
    tail->poll.data = tail;
    int fault = uv_poll_init(loop, &tail->poll, tail->fd);
    if (fault) {
        close(ends[0]);
        close(ends[1]);
        free(tail);
        errno = -fault;
        return NULL;
    }
    uv_poll_start(&tail->poll, UV_READABLE, on_readable);
    *out_fd = ends[1];
    return tail;
}

void tail_belongs_to(struct tail *tail, pid_t pid)
{
    if (tail)
        tail->chatter.pid = pid;
}

/* Only when libuv has let go of it may the descriptor be closed. */
static void on_closed(uv_handle_t *handle)
{
    struct tail *tail = handle->data;
    close(tail->fd);
    free(tail);
}

void tail_close(struct tail **tail)
{
    struct tail *gone = *tail;
    *tail = NULL;
    if (!gone)
        return;
    read_some(gone);
    chatter_end(&gone->chatter, uv_now(gone->poll.loop));
    uv_close((uv_handle_t *)&gone->poll, on_closed);
}

bool tail_blames_gpu(struct tail *tail)
{
    read_some(tail);
    for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
        if (strcasestr(tail->kept, complaints[i]))
            return true;
    }
    return false;
}
