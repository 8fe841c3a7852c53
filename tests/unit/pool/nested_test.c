/* What running calls wait for, and its end. */
#include "waits.h"

#include "../base/run.h"

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

int main(void)
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
    return run_case(tests, "nested");
}
