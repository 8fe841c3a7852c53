#include "bridge/rundir.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 3 };

static const char prefix[] = "snakepit-";
static const char lock_name[] = "lock";

/* gRPC reads the path as part of a URI, and a list of them at that. */
static bool is_plain(const char *path)
{
    return path[strspn(
               path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_.-")] == '\0';
}

/* A Unix socket's path has at most 107 bytes, so a long or odd $XDG_RUNTIME_DIR is not used. */
static const char *parent_directory(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat info;
    if (runtime && runtime[0] == '/' && strlen(runtime) < 48 && is_plain(runtime) &&
        stat(runtime, &info) == 0 && info.st_uid == geteuid())
        return runtime;
    return "/tmp";
}

static void remove_files(const char *path)
{
    char name[128];
    for (unsigned i = 0; i < RUNDIR_SOCKETS; i++) {
        snprintf(name, sizeof name, "%s/bridge-%u.sock", path, i);
        unlink(name);
    }
    snprintf(name, sizeof name, "%s/%s", path, lock_name);
    unlink(name);
    rmdir(path);
}

struct rundir *rundir_new(void)
{
    void *memory = mmap(NULL, sizeof(struct rundir), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        log_event(LOG_ERROR, "cannot share memory", LOG_STR("reason", strerror(errno)), LOG_END);
    return memory == MAP_FAILED ? NULL : memory;
}

void rundir_remove(const struct rundir *rundir)
{
    if (rundir && rundir->path[0])
        remove_files(rundir->path);
}

/* The lock of a dead gateway can be taken; that of a live one cannot. */
static void sweep_one(const char *parent, const char *name)
{
    char path[80], lock[128];
    struct stat info;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", parent, name) >= sizeof path ||
        lstat(path, &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid())
        return;
    snprintf(lock, sizeof lock, "%s/%s", path, lock_name);
    int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_files(path);
    close(fd);
}

static void sweep(const char *parent)
{
    DIR *directory = opendir(parent);
    if (!directory)
        return;
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) == 0)
            sweep_one(parent, entry->d_name);
    }
    closedir(directory);
}

/* False also when another gateway, which was sweeping, has taken the lock and the file first. */
static bool take_lock(struct rundir *rundir)
{
    char lock[128];
    struct stat info;
    snprintf(lock, sizeof lock, "%s/%s", rundir->path, lock_name);
    rundir->lock_fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return rundir->lock_fd >= 0 && flock(rundir->lock_fd, LOCK_EX | LOCK_NB) == 0 &&
           fstat(rundir->lock_fd, &info) == 0 && info.st_nlink > 0;
}

bool rundir_make(struct rundir *out_rundir)
{
    const char *parent = parent_directory();
    sweep(parent);
    bool made = false;
    for (unsigned attempt = 0; attempt < ATTEMPTS && !made; attempt++) {
        snprintf(out_rundir->path, sizeof out_rundir->path, "%s/%sXXXXXX", parent, prefix);
        made = mkdtemp(out_rundir->path) && take_lock(out_rundir);
    }
    if (!made) {
        log_event(LOG_ERROR, "cannot make a private directory", LOG_STR("path", out_rundir->path),
                  LOG_STR("reason", strerror(errno)), LOG_END);
        return false;
    }
    return true;
}

void rundir_address(const struct rundir *rundir, unsigned number, char *out_address)
{
    snprintf(out_address, RUNDIR_ADDRESS_MAX, "unix:%s/bridge-%u.sock", rundir->path, number);
}
