/* What running calls wait for: its end, and circles. */
#include "fake.h"

#include "../base/run.h"
#include "pool/deadlock.h"
#include "pool/nested.h"

#include <string.h>

static struct fake fake;
static struct pool *other; /* shares the fake's registry and runtime */
static struct tool *other_tool;
static unsigned given_up;

enum { LIMIT = 3 };

static uint64_t now(void)
{
    return fake_now_us;
}

static void tear_down(void)
{
    if (other)
        pool_stop(other, 0);
    pool_free(&other);
    fake_deinit(&fake);
}

static void on_give_up(struct nested *nested)
{
    given_up++;
    if (nested->call)
        pool_cancel(nested->call->tool->pool, nested->call);
}

static void one(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
}

static void two(struct pool_options *options)
{
    options->timeout_us = UINT64_C(3600000000);
}

static void growing(struct pool_options *options)
{
    options->min_workers = 1;
}

static void begin(void (*adjust)(struct pool_options *options))
{
    given_up = 0;
    other = NULL;
    fake_begin(&fake, adjust);
}

/* One more pool, of one worker. */
static void add_pool(void)
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

static void begin_to_wait(struct wait *wait, struct call *parent, struct tool *tool)
{
    ck_assert_int_eq(join(wait, parent, tool), NESTED_BEGUN);
}

static void submit(const struct wait *wait)
{
    pool_submit(wait->call->tool->pool, wait->call);
}

/* A nested call that nobody submits, and that its parent waits for no more. */
static void drop(struct wait *wait)
{
    ck_assert(nested_end(wait->nested.parent->tool->pool, &wait->nested));
    call_unref(&wait->call);
}

static struct call *run_slow(void)
{
    struct call *call = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    return call;
}

static void expect_cancelled(struct call *call, enum call_executed executed)
{
    fake_expect(&fake, call, CALL_END_CANCELLED, executed);
}

/* --- the end --- */

START_TEST(what_a_call_waits_for_is_given_up_when_it_ends)
{
    struct wait wait;
    begin(two);
    struct call *parent = run_slow();
    begin_to_wait(&wait, parent, fake.slow);
    submit(&wait);
    pool_cancel(fake.pool, parent);
    ck_assert_uint_eq(given_up, 1);
    expect_cancelled(parent, EXECUTED_MAYBE);
    expect_cancelled(wait.call, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.cancel_count, 2);
    ck_assert(!nested_end(fake.pool, &wait.nested));
}
END_TEST

START_TEST(what_has_ended_is_not_given_up)
{
    struct wait wait;
    begin(two);
    struct call *parent = run_slow();
    begin_to_wait(&wait, parent, NULL);
    ck_assert(nested_end(fake.pool, &wait.nested));
    ck_assert(!nested_end(fake.pool, &wait.nested));
    pool_cancel(fake.pool, parent);
    ck_assert_uint_eq(given_up, 0);
    expect_cancelled(parent, EXECUTED_MAYBE);
}
END_TEST

