/* Which workers a call may go to, and would rather.
 *
 * By session: the session's trail notes where its last call went. By content: rendezvous hashing
 * (Thaler and Ravishankar, 1998): of the workers that can take the call the one wins whose number,
 * hashed with the key, gives most, so that each key has an order of the workers which hardly
 * changes when one comes or goes. With the bound on loads of Mirrokni, Thorup and Zadimoghaddam
 * (2016), c = 5/4: no worker takes more than a quarter above its share, and what is too much for
 * the first of the order goes to the second. No ring is needed for so few workers. A worker that
 * says it has loaded what the key names goes before all that. */
#include "pool/affinity.h"

#include "pool/slots.h"

_Static_assert(SESSION_SEAT_WORDS * 64 >= (int)POOL_MAX_SEATS, "a bit for each seat");

static bool can_take(const struct pool *pool, const struct worker *worker, const struct call *call,
                     bool free)
{
    return free ? worker_has_free_slot(worker) : slots_can_give(pool, worker, call->tool);
}

/* --- by session --- */

static struct session_trail *trail_of(const struct pool *pool, const struct call *call)
{
    return &call->session->trails[pool->rank];
}

/* The session's last worker, if it still takes calls. */
static struct worker *last_of(const struct pool *pool, const struct session_trail *trail)
{
    struct worker *worker = &pool->workers[trail->seat];
    bool there = trail->worker && worker->state == WORKER_READY;
    return there && worker->ref.number == trail->worker ? worker : NULL;
}

static enum affinity habit_of(const struct pool *pool, const struct session *session)
{
    enum affinity mode = atomic_load_explicit(&session->affinity, memory_order_relaxed);
    return mode == AFFINITY_UNSAID ? pool->options.affinity : mode;
}

static enum affinity mode_of(const struct pool *pool, const struct call *call)
{
    return call->affinity == AFFINITY_UNSAID ? habit_of(pool, call->session) : call->affinity;
}

static bool is_strict(const struct pool *pool, const struct call *call)
{
    return call->session && mode_of(pool, call) != AFFINITY_HINT;
}

/* The call waits for a worker that is about to leave, and serves such calls before it does. */
static bool is_served_still(const struct pool *pool, const struct call *call)
{
    const struct worker *worker = call->awaits;
    return worker && worker->state == WORKER_DRAINING && affinity_binds(pool, call, worker);
}

enum affinity_verdict affinity_judge(const struct pool *pool, const struct call *call,
                                     struct worker **out_worker)
{
    *out_worker = NULL;
    if (is_served_still(pool, call)) {
        *out_worker = call->awaits;
        return AFFINITY_ONE;
    }
    if (!is_strict(pool, call) || trail_of(pool, call)->worker == 0)
        return AFFINITY_ANY;
    struct worker *worker = last_of(pool, trail_of(pool, call));
    if (!worker)
        return AFFINITY_LOST;
    if (!worker_has_free_slot(worker) && mode_of(pool, call) == AFFINITY_STRICT_FAIL_FAST)
        return AFFINITY_BUSY;
    *out_worker = worker;
    return AFFINITY_ONE;
}

/* From now on the session's last worker is this one, or none; `bound`: it may have no other. */
static void move(const struct pool *pool, struct session_trail *trail, struct worker *worker,
                 bool bound)
{
    struct worker *old = &pool->workers[trail->seat];
    if (trail->bound && old->ref.number == trail->worker)
        old->bound--;
    trail->worker = worker ? worker->ref.number : 0;
    trail->seat = worker ? worker->ref.seat : 0;
    trail->bound = bound;
    if (bound)
        worker->bound++;
}

bool affinity_binds(const struct pool *pool, const struct call *call, const struct worker *worker)
{
    if (!is_strict(pool, call))
        return false;
    const struct session_trail *trail = trail_of(pool, call);
    return trail->worker == worker->ref.number || trail->lost == worker->ref.number;
}

void affinity_release(const struct pool *pool, const struct call *call, uint64_t number)
{
    struct session_trail *trail = trail_of(pool, call);
    trail->lost = number ? number : trail->worker;
    if (trail->worker == trail->lost)
        move(pool, trail, NULL, false);
}

/* A seat's bit is about the worker that sat there when the trail was written last: workers that are
 * newer have not been visited. */
