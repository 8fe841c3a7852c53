/* The bridge's zygote: the process from which its workers are forked, and its replacement. All on
 * the supervisor's thread. */
#ifndef SNAKEPIT_BRIDGE_ZYGOTE_H
#define SNAKEPIT_BRIDGE_ZYGOTE_H

struct bridge;

/* Starts the first one. */
void zygote_open(struct bridge *bridge);
void zygote_close(struct bridge *bridge);

/* As bridge_reload(). */
void zygote_reload(struct bridge *bridge);

/* Lets go of one that was replaced, once the workers that it was asked for are there, and notes
 * when a reload is over. To be called now and then. */
void zygote_round(struct bridge *bridge);

#endif