START_TEST(it_is_given_up_when_the_worker_of_its_parent_dies)
{
    struct wait wait;
    begin(two);
    struct call *parent = run_slow();
    begin_to_wait(&wait, parent, NULL);
    fake_crash(&fake, 0);
    ck_assert_uint_eq(given_up, 1);
    fake_expect(&fake, parent, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(it_is_given_up_when_its_parent_is_run_again)
{
    struct wait wait;
    begin(two);
    struct call *parent = fake_make(&fake, fake.slow);
    parent->idempotent = true;
    fake_send(&fake, parent);
    begin_to_wait(&wait, parent, NULL);
    fake_crash(&fake, 0);
    ck_assert_uint_eq(given_up, 1);
    ck_assert_int_eq(parent->state, CALL_QUEUED);
    pool_cancel(fake.pool, parent);
    expect_cancelled(parent, EXECUTED_MAYBE);
}
END_TEST

START_TEST(one_of_several_can_be_given_up_by_its_number)
{
    struct wait wait, kept;
    begin(two);
    struct call *parent = run_slow();
    begin_to_wait(&kept, parent, NULL);
    kept.nested.id = 78;
    begin_to_wait(&wait, parent, NULL);
    pool_give_up_nested(fake.pool, fake.invokes[0].worker, fake.invokes[0].call_id, 77);
    pool_give_up_nested(fake.pool, fake.invokes[0].worker, fake.invokes[0].call_id, 77);
    ck_assert_uint_eq(given_up, 1);
    ck_assert(nested_end(fake.pool, &kept.nested));
    ck_assert(!nested_end(fake.pool, &wait.nested));
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, parent, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(it_is_given_up_when_its_time_is_over)
{
    struct wait wait = {.nested = {.give_up = on_give_up, .timeout_us = 1000}};
    begin(two);
    struct call *parent = run_slow();
    ck_assert_int_eq(
        nested_begin(fake.pool, parent, &wait.nested, LIMIT, &wait.left_us, &wait.number),
        NESTED_BEGUN);
    ck_assert_uint_eq(fake.alarm_us, fake_now_us + 1000);
    fake_pass(&fake, 999);
    ck_assert_uint_eq(given_up, 0);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(given_up, 1);
    ck_assert(wait.nested.timed_out);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, parent, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_call_that_has_ended_cannot_wait)
{
    struct wait wait;
    begin(two);
    struct call *parent = call_ref(run_slow());
    fake_answer(&fake, 0, 10);
    struct session *session;
    ck_assert_ptr_null(
        pool_find_call(fake.pool, fake.invokes[0].worker, fake.invokes[0].call_id, &session));
    ck_assert_int_eq(join(&wait, parent, NULL), NESTED_ENDED);
    fake_expect(&fake, parent, CALL_END_RESULT, EXECUTED_YES);
    call_unref(&parent);
}
END_TEST

START_TEST(what_a_call_waits_for_at_once_is_limited)
{
    struct wait waits[LIMIT + 1];
    begin(two);
    struct call *parent = run_slow();
    for (unsigned i = 0; i < LIMIT; i++)
        begin_to_wait(&waits[i], parent, NULL);
    ck_assert_int_eq(join(&waits[LIMIT], parent, NULL), NESTED_TOO_MANY);
    ck_assert(nested_end(fake.pool, &waits[0].nested));
    begin_to_wait(&waits[LIMIT], parent, NULL);
    ck_assert_uint_eq(waits[LIMIT].number, LIMIT + 1);
    pool_cancel(fake.pool, parent);
    ck_assert_uint_eq(given_up, LIMIT);
    expect_cancelled(parent, EXECUTED_MAYBE);
}
END_TEST

START_TEST(it_has_the_time_that_its_parent_has_left)
{
    struct wait wait;
    begin(two);
    struct call *parent = fake_make(&fake, fake.slow);
    parent->timeout_us = 5000000;
    parent->run_timeout_us = 3000000;
    fake_send(&fake, parent);
    fake_now_us += 1000000;
    begin_to_wait(&wait, parent, NULL);
    ck_assert_uint_eq(wait.left_us, 2000000);
    pool_cancel(fake.pool, parent);
    expect_cancelled(parent, EXECUTED_MAYBE);
}
END_TEST

/* --- scheduling --- */

START_TEST(nothing_is_sent_ahead_to_a_worker_whose_call_waits)
{
    struct wait wait;
    begin(one);
    fake_measure(&fake, fake.slow, 10);
    struct call *parent = fake_submit(&fake, fake.slow);
    begin_to_wait(&wait, parent, NULL);
    struct call *next = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(next->state, CALL_QUEUED);
    ck_assert(nested_end(fake.pool, &wait.nested));
    struct call *last = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(next->state, CALL_DISPATCHED);
    ck_assert_int_eq(last->state, CALL_DISPATCHED);
    pool_stop(fake.pool, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct call *call = fake_posted(&fake);
        call_unref(&call);
    }
}
END_TEST

START_TEST(a_nested_call_is_not_sent_ahead)
{
    begin(one);
    fake_measure(&fake, fake.slow, 10);
    struct call *running = fake_submit(&fake, fake.slow);
    struct call *nested = fake_make(&fake, fake.slow);
    nested->depth = 1;
    fake_send(&fake, nested);
    ck_assert_int_eq(nested->state, CALL_QUEUED);
    fake_answer(&fake, 1, 10);
    ck_assert_int_eq(nested->state, CALL_DISPATCHED);
    fake_expect(&fake, running, CALL_END_RESULT, EXECUTED_YES);
    pool_cancel(fake.pool, nested);
    expect_cancelled(nested, EXECUTED_MAYBE);
}
END_TEST

static void one_with_a_short_queue(struct pool_options *options)
{
    one(options);
    options->queue_limit = 1;
}

START_TEST(a_nested_call_goes_before_what_came_after_its_root_even_into_a_full_queue)
{
    begin(one_with_a_short_queue);
    struct call *root = run_slow();
    fake_pass(&fake, 1);
    struct call *later = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(later->state, CALL_QUEUED);
    struct call *nested = fake_make(&fake, fake.slow);
    nested->depth = 1;
    nested->root = call_ref(root);
    fake_send(&fake, nested);
    fake_expect(&fake, fake_submit(&fake, fake.slow), CALL_END_SATURATED, EXECUTED_NO);
    fake_answer(&fake, 0, 1000000);
    ck_assert_int_eq(nested->state, CALL_DISPATCHED);
    ck_assert_int_eq(later->state, CALL_QUEUED);
    fake_expect(&fake, root, CALL_END_RESULT, EXECUTED_YES);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, nested, CALL_END_RESULT, EXECUTED_YES);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, later, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_pool_that_drains_takes_nested_calls_alone)
{
    begin(two);
    struct call *parent = run_slow();
    pool_drain(fake.pool);
    struct call *nested = fake_make(&fake, fake.slow);
    nested->depth = 1;
    fake_send(&fake, nested);
    ck_assert_int_eq(nested->state, CALL_DISPATCHED);
    fake_expect(&fake, fake_submit(&fake, fake.slow), CALL_END_SHUTDOWN, EXECUTED_NO);
    pool_cancel(fake.pool, nested);
    expect_cancelled(nested, EXECUTED_MAYBE);
    pool_cancel(fake.pool, parent);
    expect_cancelled(parent, EXECUTED_MAYBE);
}
END_TEST

/* --- circles --- */

static void cancel_all(void)
{
    pool_stop(fake.pool, 0);
    if (other)
        pool_stop(other, 0);
    for (struct call *call = fake_posted(&fake); call; call = fake_posted(&fake))
        call_unref(&call);
}

START_TEST(a_call_into_its_own_pool_of_one_worker_is_hopeless)
{
    struct wait wait;
    begin(one);
    struct call *parent = run_slow();
    begin_to_wait(&wait, parent, fake.slow);
    ck_assert(deadlock_closes(wait.call));
    ck_assert(nested_end(fake.pool, &wait.nested));
    ck_assert(!deadlock_closes(wait.call));
    call_unref(&wait.call);
    cancel_all();
}
END_TEST

/* The only worker, of two slots, has four calls, which it runs two by two. */
static void run_batches(struct call *calls[4])
{
    uint64_t ids[4];
    given_up = 0;
    other = NULL;
    fake_init(&fake, one);
    fake_ready(&fake, 0, 2);
    const struct tool_spec spec = {.name = BYTES("two"), .schema = BYTES("{}"), .batch = 2};
    char fault[TOOL_FAULT_MAX];
    ck_assert(registry_announce(fake.registry, fake.pool, &spec, 1, fault));
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = fake_submit(&fake, registry_find(fake.registry, spec.name, NULL));
        ids[i] = calls[i]->inflight->id;
        if (i % 2)
            fake_join(&fake, i, ids + i - 1, 2);
    }
}

START_TEST(a_slot_that_calls_share_gives_hope)
{
    struct wait wait;
    struct call *calls[4];
    run_batches(calls);
    begin_to_wait(&wait, calls[0], fake.slow);
    ck_assert(!deadlock_closes(wait.call));
    drop(&wait);
    cancel_all();
}
END_TEST

START_TEST(a_batch_in_each_slot_that_waits_is_hopeless)
{
    struct wait first, second;
    struct call *calls[4];
    run_batches(calls);
    begin_to_wait(&first, calls[0], fake.slow);
    begin_to_wait(&second, calls[3], fake.slow);
    ck_assert(deadlock_closes(second.call));
    drop(&second);
    drop(&first);
    cancel_all();
}
END_TEST

START_TEST(a_free_worker_gives_hope)
{
    struct wait wait, second;
    begin(two);
    begin_to_wait(&wait, run_slow(), fake.slow);
    ck_assert(!deadlock_closes(wait.call));
    submit(&wait);
    begin_to_wait(&second, wait.call, fake.slow);
    ck_assert(deadlock_closes(second.call));
    drop(&second);
    cancel_all();
}
END_TEST

START_TEST(a_call_that_does_not_wait_gives_hope)
{
    struct wait wait;
    begin(two);
    struct call *parent = run_slow();
    run_slow();
    begin_to_wait(&wait, parent, fake.slow);
    ck_assert(!deadlock_closes(wait.call));
    submit(&wait);
    ck_assert_int_eq(wait.call->state, CALL_QUEUED);
    cancel_all();
}
END_TEST

START_TEST(a_pool_that_can_grow_gives_hope)
{
    struct wait wait;
    begin(growing);
    begin_to_wait(&wait, run_slow(), fake.slow);
    ck_assert(!deadlock_closes(wait.call));
    drop(&wait);
    cancel_all();
}
END_TEST

START_TEST(a_worker_that_starts_gives_hope)
{
    struct wait wait;
    begin(two);
    begin_to_wait(&wait, run_slow(), fake.slow);
    fake_die(&fake, fake.invokes[0].worker.seat == 0, 11, NULL);
    ck_assert(!deadlock_closes(wait.call));
    drop(&wait);
    cancel_all();
}
END_TEST

START_TEST(waiting_for_something_outside_gives_hope)
{
    struct wait outside, back;
    begin(one);
    add_pool();
    struct call *stranger = fake_make(&fake, other_tool);
    pool_submit(other, stranger);
    begin_to_wait(&outside, run_slow(), NULL);
    begin_to_wait(&back, stranger, fake.slow);
    ck_assert(!deadlock_closes(back.call));
    drop(&back);
    cancel_all();
}
END_TEST

START_TEST(waiting_for_a_call_that_runs_elsewhere_gives_hope)
{
    struct wait wait, late;
    begin(two);
    add_pool();
    struct call *second = run_slow();
    begin_to_wait(&wait, run_slow(), other_tool);
    submit(&wait);
    ck_assert_int_eq(wait.call->state, CALL_DISPATCHED);
    begin_to_wait(&late, second, fake.slow);
    ck_assert(!deadlock_closes(late.call));
    drop(&late);
    cancel_all();
}
END_TEST

START_TEST(a_circle_through_two_pools_is_hopeless)
{
    struct wait there, back;
    begin(one);
    add_pool();
    begin_to_wait(&there, run_slow(), other_tool);
    submit(&there);
    begin_to_wait(&back, there.call, fake.slow);
    ck_assert(deadlock_closes(back.call));
    drop(&back);
    cancel_all();
}
END_TEST

/* Two strangers, each in the place that the other's call wants. */
START_TEST(a_circle_of_calls_that_are_not_related_is_hopeless)
{
    struct wait there, back;
    begin(one);
    add_pool();
    struct call *here = run_slow();
    struct call *stranger = fake_make(&fake, other_tool);
    pool_submit(other, stranger);
    begin_to_wait(&there, here, other_tool);
    ck_assert(!deadlock_closes(there.call));
    submit(&there);
    begin_to_wait(&back, stranger, fake.slow);
    ck_assert(deadlock_closes(back.call));
    drop(&back);
    cancel_all();
}
END_TEST

START_TEST(one_hopeless_wait_among_several_is_hopeless)
{
    struct wait fine, own;
    begin(one);
    add_pool();
    struct call *parent = run_slow();
    begin_to_wait(&fine, parent, other_tool);
    submit(&fine);
    begin_to_wait(&own, parent, fake.slow);
    ck_assert(deadlock_closes(own.call));
    drop(&own);
    cancel_all();
}
END_TEST

/* A session whose calls have been on the first worker, and may go to no other. */
static struct session *bind(struct session_store **out_store, struct call *call)
{
    struct session_options options = session_defaults();
    struct session_wish wish = {.id = BYTES("s"), .affinity = AFFINITY_STRICT_QUEUE};
    struct session *session;
    *out_store = session_store_new(&options);
    session_store_add(*out_store, fake.pool, pool_end_session);
    ck_assert_int_eq(session_open(*out_store, &wish, &session), SESSION_MADE);
    call->session = session;
    return session;
}

START_TEST(a_call_that_may_go_to_its_parents_worker_alone_is_hopeless)
{
    struct wait wait;
    struct session_store *store;
    begin(two);
    struct call *parent = fake_make(&fake, fake.slow);
    const struct session *session = bind(&store, parent);
    fake_send(&fake, parent);
    begin_to_wait(&wait, parent, fake.slow);
    ck_assert_ptr_eq(wait.call->session, session);
    ck_assert(deadlock_closes(wait.call));
    drop(&wait);
    cancel_all();
    session_store_free(&store);
}
END_TEST

START_TEST(a_call_of_a_session_that_prefers_its_parents_worker_goes_to_another)
{
    struct wait wait;
    struct session_store *store;
    begin(two);
    fake_measure(&fake, fake.slow, 10);
    struct call *parent = fake_make(&fake, fake.slow);
    bind(&store, parent);
    parent->affinity = AFFINITY_HINT;
    fake_send(&fake, parent);
    begin_to_wait(&wait, parent, fake.slow);
    ck_assert(!deadlock_closes(wait.call));
    submit(&wait);
    ck_assert_int_eq(wait.call->state, CALL_DISPATCHED);
    ck_assert_str_ne(wait.call->outcome.worker, parent->outcome.worker);
    cancel_all();
    session_store_free(&store);
}
END_TEST

static TCase *ends(void)
{
    TCase *tests = tcase_create("ends");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, what_a_call_waits_for_is_given_up_when_it_ends);
    tcase_add_test(tests, what_has_ended_is_not_given_up);
    tcase_add_test(tests, it_is_given_up_when_the_worker_of_its_parent_dies);
    tcase_add_test(tests, it_is_given_up_when_its_parent_is_run_again);
    tcase_add_test(tests, one_of_several_can_be_given_up_by_its_number);
    tcase_add_test(tests, it_is_given_up_when_its_time_is_over);
    tcase_add_test(tests, a_call_that_has_ended_cannot_wait);
    tcase_add_test(tests, what_a_call_waits_for_at_once_is_limited);
    tcase_add_test(tests, it_has_the_time_that_its_parent_has_left);
    tcase_add_test(tests, nothing_is_sent_ahead_to_a_worker_whose_call_waits);
    tcase_add_test(tests, a_nested_call_is_not_sent_ahead);
    tcase_add_test(tests,
                   a_nested_call_goes_before_what_came_after_its_root_even_into_a_full_queue);
    tcase_add_test(tests, a_pool_that_drains_takes_nested_calls_alone);
    return tests;
}

