/* Workers that die early, one after another: the back-off, and pools that fail. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

/* How long after so many early deaths in a row the next process is started. */
static uint64_t delay_after(unsigned deaths)
{
    fake_init(&fake, fake_alone);
    uint64_t begun_us = fake_now_us;
    for (unsigned i = 0; i < deaths; i++) {
        while (fake.start_count == i)
            fake_pass(&fake, 1000);
        begun_us = fake_now_us;
        fake_die(&fake, i, 9, NULL);
    }
    while (fake.start_count == deaths)
        fake_pass(&fake, 1000);
    return fake_now_us - begun_us;
}

START_TEST(a_worker_that_dies_at_once_is_replaced_later_each_time)
{
    static const uint64_t delays[] = {0, 50000, 100000, 200000};
    ck_assert_uint_eq(delay_after((unsigned)_i + 1), delays[_i]);
}
END_TEST

START_TEST(ready_workers_killed_from_outside_are_replaced_at_once_each_time)
{
    fake_begin(&fake, fake_alone);
    for (unsigned i = 0; i < 10; i++) {
        fake_kill(&fake, i, 0);
        ck_assert_uint_eq(fake.start_count, i + 2);
        fake_ready(&fake, i + 1, 1);
    }
}
END_TEST

/* Snakepit 69. */
START_TEST(workers_that_crash_once_they_are_ready_are_replaced_later_each_time)
{
    fake_begin(&fake, fake_alone);
    fake_die(&fake, 0, SIGSEGV, NULL);
    fake_ready(&fake, 1, 1);
    fake_die(&fake, 1, SIGSEGV, NULL);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(workers_killed_from_outside_before_they_are_ready_are_replaced_later_each_time)
{
    fake_init(&fake, fake_alone);
    fake_kill(&fake, 0, 0);
    fake_kill(&fake, 1, 0);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

/* So many workers in a row die of their first call, each with arguments of its own; what comes
 * later is seen by the caller. */
static void flap_with_calls(unsigned times, void (*adjust)(struct pool_options *options))
{
    static char args[16][16];
    fake_begin(&fake, adjust);
    for (unsigned i = 0; i < times; i++) {
        while (fake_look(&fake).workers[WORKER_STARTING] + fake_look(&fake).workers[WORKER_READY] ==
               0)
            fake_pass(&fake, 10000);
        if (i > 0)
            fake_ready(&fake, i, 1);
        snprintf(args[i], sizeof args[i], "%u", i);
        struct call *call = fake_submit_idempotent(&fake, args[i]);
        call->idempotent = false;
        fake_crash(&fake, i);
        fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    }
}

/* Snakepit 69. */
START_TEST(workers_that_die_of_their_first_call_are_replaced_later_each_time)
{
    flap_with_calls(2, fake_alone);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_pass(&fake, 49999);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(a_pool_fails_whose_workers_all_die_of_their_first_call)
{
    flap_with_calls(3, fake_alone);
    ck_assert_int_eq(fake_look(&fake).state, POOL_FAILED);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_NO_WORKERS, EXECUTED_NO);
}
END_TEST

static void with_patience_for_poison(struct pool_options *options)
{
    fake_alone(options);
    options->poison_after = 1000;
}

START_TEST(a_pool_whose_workers_die_of_their_first_call_fails_however_many_a_request_may_kill)
{
    flap_with_calls(8 + (unsigned)_i, with_patience_for_poison);
    ck_assert_int_eq(fake_look(&fake).state, _i ? POOL_FAILED : POOL_RUNNING);
}
END_TEST

/* So many workers in a row become ready and die before they have had a call. */
static void flap(unsigned times)
{
    fake_begin(&fake, fake_alone);
    for (unsigned i = 0; i < times; i++) {
        while (fake_look(&fake).workers[WORKER_STARTING] + fake_look(&fake).workers[WORKER_READY] ==
               0)
            fake_pass(&fake, 10000);
        if (i > 0)
            fake_ready(&fake, i, 1);
        fake_die(&fake, i, SIGSEGV, NULL);
    }
}

START_TEST(a_call_waits_for_the_third_worker_when_two_have_died_at_once)
{
    flap(2);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_QUEUED);
}
END_TEST

/* Snakepit 2. */
START_TEST(calls_are_refused_at_once_when_workers_die_as_soon_as_they_are_ready)
{
    flap(9);
    struct pool_view view = fake_look(&fake);
    ck_assert_int_eq(view.state, POOL_FAILED);
    ck_assert_str_eq(view.reason, "workers end before they have answered anything (segfault 11)");
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(call->outcome.retry_after_s, 5);
    fake_expect(&fake, call, CALL_END_NO_WORKERS, EXECUTED_NO);
}
END_TEST

START_TEST(calls_that_wait_are_refused_when_the_third_worker_has_died_at_once)
{
    flap(2);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 50000);
    fake_die(&fake, 2, SIGSEGV, NULL);
    ck_assert_uint_eq(call->outcome.retry_after_s, 1);
    fake_expect(&fake, call, CALL_END_NO_WORKERS, EXECUTED_NO);
    ck_assert_uint_eq(fake.failed_events, 1);
}
END_TEST

