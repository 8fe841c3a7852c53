/* The bridge's zygote: the process from which its workers are forked, and its replacement. All on
 * the supervisor's thread. */
#ifndef SNAKEPIT_BRIDGE_ZYGOTE_H
#define SNAKEPIT_BRIDGE_ZYGOTE_H

#include <stdbool.h>

struct bridge;
struct process;

/* Starts the first one. */
void zygote_open(struct bridge *bridge);
void zygote_close(struct bridge *bridge);

/* As bridge_reload(). */
void zygote_reload(struct bridge *bridge);

/* Whether a worker that was forked in that generation may take the zygote's place now. */
bool zygote_may_adopt(const struct bridge *bridge, unsigned generation);

/* A worker has let go of its stream to take the zygote's place, which zygote_may_adopt() says it
 * may: takes our end of its control socket, and its process. */
void zygote_adopt(struct bridge *bridge, int control, struct process *worker);

/* Lets go of one that was replaced, once the workers that it was asked for are there, and notes
 * when a reload is over. To be called now and then. */
void zygote_round(struct bridge *bridge);

#endif