static void add_circles(TCase *tests)
{
    tcase_add_test(tests, a_call_into_its_own_pool_of_one_worker_is_hopeless);
    tcase_add_test(tests, a_slot_that_calls_share_gives_hope);
    tcase_add_test(tests, a_batch_in_each_slot_that_waits_is_hopeless);
    tcase_add_test(tests, a_free_worker_gives_hope);
    tcase_add_test(tests, a_call_that_does_not_wait_gives_hope);
    tcase_add_test(tests, a_pool_that_can_grow_gives_hope);
    tcase_add_test(tests, a_worker_that_starts_gives_hope);
    tcase_add_test(tests, waiting_for_something_outside_gives_hope);
    tcase_add_test(tests, waiting_for_a_call_that_runs_elsewhere_gives_hope);
    tcase_add_test(tests, a_circle_through_two_pools_is_hopeless);
    tcase_add_test(tests, a_circle_of_calls_that_are_not_related_is_hopeless);
    tcase_add_test(tests, one_hopeless_wait_among_several_is_hopeless);
    tcase_add_test(tests, a_call_that_may_go_to_its_parents_worker_alone_is_hopeless);
    tcase_add_test(tests, a_call_of_a_session_that_prefers_its_parents_worker_goes_to_another);
}

int main(void)
{
    TCase *tests = ends();
    add_circles(tests);
    return run_case(tests, "nested");
}
