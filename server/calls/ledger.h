/* The ledger: all jobs there are, by their request id and by their Idempotency-Key; and those that
 * are done, for a while. A monitor; any thread. */
#ifndef SNAKEPIT_SERVER_CALLS_LEDGER_H
#define SNAKEPIT_SERVER_CALLS_LEDGER_H

#include "server/calls/job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

struct ledger_options {
    uint64_t keep_us;  /* a job that is done is kept so long */
    size_t keep_bytes; /* all of them together, about; the oldest goes first */
};

/* Returns owned; `options` are copied. */
struct ledger *ledger_new(const struct ledger_options *options) __attribute__((returns_nonnull));

/* Lets go of what it keeps. No job may be running. */
void ledger_free(struct ledger **ledger);

/* Enters a job, with a reference of the ledger's, and returns NULL; if there is one with the same
 * key, returns that with a reference for the caller, and nothing else happens. A request id that
 * another job has gets "~" and a number behind it: the call must not have been submitted. Once it
 * is done it is kept for a while, or not at all; one that takes more than there is room for in all
 * as job_digest() makes it. */
struct job *ledger_add(struct ledger *ledger, struct job *job) __attribute__((warn_unused_result));

/* Somebody will be told where the job is to be found: it is kept, whatever becomes of it. */
void ledger_announce(struct ledger *ledger, struct job *job);

/* The job of that request id, or of that key, with a reference for the caller; NULL when there is
 * none. */
struct job *ledger_find(struct ledger *ledger, struct bytes request_id);
struct job *ledger_find_key(struct ledger *ledger, struct bytes key);

/* Takes a job out, so that nobody finds it any more. */
void ledger_forget(struct ledger *ledger, struct job *job);

/* Lets go of what has been kept for long enough. */
void ledger_sweep(struct ledger *ledger, uint64_t now_us);

/* A fingerprint of bytes that callers cannot make to collide. */
uint64_t ledger_fingerprint(const struct ledger *ledger, struct bytes data);

/* Writes references to up to `max` jobs of that list whose number in it is above `after`, oldest
 * first; returns how many. */
unsigned ledger_look(struct ledger *ledger, enum job_list list, uint64_t after,
                     struct job **out_jobs, unsigned max);

#endif
