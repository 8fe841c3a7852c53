/* What a session has of variables.h: the variables themselves, by name, and who is to be told when
 * they change. */
#ifndef SNAKEPIT_POOL_VARIABLE_SET_H
#define SNAKEPIT_POOL_VARIABLE_SET_H

#include "base/bytes.h"
#include "pool/variable.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Somebody who keeps copies of variables. */
struct variables_reader {
    /* Others have changed some, or the session of that number is over: the copies that are older
     * are void. Called once, on any thread. */
    void (*changed)(const struct variables_reader *reader, uint64_t session, uint64_t revision);
    void *context;
    unsigned seat; /* these two are as of struct worker_ref */
    uint64_t number;
};

enum { VARIABLES_READERS_MAX = 64 };

/* Embedded in the session. */
struct variable_set {
    pthread_mutex_t lock;     /* guards the rest */
    struct variable **sorted; /* by name */
    unsigned count, capacity;
    size_t size;                      /* of all, bytes; its user's */
    uint64_t revision;                /* counts batches of writes; its user's */
    struct variables_reader *readers; /* to be told of the next one */
    unsigned reader_count;
    uint64_t highest_removed; /* version: a new variable's is above, so that none comes twice */
};

/* Readers that are to be told once the lock is free. */
struct variables_audience {
    struct variables_reader *readers; /* owned */
    unsigned count;
    uint64_t revision;
};

/* For each session. */
struct variables_limits {
    unsigned count;
    size_t value_size; /* of one, with its constraints, bytes */
    size_t size;       /* of all, with their names, bytes */
};

/* An empty set; and its end, with all variables. */
void variable_set_init(struct variable_set *set);
void variable_set_deinit(struct variable_set *set);

/* Names in the order of the set: below, at or above 0. */
int variable_set_compare(struct bytes a, struct bytes b);

/* The variable of that name, or NULL. Under the lock. */
struct variable *variable_set_find(const struct variable_set *set, struct bytes name);

/* Takes `next` in the place of the variable of that name, if there is one; NULL: that goes, and
 * must be there. Under the lock. */
void variable_set_put(struct variable_set *set, struct bytes name, struct variable *next);

/* Whether both are the same reader. */
bool variables_reader_is(const struct variables_reader *a, const struct variables_reader *b);

/* Takes out all readers but `kept`, which may be NULL. Under the lock. */
struct variables_audience variable_set_dismiss(struct variable_set *set,
                                               const struct variables_reader *kept);

/* Tells them of a session, and frees the list. Without the lock. */
void variables_audience_tell(struct variables_audience audience, uint64_t session);

/* The session is over: what its readers have is void, all of them are to be told. Under the lock,
 * or when nobody else uses the set any more. */
struct variables_audience variable_set_close(struct variable_set *set);

#endif
