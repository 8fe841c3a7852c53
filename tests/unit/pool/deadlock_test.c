/* Waits that have no hope: circles of calls that keep the workers that they wait for. */
#include "pool/deadlock.h"

#include "../base/run.h"
#include "waits.h"

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

int main(void)
{
    TCase *tests = tcase_create("deadlock");
    tcase_add_checked_fixture(tests, NULL, tear_down);
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
    return run_case(tests, "deadlock");
}