START_TEST(a_pool_whose_workers_died_at_once_recovers_with_the_next_one)
{
    flap(4);
    fake_pass(&fake, 5000000);
    fake_ready(&fake, 4, 1);
    ck_assert_str_eq(fake_look(&fake).reason, "");
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
}
END_TEST

START_TEST(workers_that_die_at_once_do_not_fail_a_pool_that_has_another)
{
    fake_init(&fake, NULL);
    fake_ready(&fake, 0, 1);
    for (unsigned i = 1; i < 5; i++) {
        while (fake.start_count == i)
            fake_pass(&fake, 1000);
        fake_die(&fake, i, SIGSEGV, NULL);
    }
    ck_assert_int_ne(fake_look(&fake).state, POOL_FAILED);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(the_backoff_is_bounded)
{
    ck_assert_uint_eq(delay_after(20), 5000000);
}
END_TEST

/* Snakepit 69. */
START_TEST(an_answered_call_ends_the_backoff)
{
    delay_after(5);
    fake_ready(&fake, 5, 1);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_die(&fake, 5, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 7);
    fake_die(&fake, 6, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 8);
}
END_TEST

START_TEST(an_idle_worker_that_lived_for_long_did_not_die_early)
{
    delay_after(5);
    fake_ready(&fake, 5, 1);
    fake_pass(&fake, 5000000);
    fake_die(&fake, 5, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 7);
}
END_TEST

START_TEST(a_pool_with_a_worker_does_not_fail_because_another_cannot_start)
{
    fake_begin(&fake, fake_alone);
    pool_fail(fake.pool, "no such module");
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(a_failed_pool_recovers_with_its_first_worker)
{
    fake_init(&fake, fake_alone);
    pool_fail(fake.pool, "no such module");
    ck_assert_int_eq(fake_look(&fake).state, POOL_FAILED);
    fake_ready(&fake, 0, 1);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_str_eq(fake_look(&fake).reason, "");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("backoff");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_loop_test(tests, a_worker_that_dies_at_once_is_replaced_later_each_time, 0, 4);
    tcase_add_test(tests, ready_workers_killed_from_outside_are_replaced_at_once_each_time);
    tcase_add_test(tests, workers_that_crash_once_they_are_ready_are_replaced_later_each_time);
    tcase_add_test(tests,
                   workers_killed_from_outside_before_they_are_ready_are_replaced_later_each_time);
    tcase_add_test(tests, workers_that_die_of_their_first_call_are_replaced_later_each_time);
    tcase_add_test(tests, a_pool_fails_whose_workers_all_die_of_their_first_call);
    tcase_add_loop_test(
        tests, a_pool_whose_workers_die_of_their_first_call_fails_however_many_a_request_may_kill,
        0, 2);
    tcase_add_test(tests, a_call_waits_for_the_third_worker_when_two_have_died_at_once);
    tcase_add_test(tests, calls_are_refused_at_once_when_workers_die_as_soon_as_they_are_ready);
    tcase_add_test(tests, calls_that_wait_are_refused_when_the_third_worker_has_died_at_once);
    tcase_add_test(tests, a_pool_whose_workers_died_at_once_recovers_with_the_next_one);
    tcase_add_test(tests, workers_that_die_at_once_do_not_fail_a_pool_that_has_another);
    tcase_add_test(tests, the_backoff_is_bounded);
    tcase_add_test(tests, an_answered_call_ends_the_backoff);
    tcase_add_test(tests, an_idle_worker_that_lived_for_long_did_not_die_early);
    tcase_add_test(tests, a_pool_with_a_worker_does_not_fail_because_another_cannot_start);
    tcase_add_test(tests, a_failed_pool_recovers_with_its_first_worker);
    return run_case(tests, "backoff");
}
