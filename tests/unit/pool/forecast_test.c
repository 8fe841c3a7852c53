/* What the measured time of a tool says of calls that have little: an idle pool, one worker. */
#include "fake.h"

#include "../base/run.h"

static struct fake fake;

static void alone(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->ahead_budget_us = 0;
}

/* The tool takes 5 s, as far as is known. */
static void set_up(void)
{
    fake_init(&fake, alone);
    fake_attach(&fake);
    fake_measure(&fake, fake.slow, 5000000);
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

static struct call *submit_with(uint64_t timeout_us)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->timeout_us = timeout_us;
    return fake_send(&fake, call);
}

static void expect_refused(uint64_t timeout_us)
{
    struct call *call = submit_with(timeout_us);
    ck_assert_uint_eq(call->outcome.retry_after_s, 1);
    fake_expect(&fake, call, CALL_END_UNREACHABLE, EXECUTED_NO);
}

/* A call with so much time is tried, and takes that long. */
static void expect_tried(uint64_t timeout_us, uint64_t run_us)
{
    struct call *call = submit_with(timeout_us);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, fake.invoke_count - 1, run_us);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

START_TEST(a_tool_that_takes_longer_than_there_is_time_is_not_run)
{
    expect_refused(4999999);
    expect_tried(5000000, 5000000);
}
END_TEST

/* What a spoiled journal says, or a worker that has lost its wits. */
START_TEST(a_time_that_a_worker_cannot_have_taken_refuses_nothing)
{
    for (unsigned bit = 62; bit < 64; bit++) {
        struct call *call = fake_submit(&fake, fake.tool);
        fake_now_us += 1000;
        fake_claim(&fake, fake.invoke_count - 1, UINT64_C(1) << bit);
        ck_assert_uint_eq(call->outcome.run_us, 1000);
        fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    }
    ck_assert_uint_eq(fake.tool->run_ewma_us, 1000);
    ck_assert_uint_eq(fake.tool->run_median_us, 1000);
}
END_TEST

START_TEST(a_tool_that_was_never_measured_is_run)
{
    struct call *call = fake_make(&fake, fake.tool);
    call->timeout_us = 1;
    ck_assert_int_eq(fake_send(&fake, call)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(after_as_long_as_it_takes_one_call_tries_whether_that_still_holds)
{
    fake_pass(&fake, 4999999);
    expect_refused(100000);
    fake_pass(&fake, 1);
    struct call *call = submit_with(100000);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    expect_refused(100000);
    fake_pass(&fake, 100000);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
    fake_pass(&fake, 4999999);
    expect_refused(100000);
}
END_TEST

START_TEST(a_call_that_was_fast_lets_others_through)
{
    fake_pass(&fake, 5000000);
    expect_tried(100000, 1000);
    expect_tried(100000, 1000);
}
END_TEST

START_TEST(a_tool_that_is_fast_with_some_arguments_is_run)
{
    expect_tried(6000000, 1000);
    for (unsigned i = 0; i < 50; i++)
        expect_tried(6000000, 5000000);
    expect_tried(100000, 5000);
}
END_TEST

START_TEST(calls_that_are_cut_off_show_that_it_is_slow_again)
{
    expect_tried(6000000, 1000);
    for (unsigned i = 0; i < 100; i++) {
        struct call *call = submit_with(100000);
        fake_pass(&fake, 100000);
        fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
        fake_answer(&fake, fake.invoke_count - 1, 100000);
    }
    expect_refused(99999);
}
END_TEST

START_TEST(a_stream_may_be_cut_short)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->timeout_us = 100000;
    call->window = 1000;
    ck_assert_int_eq(fake_send(&fake, call)->state, CALL_DISPATCHED);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("forecast");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_tool_that_takes_longer_than_there_is_time_is_not_run);
    tcase_add_test(tests, a_time_that_a_worker_cannot_have_taken_refuses_nothing);
    tcase_add_test(tests, a_tool_that_was_never_measured_is_run);
    tcase_add_test(tests, after_as_long_as_it_takes_one_call_tries_whether_that_still_holds);
    tcase_add_test(tests, a_call_that_was_fast_lets_others_through);
    tcase_add_test(tests, a_tool_that_is_fast_with_some_arguments_is_run);
    tcase_add_test(tests, calls_that_are_cut_off_show_that_it_is_slow_again);
    tcase_add_test(tests, a_stream_may_be_cut_short);
    return run_case(tests, "forecast");
}
