#include "bridge/proc.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t proc_read(const char *path, char *out_text, size_t size)
{
    size_t len = 0;
    ssize_t got = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && len < size - 1 && got > 0) {
        got = read(fd, out_text + len, size - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    out_text[len] = '\0';
    return len;
}

bool proc_variable(pid_t pid, const char *name, char *out_value, size_t size)
{
    char path[40], *words = mem_alloc(PROC_ENVIRON_MAX);
    size_t length = strlen(name);
    bool found = false;
    snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
    size_t len = proc_read(path, words, PROC_ENVIRON_MAX);
    for (size_t at = 0; at < len && !found; at += strlen(words + at) + 1) {
        found = strncmp(words + at, name, length) == 0;
        if (found)
            snprintf(out_value, size, "%s", words + at + length);
    }
    free(words);
    return found;
}
