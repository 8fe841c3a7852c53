/* Calls that are run again, because their worker died with them. */
#include "fake.h"

#include "../base/run.h"

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void with_a_queue_of_one(struct pool_options *options)
{
    fake_alone(options);
    options->queue_limit = 1;
}

/* Snakepit 68. */
START_TEST(an_idempotent_call_is_run_again_after_the_backoff)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_crash_newest(&fake);
    fake_pass(&fake, 49999);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_pass(&fake, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake_look(&fake).retries, 1);
    fake_answer(&fake, 1, 10);
    ck_assert_uint_eq(call->outcome.attempts, 2);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Snakepit 68. */
START_TEST(a_call_is_retried_max_retries_times_and_then_lost)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_crash_newest(&fake);
    fake_pass(&fake, 50000);
    fake_crash_newest(&fake);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

/* Snakepit 66. */
START_TEST(a_call_that_is_not_idempotent_is_not_run_again)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_crash_newest(&fake);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake_look(&fake).retries, 0);
}
END_TEST

START_TEST(going_elsewhere_before_it_started_is_no_retry)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_die(&fake, 0, 9, NULL);
    fake_ready(&fake, 1, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_crash_newest(&fake);
    fake_pass(&fake, 50000);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_uint_eq(call->outcome.attempts, 3);
    ck_assert_uint_eq(fake_look(&fake).requeued, 1);
    ck_assert_uint_eq(fake_look(&fake).retries, 1);
}
END_TEST

/* Snakepit 68. */
START_TEST(a_retry_does_not_wait_beyond_the_deadline)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_make(&fake, fake.tool);
    call->idempotent = true;
    call->timeout_us = 30000;
    fake_send(&fake, call);
    fake_crash_newest(&fake);
    fake_pass(&fake, 30000);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_leaving_pool_retries_nothing)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    pool_drain(fake.pool);
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_call_cancelled_while_it_waits_for_its_retry_may_have_run)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_crash_newest(&fake);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 50000);
    ck_assert_uint_eq(fake.invoke_count, 1);
}
END_TEST

START_TEST(a_call_that_waits_for_its_retry_is_counted)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_crash_newest(&fake);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 1);
    ck_assert_uint_eq(fake_look(&fake).retrying, 1);
    fake_pass(&fake, 50000);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    ck_assert_uint_eq(fake_look(&fake).retrying, 0);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_call_that_waits_for_its_retry_takes_room_in_the_queue)
{
    fake_begin(&fake, with_a_queue_of_one);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_crash(&fake, 0);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_SATURATED, EXECUTED_NO);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_QUEUED);
}
END_TEST

START_TEST(a_call_that_went_elsewhere_unstarted_has_not_run)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_die(&fake, 0, 9, NULL);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_NO);
}
END_TEST

START_TEST(an_idempotent_call_is_run_again_when_its_worker_is_killed_from_outside)
{
    fake_begin(&fake, fake_alone);
    struct call *call = fake_submit_idempotent(&fake, "1");
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_ready(&fake, 1, 1);
    fake_pass(&fake, 50000);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("retry");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, an_idempotent_call_is_run_again_after_the_backoff);
    tcase_add_test(tests, a_call_is_retried_max_retries_times_and_then_lost);
    tcase_add_test(tests, a_call_that_is_not_idempotent_is_not_run_again);
    tcase_add_test(tests, going_elsewhere_before_it_started_is_no_retry);
    tcase_add_test(tests, a_retry_does_not_wait_beyond_the_deadline);
    tcase_add_test(tests, a_leaving_pool_retries_nothing);
    tcase_add_test(tests, a_call_cancelled_while_it_waits_for_its_retry_may_have_run);
    tcase_add_test(tests, a_call_that_waits_for_its_retry_is_counted);
    tcase_add_test(tests, a_call_that_waits_for_its_retry_takes_room_in_the_queue);
    tcase_add_test(tests, a_call_that_went_elsewhere_unstarted_has_not_run);
    tcase_add_test(tests, an_idempotent_call_is_run_again_when_its_worker_is_killed_from_outside);
    return run_case(tests, "retry");
}
