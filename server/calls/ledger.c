#include "server/calls/ledger.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "server/calls/job.h"

#include <stdlib.h>
#include <sys/random.h>

enum { BUCKETS = 1024, ID_MAX = 128, NUMBER_MAX = 10 };

struct ledger {
    struct ledger_options options;
    struct siphash_key secret;

    pthread_mutex_t lock; /* guards the following */
    struct job *by_id[BUCKETS];
    struct job *by_key[BUCKETS];
    struct list jobs[JOB_LISTS]; /* the oldest first */
    uint64_t total[JOB_LISTS];   /* there have been in each */
    size_t bytes;                /* of those that are done */
    unsigned numbered;           /* request ids that were taken, so far */
};

struct ledger *ledger_new(const struct ledger_options *options)
{
    struct ledger *ledger = MEM_NEW(struct ledger);
    ledger->options = *options;
    if (getrandom(&ledger->secret, sizeof ledger->secret, 0) != sizeof ledger->secret)
        abort();
    pthread_mutex_init(&ledger->lock, NULL);
    for (unsigned i = 0; i < JOB_LISTS; i++)
        list_init(&ledger->jobs[i]);
    return ledger;
}

uint64_t ledger_fingerprint(const struct ledger *ledger, struct bytes data)
{
    return siphash(&ledger->secret, data);
}

/* --- with the lock --- */

static struct job **bucket_of_id(struct ledger *ledger, struct bytes id)
{
    return &ledger->by_id[ledger_fingerprint(ledger, id) % BUCKETS];
}

static struct job **bucket_of_key(struct ledger *ledger, struct bytes key)
{
    return &ledger->by_key[ledger_fingerprint(ledger, key) % BUCKETS];
}

/* Where the job hangs by its id, or where NULL does when it is not in. */
static struct job **find_place(struct ledger *ledger, const struct job *job)
{
    struct job **at = bucket_of_id(ledger, job->call->request_id);
    while (*at && *at != job)
        at = &(*at)->next_by_id;
    return at;
}

/* Nobody finds it by its key any more. */
static void release_key(struct ledger *ledger, struct job *job)
{
    if (job->key.len == 0)
        return;
    struct job **at = bucket_of_key(ledger, job->key);
    while (*at != job)
        at = &(*at)->next_by_key;
    *at = job->next_by_key;
    job->key = (struct bytes){0};
}

/* Takes the job out of everything; true when it was in, and the ledger's reference is the caller's.
 */
static bool take_out(struct ledger *ledger, struct job *job)
{
    struct job **at = find_place(ledger, job);
    if (!*at)
        return false;
    *at = job->next_by_id;
    release_key(ledger, job);
    ledger->bytes -= job->kept_bytes;
    list_remove(&job->place);
    return true;
}

/* The oldest of those that are kept, if it has to go now; its reference is the caller's. */
static struct job *take_overdue(struct ledger *ledger, uint64_t now_us)
{
    if (list_empty(&ledger->jobs[JOBS_DONE]))
        return NULL;
    struct job *oldest = CONTAINER_OF(ledger->jobs[JOBS_DONE].next, struct job, place);
    if (oldest->expires_us > now_us && ledger->bytes <= ledger->options.keep_bytes)
        return NULL;
    take_out(ledger, oldest);
    return oldest;
}

/* --- without it --- */

void ledger_sweep(struct ledger *ledger, uint64_t now_us)
{
    for (;;) {
        pthread_mutex_lock(&ledger->lock);
        struct job *job = take_overdue(ledger, now_us);
        pthread_mutex_unlock(&ledger->lock);
        if (!job)
            return;
        job_unref(&job);
    }
}

