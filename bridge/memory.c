#include "bridge/memory.h"

#include <stdio.h>
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
