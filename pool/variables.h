/* The variables of a session. Any thread; a batch of writes is done as a whole or not at all, and
 * nobody sees half of it. */
#ifndef SNAKEPIT_POOL_VARIABLES_H
#define SNAKEPIT_POOL_VARIABLES_H

#include "base/arena.h"
#include "pool/session.h"

#include <stddef.h>

enum variables_verdict {
    VARIABLES_INVALID,  /* the variable cannot be so */
    VARIABLES_CONFLICT, /* the version is not the one that was expected */
    VARIABLES_UNKNOWN,  /* there is none to remove */
    VARIABLES_LARGE,    /* its value is too large */
    VARIABLES_MANY,     /* the session has too many */
    VARIABLES_FULL,     /* the session's are too large */
    VARIABLES_MEMORY,   /* all sessions keep too much */
    VARIABLES_ENDED,    /* the session is over */
};

/* Why nothing was written. */
struct variables_refusal {
    enum variables_verdict verdict;
    size_t index;                /* of the write that is to blame */
    uint64_t version;            /* that there is; 0: none */
    uint64_t limit;              /* that was passed */
    struct variable_fault fault; /* of what is INVALID */
};

/* What a batch has written, whatever others have written since. */
struct variables_written {
    struct arena *memory;       /* given: where values are copied to; NULL: they stay empty */
    struct variable *variables; /* given: room for as many as writes; version 0: removed */
    uint64_t revision;          /* that it made; 0: none */
};

/* Does all of the writes, of which no two may be of the same name, and says what came of each. Or
 * returns false, and does none. Tells all readers but `by`, which may be NULL. */
bool variables_write(struct session *session, const struct variable_write *writes, size_t count,
                     const struct variables_reader *by, struct variables_written *out_written,
                     struct variables_refusal *out_refusal) __attribute__((warn_unused_result));

/* The reader will read some now, and be told of the next change after it has; copied. Where there
 * are too many the others are told without a change. */
void variables_watch(struct session *session, const struct variables_reader *reader);

/* How many batches have been written: what is read afterwards is at least as new. */
uint64_t variables_revision(struct session *session);

/* A word for machines and a sentence for people. */
const char *variables_code(enum variables_verdict verdict);
const char *variables_detail(const struct variables_refusal *refusal);

/* Copies the variables of these names into the arena; one that is not there has version 0. False:
 * two of the names are the same. */
bool variables_read(struct session *session, const struct bytes *names, size_t count,
                    struct arena *arena, struct variable *out_variables)
    __attribute__((warn_unused_result));

/* Copies all of them into the arena, by name. */
struct variable *variables_list(struct session *session, struct arena *arena, size_t *out_count);

#endif
