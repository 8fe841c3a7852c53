/* The bridge's zygote: the process from which its workers are forked, and its replacement. All on
 * the supervisor's thread.
 *
 * There are three at most:
 *
 *     next_zygote ──loaded──► zygote ──replaced──► old_zygote ──forked the last it was asked for──►
 *
 * The next one comes by a reload: it loads changed code. Or it was a worker, which has loaded all
 * that its calls needed, and is asked to be forked from in their stead: then it is warm. Either way
 * the pool replaces its workers as soon as the next one is the zygote. One of both at a time: a
 * reload waits until nobody is next or old, and a worker takes the place only then, too.
 *
 * What was loaded may be such that it cannot be forked. Then each worker is an interpreter of its
 * own from then on (`spawn_only`), and there is no zygote. */
#ifndef SNAKEPIT_BRIDGE_ZYGOTE_H
#define SNAKEPIT_BRIDGE_ZYGOTE_H

#include "pool/runtime.h"

#include <stdint.h>

struct bridge;
struct seat;

/* Starts the first one. */
void zygote_open(struct bridge *bridge);
void zygote_close(struct bridge *bridge);

/* As bridge_reload(). */
void zygote_reload(struct bridge *bridge);

/* The seat's worker is forked, if it is WAITING and there is what it waits for. */
void zygote_supply(struct bridge *bridge, struct seat *seat);

/* The worker is to leave and to take the zygote's place; or only to leave, if it may not. */
void zygote_refork(struct bridge *bridge, struct seat *seat, struct worker_ref worker,
                   uint64_t grace_us);

/* That worker has let go of its stream: its process takes the zygote's place, and lives on without
 * the seat. Unless that place was promised to another while it finished its calls, by a reload: it
 * is killed then. */
void zygote_adopt(struct bridge *bridge, struct seat *seat);

/* Lets go of one that was replaced, once the workers that it was asked for are there, and notes
 * when a reload is over. To be called now and then. */
void zygote_round(struct bridge *bridge);

#endif