void ledger_free(struct ledger **ledger)
{
    struct ledger *gone = *ledger;
    *ledger = NULL;
    if (!gone)
        return;
    ledger_sweep(gone, UINT64_MAX);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

/* With the lock. */
static struct job *find_key(struct ledger *ledger, struct bytes key)
{
    struct job *job = key.len ? *bucket_of_key(ledger, key) : NULL;
    while (job && !bytes_equal(job->key, key))
        job = job->next_by_key;
    return job;
}

static struct job *find_id(struct ledger *ledger, struct bytes id)
{
    struct job *job = *bucket_of_id(ledger, id);
    while (job && !bytes_equal(job->call->request_id, id))
        job = job->next_by_id;
    return job;
}

/* Callers may choose ids, and have no part in each other's jobs. */
static void tell_apart(struct ledger *ledger, struct call *call)
{
    struct bytes given = call->request_id;
    int len = given.len < ID_MAX - NUMBER_MAX ? (int)given.len : ID_MAX - NUMBER_MAX;
    while (find_id(ledger, call->request_id)) {
        unsigned number = ++ledger->numbered % 1000000000;
        call->request_id = bytes_of(arena_printf(call->arena, "%.*s~%u", len, given.data, number));
    }
}

/* Moves it to the end of that list. */
static void enlist(struct ledger *ledger, enum job_list list, struct job *job)
{
    job->numbers[list] = ++ledger->total[list];
    list_remove(&job->place);
    list_push_back(&ledger->jobs[list], &job->place);
}

static void put_in(struct ledger *ledger, struct job *job)
{
    struct job **bucket = bucket_of_id(ledger, job->call->request_id);
    job->next_by_id = *bucket;
    *bucket = job_ref(job);
    enlist(ledger, JOBS_UNDER_WAY, job);
    if (job->key.len == 0)
        return;
    bucket = bucket_of_key(ledger, job->key);
    job->next_by_key = *bucket;
    *bucket = job;
}

/* With the lock. A call that was refused before it ran may be tried again with the same key; it is
 * kept only for who was told of it. */
static bool is_worth_keeping(struct ledger *ledger, struct job *job)
{
    bool had_key = job->key.len > 0;
    if (job->call->outcome.executed == EXECUTED_NO)
        release_key(ledger, job);
    return job->is_kept && (!had_key || job->key.len || job->is_announced);
}

/* With the lock. */
static void keep(struct ledger *ledger, struct job *job, size_t bytes, uint64_t now_us)
{
    job->kept_bytes = bytes;
    job->expires_us = now_us + ledger->options.keep_us;
    ledger->bytes += bytes;
    enlist(ledger, JOBS_DONE, job);
}

/* With the lock: puts `other` in the place of the job, whose reference is the caller's then. */
static void replace(struct ledger *ledger, struct job *job, struct job *other)
{
    if (job->key.len)
        other->key = arena_copy(other->call->arena, job->key);
    other->is_announced = job->is_announced;
    take_out(ledger, job);
    put_in(ledger, other);
}

/* The job is done: it is kept for a while, or not at all. One that takes more than there is room
 * for in all is kept as job_digest() makes it. */
static void settle(struct job *job)
{
    struct ledger *ledger = job->ledger;
    uint64_t now_us = clock_now_us();
    size_t bytes = job_size(job), room = ledger->options.keep_bytes;
    struct job *digest = job->is_kept && bytes > room ? job_digest(job, room) : NULL;
    struct job *kept = digest ? digest : job, *gone = NULL;
    bytes = digest ? job_size(digest) : bytes;
    pthread_mutex_lock(&ledger->lock);
    bool was_in = *find_place(ledger, job);
    if (was_in && (bytes > room || !is_worth_keeping(ledger, job))) {
        take_out(ledger, job);
        gone = job;
    } else if (was_in) {
        if (digest)
            replace(ledger, gone = job, digest);
        keep(ledger, kept, bytes, now_us);
    }
    pthread_mutex_unlock(&ledger->lock);
    job_unref(&gone);
    job_unref(&digest);
    ledger_sweep(ledger, now_us);
}

struct job *ledger_add(struct ledger *ledger, struct job *job)
{
    job->ledger = ledger;
    job->on_done = settle;
    pthread_mutex_lock(&ledger->lock);
    struct job *other = find_key(ledger, job->key);
    if (other) {
        job_ref(other);
    } else {
        tell_apart(ledger, job->call);
        put_in(ledger, job);
    }
    pthread_mutex_unlock(&ledger->lock);
    return other;
}

void ledger_forget(struct ledger *ledger, struct job *job)
{
    pthread_mutex_lock(&ledger->lock);
    bool was_in = take_out(ledger, job);
    pthread_mutex_unlock(&ledger->lock);
    if (was_in)
        job_unref(&job);
}

void ledger_announce(struct ledger *ledger, struct job *job)
{
    pthread_mutex_lock(&ledger->lock);
    job->is_announced = true;
    pthread_mutex_unlock(&ledger->lock);
}

struct job *ledger_find(struct ledger *ledger, struct bytes request_id)
{
    pthread_mutex_lock(&ledger->lock);
    struct job *job = find_id(ledger, request_id);
    if (job)
        job_ref(job);
    pthread_mutex_unlock(&ledger->lock);
    return job;
}

struct job *ledger_find_key(struct ledger *ledger, struct bytes key)
{
    pthread_mutex_lock(&ledger->lock);
    struct job *job = find_key(ledger, key);
    if (job)
        job_ref(job);
    pthread_mutex_unlock(&ledger->lock);
    return job;
}

unsigned ledger_look(struct ledger *ledger, enum job_list list, uint64_t after,
                     struct job **out_jobs, unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&ledger->lock);
    LIST_FOREACH (&ledger->jobs[list], node, next) {
        struct job *job = CONTAINER_OF(node, struct job, place);
        if (count == max)
            break;
        if (job->numbers[list] > after)
            out_jobs[count++] = job_ref(job);
    }
    pthread_mutex_unlock(&ledger->lock);
    return count;
}
