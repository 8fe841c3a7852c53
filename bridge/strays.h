/* Processes that tools left behind in groups or sessions of their own. As a child subreaper the
 * gateway inherits them once their parents are dead. */
#ifndef SNAKEPIT_BRIDGE_STRAYS_H
#define SNAKEPIT_BRIDGE_STRAYS_H

#include <stdbool.h>
#include <sys/types.h>

/* In the environment of what a worker starts: the worker's pid. */
#define STRAYS_VARIABLE "_SNAKEPIT_WORKER"

/* Kills the children of this process, with the groups they lead, that are strays in the eyes of
 * `is_stray`; all when that is NULL. Any thread. */
void strays_kill(bool (*is_stray)(const void *context, pid_t pid), const void *context);

#endif
