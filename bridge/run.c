#include "bridge/run.h"

#include "base/log.h"
#include "bridge/proc.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* "--snakepit-run=<instance>:<run id>:<gateway's pid>:<its start, clock ticks since boot>" */
static const char mark_name[] = "--snakepit-run=";

enum { BASE = 36, TIME_DIGITS = 5, ID_DIGITS = 7 };

/* When the process was started, in clock ticks since boot; 0 when there is none. Field 22, counted
 * from behind the name, which may hold anything. */
static unsigned long long start_of(long pid)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    proc_read(path, text, sizeof text);
    const char *at = strrchr(text, ')');
    for (unsigned field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

static void put_digits(char *out, unsigned count, uint64_t value)
{
    for (; count; value /= BASE)
        out[--count] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % BASE];
}

void run_init(struct run *out_run, const char *instance)
{
    uint16_t chance = 0;
    *out_run = (struct run){0};
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        chance = (uint16_t)getpid();
    put_digits(out_run->id, TIME_DIGITS, (uint64_t)time(NULL));
    put_digits(out_run->id + TIME_DIGITS, ID_DIGITS - TIME_DIGITS, chance);
    snprintf(out_run->instance, sizeof out_run->instance, "%s",
             instance && *instance ? instance : "default");
    snprintf(out_run->mark, sizeof out_run->mark, "%s%s:%s:%ld:%llu", mark_name, out_run->instance,
             out_run->id, (long)getpid(), start_of(getpid()));
}

/* Whether it is the mark of another run of this instance, and of a gateway that is dead. */
static bool is_of_dead_run(const char *mark, const struct run *run)
{
    size_t name = sizeof mark_name - 1, instance = strlen(run->instance);
    char id[8];
    long pid = 0;
    unsigned long long start = 0;
    if (strncmp(mark, mark_name, name) != 0 || strncmp(mark + name, run->instance, instance) != 0 ||
        mark[name + instance] != ':' ||
        sscanf(mark + name + instance, ":%7[0-9a-z]:%ld:%llu", id, &pid, &start) != 3)
        return false;
    return strcmp(id, run->id) != 0 && pid > 0 && start_of(pid) != start;
}

/* The mark among the words of a worker's command line, or NULL: "python3 -m snakepit_bridge MARK".
 */
static const char *find_mark(const char *words, size_t size)
{
    const char *word = words, *end = words + size;
    for (unsigned i = 0; i < 3; i++) {
        const char *next = memchr(word, '\0', (size_t)(end - word));
        if (!next || (i == 1 && strcmp(word, "-m") != 0) ||
            (i == 2 && strcmp(word, "snakepit_bridge") != 0))
            return NULL;
        word = next + 1;
    }
    return word < end ? word : NULL;
}

static bool is_in_our_namespace(pid_t pid)
{
    char path[40], theirs[64] = "", ours[64] = "";
    snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)pid);
    return readlink(path, theirs, sizeof theirs - 1) > 0 &&
           readlink("/proc/self/ns/pid", ours, sizeof ours - 1) > 0 && strcmp(theirs, ours) == 0;
}

static bool is_own(const char *mark, const struct run *run)
{
    return strcmp(mark, run->mark) == 0;
}

/* Whether a worker with this mark is to be ended. */
typedef bool choice(const char *mark, const struct run *run);

static bool is_chosen(pid_t pid, const struct run *run, choice *choose)
{
    char path[40], words[1024], variable[sizeof run->mark];
    struct stat info;
    snprintf(path, sizeof path, "/proc/%ld", (long)pid);
    if (stat(path, &info) != 0 || info.st_uid != geteuid())
        return false;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    const char *mark = find_mark(words, proc_read(path, words, sizeof words));
    if (!mark && proc_variable(pid, RUN_VARIABLE "=", variable, sizeof variable))
        mark = variable;
    return mark && choose(mark, run) && is_in_our_namespace(pid);
}

/* The descriptor was opened before the look at the process, so that it means the one that was
 * looked at even if the number has been given away since. */
static bool end_if_chosen(pid_t pid, const struct run *run, choice *choose)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return false;
    bool chosen = is_chosen(pid, run, choose);
    if (chosen && getpgid(pid) == pid && pidfd_send_signal(fd, 0, NULL, 0) == 0)
        kill(-pid, SIGKILL);
    chosen = chosen && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return chosen;
}

static unsigned sweep(const struct run *run, choice *choose, bool logs)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc");
    if (!directory)
        return 0;
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for a name */
        if (pid < 1 || !end_if_chosen(pid, run, choose))
            continue;
        count++;
        if (logs)
            log_event(LOG_WARNING, "killed a process of a dead run", LOG_INT("pid", pid),
                      LOG_STR("instance", run->instance), LOG_END);
    }
    closedir(directory);
    return count;
}

unsigned run_sweep(const struct run *run)
{
    return sweep(run, is_of_dead_run, true);
}

unsigned run_end(const struct run *run)
{
    return sweep(run, is_own, false);
}
