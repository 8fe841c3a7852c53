#include "pool/session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "pool/tool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { FIRST_BUCKETS = 256, SWEEP_MAX = 1024, RANDOM_BYTES = 16, MADE_ID_LEN = 24 };

/* A pool whose workers serve sessions. */
struct server {
    struct pool *pool;
    void (*forget)(struct pool *pool, struct session *session, bool again);
};

struct session_store {
    struct session_options options;
    struct siphash_key key;

    pthread_mutex_t lock; /* guards everything below; comes before those of pools */
    struct server servers[REGISTRY_MAX_POOLS]; /* by rank */
    unsigned server_count;
    bool stopped;
    struct session **buckets;
    size_t bucket_count; /* a power of two */
    struct list all;     /* oldest first */
    struct heap dues;
    unsigned count;
    size_t memory;
    uint64_t created, deleted, expired, refused;
};

struct session_options session_defaults(void)
{
    return (struct session_options){
        .limit = 10000,
        .ttl_us = UINT64_C(3600000000),
        .memory_limit = 256 << 20,
        .variables = {.count = 1000, .value_size = 1 << 20, .size = 8 << 20},
        .now_us = clock_now_us};
}

const char *affinity_name(enum affinity affinity)
{
    static const char *const names[AFFINITIES] = {
        [AFFINITY_HINT] = "hint",
        [AFFINITY_STRICT_QUEUE] = "strict_queue",
        [AFFINITY_STRICT_FAIL_FAST] = "strict_fail_fast",
    };
    return names[affinity];
}

static void fill_random(void *out_bytes, size_t size)
{
    if (getrandom(out_bytes, size, 0) != (ssize_t)size)
        abort();
}

struct session_store *session_store_new(const struct session_options *options)
{
    struct session_store *store = MEM_NEW(struct session_store);
    store->options = *options;
    fill_random(&store->key, sizeof store->key);
    pthread_mutex_init(&store->lock, NULL);
    store->bucket_count = FIRST_BUCKETS;
    store->buckets = mem_array(store->bucket_count, sizeof(struct session *));
    list_init(&store->all);
    return store;
}

void session_store_add(struct session_store *store, struct pool *pool,
                       void (*forget)(struct pool *pool, struct session *session, bool again))
{
    store->servers[store->server_count++] = (struct server){pool, forget};
}

void session_store_stop(struct session_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->stopped = true;
    pthread_mutex_unlock(&store->lock);
}

/* --- by id --- */

static struct session **bucket_of(struct session_store *store, struct bytes id)
{
    return &store->buckets[siphash(&store->key, id) & (store->bucket_count - 1)];
}

/* Where the session of that id is linked, or where a new one would be: then NULL is there. */
static struct session **place_of(struct session_store *store, struct bytes id)
{
    struct session **place = bucket_of(store, id);
    while (*place && !bytes_equal((*place)->id, id))
        place = &(*place)->next;
    return place;
}

static void widen(struct session_store *store)
{
    free(store->buckets);
    store->bucket_count *= 2;
    store->buckets = mem_array(store->bucket_count, sizeof(struct session *));
    LIST_FOREACH (&store->all, node, following) {
        struct session *session = CONTAINER_OF(node, struct session, order);
        struct session **bucket = bucket_of(store, session->id);
        session->next = *bucket;
        *bucket = session;
    }
}

/* --- ends --- */

struct session *session_ref(struct session *session)
{
    atomic_fetch_add_explicit(&session->references, 1, memory_order_relaxed);
    return session;
}

/* While calls use it. */
static void close_variables(struct session *session)
{
    struct variable_set *set = &session->variables;
    pthread_mutex_lock(&set->lock);
    struct variables_audience audience = variable_set_close(set);
    pthread_mutex_unlock(&set->lock);
    variables_audience_tell(audience, session->number);
}

/* Nobody uses it any more: workers forget it. A frame that says so is filled before the lock is
 * released, so that it comes before the calls of whatever gets the same id next; if that is there
 * already, they hear of its beginning instead. */
static void finish(struct session_store *store, struct session *session)
{
    bool again = *place_of(store, session->id) != NULL;
    for (unsigned i = 0; i < store->server_count && !store->stopped; i++)
        store->servers[i].forget(store->servers[i].pool, session, again);
    if (!store->stopped)
        variables_audience_tell(variable_set_close(&session->variables), session->number);
    free((void *)(uintptr_t)session->metadata.data);
    variable_set_deinit(&session->variables);
    if (session->free_extra)
        session->free_extra(session->extra);
    free(session);
}

static bool drops_last(struct session *session)
{
    return atomic_fetch_sub_explicit(&session->references, 1, memory_order_acq_rel) == 1;
}

/* Takes it out of the store. */
static void end(struct session_store *store, struct session *session)
{
    *place_of(store, session->id) = session->next;
    list_remove(&session->order);
    heap_remove(&store->dues, &session->due);
    store->count--;
    store->memory -= session->metadata.len + session->charged;
    atomic_store(&session->ended, true);
    if (drops_last(session))
        finish(store, session);
}

