/* Calls that wait for others, over the fake and one more pool. Included by the tests of nested.h
 * and deadlock.h. */
#ifndef SNAKEPIT_TESTS_UNIT_POOL_WAITS_H
#define SNAKEPIT_TESTS_UNIT_POOL_WAITS_H

#include "fake.h"
#include "pool/nested.h"

#include <check.h>
#include <string.h>

static struct fake fake;
static struct pool *other; /* shares the fake's registry and runtime */
static struct tool *other_tool;
static unsigned given_up;

enum { LIMIT = 3 };

static inline uint64_t now(void)
{
    return fake_now_us;
}

static inline void tear_down(void)
{
    if (other)
        pool_stop(other, 0);
    pool_free(&other);
    fake_deinit(&fake);
}

static inline void on_give_up(struct nested *nested)
{
    given_up++;
    if (nested->call)
        pool_cancel(nested->call->tool->pool, nested->call);
}

static inline void one(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
}

static inline void two(struct pool_options *options)
{
    options->timeout_us = UINT64_C(3600000000);
}

static inline void growing(struct pool_options *options)
{
    options->min_workers = 1;
}

static inline void begin(void (*adjust)(struct pool_options *options))
{
    given_up = 0;
    other = NULL;
    fake_begin(&fake, adjust);
}

/* One more pool, of one worker. */
static inline void add_pool(void)
{
    struct pool_options options = pool_defaults();
    const struct tool_spec spec = {.name = BYTES("other"), .schema = BYTES("{}")};
    const struct worker_hello hello = {.pid = 200, .slots = 1};
    static const struct observer_ops silent;
    char fault[TOOL_FAULT_MAX];
    options.name = "other";
    options.now_us = now;
    other = pool_new(&options, fake.registry, &fake.runtime, (struct observer){.ops = &silent});
    ck_assert(registry_announce(fake.registry, other, &spec, 1, fault));
    other_tool = registry_find(fake.registry, BYTES("other"), NULL);
    pool_start(other);
    ck_assert(pool_worker_ready(other, fake.starts[fake.start_count - 1], &hello));
}

struct wait {
    struct nested nested;
    struct call *call;
    uint64_t left_us;
    uint64_t number;
};

/* `parent` begins to wait for a call of `tool`, NULL: for something else; not submitted yet.
 * Returns what nested_begin() does. */
static enum nested_verdict join(struct wait *wait, struct call *parent, struct tool *tool)
{
    memset(wait, 0, sizeof *wait);
    wait->nested.give_up = on_give_up;
    wait->nested.id = 77;
    if (tool) {
        wait->call = wait->nested.call = fake_make(&fake, tool);
        wait->call->depth = parent->depth + 1;
    }
    return nested_begin(parent->tool->pool, parent, &wait->nested, LIMIT, &wait->left_us,
                        &wait->number);
}

static inline void begin_to_wait(struct wait *wait, struct call *parent, struct tool *tool)
{
    ck_assert_int_eq(join(wait, parent, tool), NESTED_BEGUN);
}

static inline void submit(const struct wait *wait)
{
    pool_submit(wait->call->tool->pool, wait->call);
}

/* A nested call that nobody submits, and that its parent waits for no more. */
static inline void drop(struct wait *wait)
{
    ck_assert(nested_end(wait->nested.parent->tool->pool, &wait->nested));
    call_unref(&wait->call);
}

static inline struct call *run_slow(void)
{
    struct call *call = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    return call;
}

static inline void expect_cancelled(struct call *call, enum call_executed executed)
{
    fake_expect(&fake, call, CALL_END_CANCELLED, executed);
}

#endif
