/* The watch over a bridge's workers: pings that must be answered, and what they have in memory. */
#ifndef SNAKEPIT_BRIDGE_WATCH_H
#define SNAKEPIT_BRIDGE_WATCH_H

#include "pool/runtime.h"

#include <stdint.h>

struct bridge;
struct seat;

/* Begin and end the rounds. Supervisor's thread. */
void watch_open(struct bridge *bridge);
void watch_close(struct bridge *bridge);

/* The worker has answered the ping of that sequence. Any thread. */
void watch_pong(struct seat *seat, struct worker_ref worker, uint64_t sequence);

#endif
