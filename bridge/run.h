/* A run: one life of the gateway. Its workers bear its mark on their command line, and what their
 * tools start in its environment, by which a later run can tell those that were left behind. */
#ifndef SNAKEPIT_BRIDGE_RUN_H
#define SNAKEPIT_BRIDGE_RUN_H

/* In the environment of workers, and of what they start. */
#define RUN_VARIABLE "_SNAKEPIT_RUN"

struct run {
    char id[8];        /* 7 characters of [0-9a-z]: five of the time, two that are random */
    char instance[33]; /* whose workers are ours to end */
    char mark[112];
};

/* `instance`: [A-Za-z0-9_-], cut to 32; NULL or empty means "default". */
void run_init(struct run *out_run, const char *instance);

/* Kills the workers, with their process groups, and what they have started, of runs of this
 * instance and user whose gateway is dead, and logs them. Those of live ones are never touched: the
 * mark names the gateway by its pid and the moment of its start, and only workers of our own pid
 * namespace are looked at. Returns how many. */
unsigned run_sweep(const struct run *run);

/* Kills those of this very run, likewise; silently. Returns how many. */
unsigned run_end(const struct run *run);

#endif
