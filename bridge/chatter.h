/* What a worker writes to one of its standard streams, as records of the log: each line is one,
 * with whose it is. A line may end with CR, as progress bars have it; an empty one is none. A long
 * line is several records, all but the last of which say that it continues. Of a flood only so many
 * lines a second are told, and then how many were not. The owner's thread. */
#ifndef SNAKEPIT_BRIDGE_CHATTER_H
#define SNAKEPIT_BRIDGE_CHATTER_H

#include "base/bytes.h"
#include "base/log.h"

#include <stdint.h>
#include <sys/types.h>

/* Of a line in one record. */
enum { CHATTER_LINE_BYTES = 2048 };

/* Whose words they are; all is borrowed. */
struct chatter_source {
    const char *pool;
    const char *worker;
    const char *stream; /* "stdout" or "stderr" */
    enum log_level level;
    unsigned lines_per_second; /* 0: any number */
};

struct chatter {
    struct chatter_source source;
    pid_t pid; /* the owner writes it when it is known */

    /* Of the chatter: */
    uint64_t since_ms; /* the second that `said` counts in */
    unsigned said;     /* lines */
    uint64_t dropped;  /* lines that were not told, since that was said */
    size_t len;
    char line[CHATTER_LINE_BYTES + 1]; /* as far as it has come; text behind it is no part of it */
};

/* Takes what was read, which may end in the middle of a line. */
void chatter_hear(struct chatter *chatter, struct bytes text, uint64_t now_ms);

/* There is no more: what has come of a line is one. */
void chatter_end(struct chatter *chatter, uint64_t now_ms);

#endif
