#include "base/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static void release(struct arena_hook *hook)
{
    struct shared *shared = (struct shared *)(void *)hook;
    if (shared->data)
        munmap(shared->data, shared->len);
    shared_close(shared);
}

/* Takes the descriptor. */
static struct shared *keep(struct arena *arena, int fd)
{
    struct shared *shared = arena_zalloc(arena, sizeof *shared);
    shared->fd = fd;
    shared->hook.run = release;
    arena_add_hook(arena, &shared->hook);
    return shared;
}

struct shared *shared_new(struct arena *arena)
{
    int fd = memfd_create("snakepit-body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? NULL : keep(arena, fd);
}

/* Writing takes two thirds of the time of storing into a mapping: there is no fault for each page,
 * and none is filled with zeros first. */
bool shared_append(struct shared *shared, struct bytes source)
{
    while (source.len > 0) {
        ssize_t written = write(shared->fd, source.data, source.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        shared->len += (size_t)written;
        source = bytes_skip(source, (size_t)written);
    }
    return true;
}

/* A private mapping, since kernels before 6.7 refuse a shared one of what is sealed against
 * writing. As nobody writes to it, no page is ever copied. */
static bool map(struct shared *shared, size_t len, int flags)
{
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE | flags, shared->fd, 0);
    if (data == MAP_FAILED)
        return false;
    shared->data = data;
    shared->len = len;
    return true;
}

bool shared_seal(struct shared *shared)
{
    return fcntl(shared->fd, F_ADD_SEALS,
                 F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 &&
           map(shared, shared->len, 0);
}

/* Reading behind the end of a mapped file kills with SIGBUS, so the file must not be able to get
 * shorter. What is on hugetlbfs would not be unmapped by our length. */
static bool is_safe(int fd, size_t len)
{
    struct stat info;
    struct statfs system;
    int seals = fcntl(fd, F_GET_SEALS), wanted = F_SEAL_SHRINK | F_SEAL_WRITE;
    return len > 0 && seals >= 0 && (seals & wanted) == wanted && fstat(fd, &info) == 0 &&
           info.st_size >= 0 && (uint64_t)info.st_size >= len && fstatfs(fd, &system) == 0 &&
           system.f_type == TMPFS_MAGIC;
}

struct shared *shared_adopt(struct arena *arena, int fd, size_t len)
{
    struct shared *shared = keep(arena, fd);
    if (is_safe(fd, len) && map(shared, len, MAP_POPULATE)) /* all of it is sent */
        return shared;
    shared_close(shared);
    return NULL;
}

bool shared_hold(struct shared *shared, struct quota *quota)
{
    if (!quota_take(quota))
        return false;
    shared->quota = quota;
    return true;
}

void shared_close(struct shared *shared)
{
    if (shared->quota)
        quota_give(&shared->quota);
    if (shared->fd >= 0)
        close(shared->fd);
    shared->fd = -1;
}