static uint64_t due_of(const struct session *session, uint64_t now_us)
{
    bool used = atomic_load(&session->references) > 1;
    return (used ? now_us : atomic_load(&session->used_us)) + session->ttl_us;
}

/* Ends up to SWEEP_MAX sessions whose time is over. What is noted as due of the others is put right
 * as far as it is in the way: noting each use would cost every call. */
static void sweep(struct session_store *store, uint64_t now_us)
{
    struct heap_node *first;
    for (unsigned ended = 0; ended < SWEEP_MAX && (first = heap_first(&store->dues));) {
        struct session *session = CONTAINER_OF(first, struct session, due);
        uint64_t due_us = due_of(session, now_us);
        if (due_us <= now_us) {
            store->expired++;
            ended++;
            end(store, session);
        } else if (due_us > first->key) {
            heap_set(&store->dues, first, due_us);
        } else {
            return;
        }
    }
}

void session_sweep(struct session_store *store)
{
    pthread_mutex_lock(&store->lock);
    sweep(store, store->options.now_us());
    pthread_mutex_unlock(&store->lock);
}

void session_store_free(struct session_store **store)
{
    struct session_store *gone = *store;
    *store = NULL;
    if (!gone)
        return;
    gone->stopped = true;
    LIST_FOREACH (&gone->all, node, following)
        end(gone, CONTAINER_OF(node, struct session, order));
    heap_deinit(&gone->dues);
    pthread_mutex_destroy(&gone->lock);
    free(gone->buckets);
    free(gone);
}

/* The session of that id, or NULL; one whose time is over is not waited for by the sweep. */
static struct session *find(struct session_store *store, struct bytes id, uint64_t now_us)
{
    struct session *session = *place_of(store, id);
    if (!session || due_of(session, now_us) > now_us)
        return session;
    store->expired++;
    end(store, session);
    return NULL;
}

bool session_delete(struct session_store *store, struct bytes id)
{
    pthread_mutex_lock(&store->lock);
    struct session *session = find(store, id, store->options.now_us());
    bool found = session != NULL;
    store->deleted += found;
    if (found)
        end(store, session_ref(session));
    pthread_mutex_unlock(&store->lock);
    if (found)
        close_variables(session);
    session_unref(&session);
    return found;
}

/* --- beginnings --- */

/* base64url, RFC 4648 section 5: 128 random bits. */
static void make_id(char out_id[MADE_ID_LEN])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[RANDOM_BYTES + 2] = {0};
    fill_random(random, RANDOM_BYTES);
    memcpy(out_id, "s-", 2);
    for (unsigned i = 0; i < MADE_ID_LEN - 2; i++) {
        unsigned bit = i * 6, pair = (unsigned)random[bit / 8] << 8 | random[bit / 8 + 1];
        out_id[2 + i] = digits[pair >> (10 - bit % 8) & 63];
    }
}

static struct bytes copy_of(struct bytes text)
{
    return text.len ? bytes_from(memcpy(mem_alloc(text.len), text.data, text.len), text.len) : text;
}

static struct session *make(struct session_store *store, const struct session_wish *wish,
                            uint64_t now_us)
{
    char made[MADE_ID_LEN];
    struct bytes id = wish->id;
    if (id.len == 0) {
        make_id(made);
        id = bytes_from(made, sizeof made);
    }
    size_t trails = store->server_count * sizeof(struct session_trail);
    struct session *session = mem_zalloc(sizeof *session + trails + id.len);
    session->store = store;
    session->trails = (struct session_trail *)(void *)(session + 1);
    session->id = bytes_from(memcpy((char *)(session + 1) + trails, id.data, id.len), id.len);
    memcpy(session->pool, wish->pool.data ? wish->pool.data : "", wish->pool.len);
    session->created_s = time(NULL);
    atomic_init(&session->references, 2); /* the store's and the caller's */
    atomic_init(&session->used_us, now_us);
    atomic_init(&session->affinity, wish->affinity);
    session->ttl_us = wish->ttl_us ? wish->ttl_us : store->options.ttl_us;
    session->metadata = copy_of(wish->metadata);
    variable_set_init(&session->variables);
    return session;
}

static void enter(struct session_store *store, struct session *session, uint64_t now_us)
{
    list_push_back(&store->all, &session->order);
    if (++store->count > store->bucket_count)
        widen(store);
    else
        *place_of(store, session->id) = session;
    heap_set(&store->dues, &session->due, now_us + session->ttl_us);
    store->memory += session->metadata.len;
    session->number = ++store->created;
}

static enum session_verdict open_locked(struct session_store *store,
                                        const struct session_wish *wish, uint64_t now_us,
                                        struct session **out_session)
{
    struct session *there = wish->id.len ? find(store, wish->id, now_us) : NULL;
    if (there) {
        *out_session = session_ref(there);
        return SESSION_THERE;
    }
    if (store->count >= store->options.limit)
        sweep(store, now_us);
    bool full = store->count >= store->options.limit;
    if (full || store->memory + wish->metadata.len > store->options.memory_limit) {
        store->refused++;
        return full ? SESSION_FULL : SESSION_MEMORY;
    }
    *out_session = make(store, wish, now_us);
    enter(store, *out_session, now_us);
    return SESSION_MADE;
}

