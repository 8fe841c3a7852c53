#include "bridge/strays.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

typedef bool judge(const void *context, pid_t pid);

/* /proc/self/task/<thread>/children holds process ids between blanks. */
static void kill_children_of(const char *thread, judge *is_stray, const void *context)
{
    char path[64];
    int pid = 0;
    if ((size_t)snprintf(path, sizeof path, "/proc/self/task/%s/children", thread) >= sizeof path)
        return;
    FILE *children = fopen(path, "re");
    if (!children)
        return;
    while (fscanf(children, "%d", &pid) == 1) {
        if (pid < 2 || (is_stray && !is_stray(context, pid)))
            continue;
        if (getpgid(pid) == pid)
            kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
    }
    (void)fclose(children);
}

void strays_kill(judge *is_stray, const void *context)
{
    DIR *threads = opendir("/proc/self/task");
    if (!threads)
        return;
    for (const struct dirent *entry = readdir(threads); entry; entry = readdir(threads)) {
        if (entry->d_name[0] != '.')
            kill_children_of(entry->d_name, is_stray, context);
    }
    closedir(threads);
}
