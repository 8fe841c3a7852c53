#include "bridge/warden.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often, and how long apart, it looks for a process that was being started when the gateway
 * ended. */
enum { LOOKS = 50, LOOK_EVERY_NS = 5000000 };

/* In memory that both share. */
struct notes {
    atomic_bool expects; /* one more than `groups` */
    atomic_int groups[WARDEN_GROUPS];
};

struct warden {
    pid_t pid;
    int pipe_fd; /* its end tells the warden that we are gone */
    struct notes *notes;
};

static void wait_for_end(int fd)
{
    char byte;
    ssize_t got;
    do {
        got = read(fd, &byte, 1);
    } while (got > 0 || (got < 0 && errno == EINTR));
}

/* What tools started in other groups and sessions, until there is no more of it. A worker that was
 * being started may not have come as far as to bear the mark: then there is one at least. */
static void end_marked(const struct run *run, bool expects)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    for (unsigned i = 0; i < LOOKS; i++) {
        unsigned count = run_end(run);
        if (count == 0 && !expects)
            return;
        expects = expects && count == 0;
        nanosleep(&pause, NULL);
    }
}

/* In the child, the only thread. It leaves the session, so that what a
 * terminal or a service manager sends to the gateway's group does not reach it first. */
static _Noreturn void stand_guard(const struct run *run, const struct rundir *rundir, int fd,
                                  struct notes *notes)
{
    setsid();
    prctl(PR_SET_NAME, "snakepit-warden");
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    if (fd != 3)
        dup2(fd, 3);
    close_range(4, ~0u, 0);
    int null = open("/dev/null", O_RDWR);
    for (int standard = 0; standard < 3 && null >= 0; standard++)
        dup2(null, standard);
    if (null > 3)
        close(null);
    wait_for_end(3);
    for (unsigned i = 0; i < WARDEN_GROUPS; i++) {
        pid_t group = atomic_load(&notes->groups[i]);
        if (group > 1)
            kill(-group, SIGKILL);
    }
    end_marked(run, atomic_load(&notes->expects));
    rundir_remove(rundir);
    _exit(0);
}

struct warden *warden_start(const struct run *run, const struct rundir *rundir)
{
    int ends[2];
    struct notes *notes =
        mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = -1;
    if (notes != MAP_FAILED && pipe2(ends, O_CLOEXEC) == 0) {
        pid = fork();
        if (pid == 0) {
            close(ends[1]);
            stand_guard(run, rundir, ends[0], notes);
        }
        close(ends[0]);
    }
    if (pid < 0) {
        log_event(LOG_ERROR, "cannot start the warden", LOG_STR("reason", strerror(errno)),
                  LOG_END);
        return NULL;
    }
    struct warden *warden = MEM_NEW(struct warden);
    *warden = (struct warden){.pid = pid, .pipe_fd = ends[1], .notes = notes};
    return warden;
}

void warden_stop(struct warden **warden)
{
    struct warden *gone = *warden;
    *warden = NULL;
    if (!gone)
        return;
    close(gone->pipe_fd);
    while (waitpid(gone->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    munmap(gone->notes, sizeof *gone->notes);
    free(gone);
}

bool warden_is(const struct warden *warden, pid_t pid)
{
    return warden->pid == pid;
}

static bool replace(struct warden *warden, int old, int new)
{
    for (unsigned i = 0; i < WARDEN_GROUPS; i++) {
        if (atomic_load_explicit(&warden->notes->groups[i], memory_order_relaxed) == old) {
            atomic_store(&warden->notes->groups[i], new);
            return true;
        }
    }
    return false;
}

void warden_expect(struct warden *warden, bool expects)
{
    atomic_store(&warden->notes->expects, expects);
}

void warden_watch(struct warden *warden, pid_t group)
{
    if (!replace(warden, 0, group))
        log_event(LOG_ERROR,
                  "more workers than the warden can keep in mind: this one may outlive us",
                  LOG_INT("pid", group), LOG_END);
}

void warden_forget(struct warden *warden, pid_t group)
{
    (void)replace(warden, group, 0);
}
