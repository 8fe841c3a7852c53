/* What a process has in memory, by its own account in /proc. Any thread. */
#ifndef SNAKEPIT_BRIDGE_MEMORY_H
#define SNAKEPIT_BRIDGE_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes in RAM, shared pages counted in full (so forked workers count those of their zygote); some
 * 10 µs. 0: there is no such process. */
uint64_t memory_resident(pid_t pid);

/* The same with each shared page counted by the process's share of it, which adds up to what is
 * really used. The kernel walks all pages for it: up to milliseconds, so only on demand. */
uint64_t memory_proportional(pid_t pid);

/* How many processes the kernel has killed in a control group because its memory was used up, as
 * far as can be known; 0 otherwise. `process`: whose group, "/proc/self"; `mount`: where groups
 * are,
 * "/sys/fs/cgroup". Both versions of control groups are understood. */
uint64_t memory_oom_kills(const char *process, const char *mount);

#endif