static void forget_replaced(const struct pool *pool, struct session_trail *trail)
{
    if (trail->newest == pool->next_number)
        return;
    for (unsigned i = 0; i < SESSION_SEAT_WORDS; i++) {
        for (uint64_t left = trail->seats[i]; left; left &= left - 1) {
            const struct worker *worker = &pool->workers[i * 64 + __builtin_ctzll(left)];
            if (worker->state == WORKER_VACANT || worker->ref.number > trail->newest)
                trail->seats[i] &= ~(left & -left);
        }
    }
    trail->newest = pool->next_number;
}

/* It goes elsewhere than its session, which stays where it is: by a wish of its own in a session
 * that is strict, or because its caller sits there. */
static bool is_aside(const struct pool *pool, const struct call *call)
{
    bool may = call->depth > 0 ||
               (!is_strict(pool, call) && habit_of(pool, call->session) != AFFINITY_HINT);
    return may && last_of(pool, trail_of(pool, call));
}

bool affinity_follow(const struct pool *pool, const struct call *call, struct worker *worker)
{
    if (!call->session)
        return false;
    struct session_trail *trail = trail_of(pool, call);
    forget_replaced(pool, trail);
    uint64_t *word = &trail->seats[worker->ref.seat / 64];
    uint64_t bit = UINT64_C(1) << worker->ref.seat % 64;
    bool first = !(*word & bit);
    *word |= bit;
    /* Of one that is about to leave the session may have gone elsewhere already. */
    if (worker->state == WORKER_READY && !is_aside(pool, call))
        move(pool, trail, worker, is_strict(pool, call));
    return first;
}

void affinity_forget(const struct pool *pool, struct session *session)
{
    move(pool, &session->trails[pool->rank], NULL, false);
}

const struct worker *affinity_last(const struct pool *pool, const struct session *session)
{
    return last_of(pool, &session->trails[pool->rank]);
}

unsigned affinity_visited(const struct pool *pool, const struct session *session,
                          struct worker_ref out_refs[POOL_MAX_SEATS])
{
    unsigned count = 0;
    struct session_trail *trail = &session->trails[pool->rank];
    forget_replaced(pool, trail);
    for (unsigned i = 0; i < SESSION_SEAT_WORDS; i++) {
        for (uint64_t left = trail->seats[i]; left; left &= left - 1)
            out_refs[count++] = pool->workers[i * 64 + __builtin_ctzll(left)].ref;
    }
    return count;
}

/* --- by content --- */

uint64_t affinity_hash(const struct pool *pool, struct bytes key)
{
    return siphash(&pool->key, key) | 1;
}

static bool has_loaded(const struct worker *worker, uint64_t content)
{
    for (unsigned i = 0; i < worker->loaded_count; i++) {
        if (worker->loaded[i] == content)
            return true;
    }
    return false;
}

/* splitmix64's finalizer. */
static uint64_t weigh(uint64_t content, uint64_t number)
{
    uint64_t value = content + number * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* Calls that a worker may have when it gets this one. */
static unsigned load_limit(const struct pool *pool)
{
    unsigned workers = 0, load = 1;
    for (unsigned i = 0; i < pool->seats; i++) {
        if (pool->workers[i].state == WORKER_READY) {
            workers++;
            load += pool->workers[i].inflight_count;
        }
    }
    return workers ? (5 * load + 4 * workers - 1) / (4 * workers) : 0;
}

static struct worker *by_content(const struct pool *pool, const struct call *call, bool free)
{
    uint64_t content = call->content;
    struct worker *best = NULL;
    uint64_t most = 0;
    bool found_loaded = false;
    unsigned limit = load_limit(pool);
    for (unsigned i = 0; i < pool->seats; i++) {
        struct worker *worker = &pool->workers[i];
        if (!can_take(pool, worker, call, free))
            continue;
        bool loaded = has_loaded(worker, content);
        uint64_t weight = weigh(content, worker->ref.number);
        bool better = loaded == found_loaded ? !best || weight > most : loaded;
        if (better && (loaded || worker->inflight_count < limit)) {
            best = worker;
            most = weight;
            found_loaded = loaded;
        }
    }
    return best;
}

struct worker *affinity_prefer(const struct pool *pool, const struct call *call, bool free)
{
    struct worker *last = call->session ? last_of(pool, trail_of(pool, call)) : NULL;
    if (last && can_take(pool, last, call, free))
        return last;
    return call->content ? by_content(pool, call, free) : NULL;
}
