/* What /proc says of a process. Any thread. */
#ifndef SNAKEPIT_BRIDGE_PROC_H
#define SNAKEPIT_BRIDGE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Longer environments are looked at as far as this, bytes. */
enum { PROC_ENVIRON_MAX = 65536 };

/* Reads a file as far as it fits, and ends it with 0. Returns its bytes; 0 when it cannot be read.
 */
size_t proc_read(const char *path, char *out_text, size_t size);

/* The value of `name` (with its '=') in the environment with which the process's program was
 * started, cut to the size. False: there is none, or it may not be read. */
bool proc_variable(pid_t pid, const char *name, char *out_value, size_t size);

#endif