enum session_verdict session_open(struct session_store *store, const struct session_wish *wish,
                                  struct session **out_session)
{
    pthread_mutex_lock(&store->lock);
    enum session_verdict verdict = open_locked(store, wish, store->options.now_us(), out_session);
    pthread_mutex_unlock(&store->lock);
    return verdict;
}

/* --- uses --- */

void session_unref(struct session **session)
{
    struct session *gone = *session;
    *session = NULL;
    if (!gone)
        return;
    struct session_store *store = gone->store;
    atomic_store(&gone->used_us, store->options.now_us());
    if (!drops_last(gone))
        return;
    pthread_mutex_lock(&store->lock);
    finish(store, gone);
    pthread_mutex_unlock(&store->lock);
}

struct session *session_find(struct session_store *store, struct bytes id)
{
    pthread_mutex_lock(&store->lock);
    struct session *session = find(store, id, store->options.now_us());
    if (session)
        session_ref(session);
    pthread_mutex_unlock(&store->lock);
    return session;
}

bool session_has_ended(const struct session *session)
{
    return atomic_load(&session->ended);
}

static bool change_metadata(struct session *session, struct bytes metadata)
{
    struct session_store *store = session->store;
    size_t others = store->memory - session->metadata.len;
    if (others + metadata.len > store->options.memory_limit) {
        store->refused++;
        return false;
    }
    free((void *)(uintptr_t)session->metadata.data);
    session->metadata = copy_of(metadata);
    store->memory = others + metadata.len;
    return true;
}

bool session_change(struct session *session, const struct session_wish *wish)
{
    struct session_store *store = session->store;
    pthread_mutex_lock(&store->lock);
    bool good = session->ended || !wish->metadata.len || change_metadata(session, wish->metadata);
    if (good && !session->ended && wish->ttl_us) {
        session->ttl_us = wish->ttl_us;
        heap_set(&store->dues, &session->due, due_of(session, store->options.now_us()));
    }
    if (good && wish->affinity)
        atomic_store(&session->affinity, wish->affinity);
    pthread_mutex_unlock(&store->lock);
    return good;
}

enum session_charge session_charge(struct session *session, size_t less, size_t more)
{
    struct session_store *store = session->store;
    enum session_charge charge = SESSION_CHARGED;
    pthread_mutex_lock(&store->lock);
    if (session->ended) {
        charge = SESSION_ENDED;
    } else if (more > less && store->memory - less + more > store->options.memory_limit) {
        store->refused++;
        charge = SESSION_TOO_MUCH;
    } else {
        store->memory += more - less;
        session->charged += more - less;
    }
    pthread_mutex_unlock(&store->lock);
    return charge;
}

const struct variables_limits *session_limits(const struct session *session)
{
    return &session->store->options.variables;
}

/* --- looking in --- */

static void describe(struct session *session, uint64_t now_us, struct session_view *out_view)
{
    uint64_t used_us = atomic_load(&session->used_us);
    *out_view = (struct session_view){
        .number = session->number,
        .created_s = session->created_s,
        .ttl_us = session->ttl_us,
        .idle_us = now_us > used_us ? now_us - used_us : 0,
        .calls = atomic_load(&session->calls),
        .users = atomic_load(&session->references) - 1,
        .affinity = atomic_load(&session->affinity),
    };
    memcpy(out_view->id, session->id.data, session->id.len);
    memcpy(out_view->pool, session->pool, sizeof session->pool);
}

void session_look(struct session *session, struct session_view *out_view)
{
    struct session_store *store = session->store;
    pthread_mutex_lock(&store->lock);
    describe(session, store->options.now_us(), out_view);
    out_view->metadata = copy_of(session->metadata);
    pthread_mutex_unlock(&store->lock);
}

unsigned session_list(struct session_store *store, uint64_t after, struct session_view *out_views,
                      unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&store->lock);
    uint64_t now_us = store->options.now_us();
    LIST_FOREACH (&store->all, node, next) {
        struct session *session = CONTAINER_OF(node, struct session, order);
        if (count == max)
            break;
        if (session->number > after)
            describe(session, now_us, &out_views[count++]);
    }
    pthread_mutex_unlock(&store->lock);
    return count;
}

void session_count(struct session_store *store, struct session_counts *out_counts)
{
    pthread_mutex_lock(&store->lock);
    const struct heap_node *first = heap_first(&store->dues);
    uint64_t now_us = store->options.now_us();
    uint64_t wait_us = first && first->key > now_us ? first->key - now_us : 0;
    *out_counts = (struct session_counts){
        .current = store->count,
        .limit = store->options.limit,
        .memory = store->memory,
        .memory_limit = store->options.memory_limit,
        .created = store->created,
        .deleted = store->deleted,
        .expired = store->expired,
        .refused = store->refused,
        .retry_after_s = 1 + (unsigned)(wait_us / 1000000),
    };
    pthread_mutex_unlock(&store->lock);
}
