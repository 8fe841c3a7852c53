#include "bridge/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t memory_resident(pid_t pid)
{
    char path[40];
    unsigned long long size = 0, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    (void)fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t memory_proportional(pid_t pid)
{
    char path[40], line[160];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (kib == 0 && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Pss: %llu kB", &kib) != 1)
            kib = 0;
    }
    (void)fclose(file);
    return kib * 1024;
}

/* The line "oom_kill N". */
static bool read_oom_kills(const char *path, uint64_t *out_count)
{
    char line[160];
    unsigned long long count = 0;
    bool found = false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file))
        found = sscanf(line, "oom_kill %llu", &count) == 1;
    (void)fclose(file);
    *out_count = count;
    return found;
}

/* In a container the group's own path may lie above what is mounted: then the mount is the group.
 */
static bool read_group(const char *mount, const char *group, const char *file, uint64_t *out_count)
{
    char path[600];
    snprintf(path, sizeof path, "%s%s/%s", mount, group, file);
    if (read_oom_kills(path, out_count))
        return true;
    snprintf(path, sizeof path, "%s/%s", mount, file);
    return read_oom_kills(path, out_count);
}

/* A line of /proc/self/cgroup: "0::/path" is version 2, "4:memory:/path" version 1. */
static bool read_line(const char *mount, char *line, uint64_t *out_count)
{
    char memory[300];
    char *controllers = strchr(line, ':'),
         *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return false;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (strcmp(controllers, ":") == 0)
        return read_group(mount, group, "memory.events", out_count);
    if (!strstr(controllers, "memory"))
        return false;
    snprintf(memory, sizeof memory, "%s/memory", mount);
    return read_group(memory, group, "memory.oom_control", out_count);
}

uint64_t memory_oom_kills(const char *process, const char *mount)
{
    char path[300], line[400];
    uint64_t count = 0;
    bool found = false;
    snprintf(path, sizeof path, "%s/cgroup", process);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    while (!found && fgets(line, sizeof line, file))
        found = read_line(mount, line, &count);
    (void)fclose(file);
    return found ? count : 0;
}
