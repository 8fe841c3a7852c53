/* How many workers there are, and which ones go. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void one(struct pool_options *options)
{
    fake_set_size(options, 1, 1);
}

static void eight(struct pool_options *options)
{
    fake_set_size(options, 8, 8);
}

static void up_to_eight(struct pool_options *options)
{
    fake_set_size(options, 1, 8);
}

static void from_nothing(struct pool_options *options)
{
    fake_set_size(options, 0, 4);
}

static void with_two_spare(struct pool_options *options)
{
    fake_set_size(options, 1, 8);
    options->spare = 2;
}

/* --- scaling --- */

START_TEST(workers_double_while_calls_wait_too_long)
{
    fake_begin(&fake, up_to_eight);
    for (unsigned i = 0; i < 100; i++)
        fake_submit(&fake, fake.slow);
    fake_pass(&fake, 100001);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_pass(&fake, 25000);
    ck_assert_uint_eq(fake.start_count, 4);
    fake_pass(&fake, 25000);
    ck_assert_uint_eq(fake.start_count, 8);
    fake_pass(&fake, 25000);
    ck_assert_uint_eq(fake.start_count, 8);
}
END_TEST

/* --- stuck --- */

START_TEST(a_worker_that_stays_stalled_without_calls_is_killed_and_replaced)
{
    fake_begin(&fake, one);
    pool_worker_stalled(fake.pool, fake.starts[0], true);
    struct call *call = fake_submit(&fake, fake.slow);
    fake_pass(&fake, 5000000);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.starts[0].number);
    ck_assert_uint_eq(fake.stop_grace_us, 0);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_attach(&fake);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
}
END_TEST

START_TEST(a_stalled_worker_with_a_call_is_left_alone_and_has_time_after_it)
{
    fake_begin(&fake, one);
    struct call *call = fake_submit(&fake, fake.slow);
    pool_worker_stalled(fake.pool, fake.starts[0], true);
    fake_pass(&fake, 60000000);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.stop_count, 0);
    pool_worker_stalled(fake.pool, fake.starts[0], false);
    fake_pass(&fake, 60000000);
    ck_assert_uint_eq(fake.stop_count, 0);
}
END_TEST

START_TEST(a_short_wait_needs_no_more_workers)
{
    fake_begin(&fake, up_to_eight);
    fake_submit(&fake, fake.slow);
    fake_submit(&fake, fake.slow);
    fake_pass(&fake, 99000);
    ck_assert_uint_eq(fake.start_count, 1);
}
END_TEST

START_TEST(idle_workers_go_after_their_time_but_not_below_min)
{
    fake_begin(&fake, up_to_eight);
    ck_assert_ptr_null(pool_resize(fake.pool, 4, 8, 0));
    fake_attach(&fake);
    ck_assert_ptr_null(pool_resize(fake.pool, 2, 8, 0));
    fake_pass(&fake, 29000000);
    ck_assert_uint_eq(fake_look(&fake).workers_wanted, 4);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake_look(&fake).workers_wanted, 2);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 2);
    fake_pass(&fake, 60000000);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 2);
    ck_assert_uint_eq(fake_look(&fake).recycled, 0);
}
END_TEST

START_TEST(a_worker_that_is_used_now_and_then_stays)
{
    fake_begin(&fake, up_to_eight);
    ck_assert_ptr_null(pool_resize(fake.pool, 2, 8, 0));
    fake_attach(&fake);
    ck_assert_ptr_null(pool_resize(fake.pool, 0, 8, 0));
    for (unsigned i = 0; i < 40; i++) {
        fake_run_one(&fake);
        fake_pass(&fake, 1000000);
    }
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 1);
}
END_TEST

START_TEST(spare_workers_are_kept)
{
    fake_begin(&fake, with_two_spare);
    fake_pass(&fake, 1000000);
    fake_attach(&fake);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 2);
    fake_submit(&fake, fake.slow);
    fake_pass(&fake, 1000000);
    fake_attach(&fake);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 3);
    fake_pass(&fake, 60000000);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 3);
}
END_TEST

START_TEST(a_pool_is_made_larger_while_it_runs)
{
    fake_begin(&fake, one);
    ck_assert_ptr_null(pool_resize(fake.pool, 3, 3, 0));
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(a_pool_is_made_smaller_though_all_are_busy)
{
    struct call *calls[8];
    fake_begin(&fake, eight);
    for (unsigned i = 0; i < 8; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    ck_assert_ptr_null(pool_resize(fake.pool, 1, 2, 0));
    ck_assert_uint_eq(fake_count(&fake, WORKER_DRAINING), 6);
    for (unsigned i = 0; i < 8; i++) {
        fake_answer(&fake, i, 10);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
    ck_assert_uint_eq(fake.stop_count, 6);
}
END_TEST

START_TEST(who_is_not_ready_yet_goes_first)
{
    fake_init(&fake, NULL);
    fake_ready(&fake, 0, 1);
    ck_assert_ptr_null(pool_resize(fake.pool, 1, 1, 0));
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.starts[1].number);
    ck_assert_uint_eq(fake.started_events, 1);
}
END_TEST

START_TEST(a_size_that_is_not_given_stays_as_it_is)
{
    fake_begin(&fake, one);
    ck_assert_ptr_null(pool_resize(fake.pool, POOL_KEEP, 5, POOL_KEEP));
    ck_assert_ptr_null(pool_resize(fake.pool, 2, POOL_KEEP, POOL_KEEP));
    ck_assert_ptr_null(pool_resize(fake.pool, POOL_KEEP, POOL_KEEP, 3));
    struct pool_view view = fake_look(&fake);
    ck_assert_uint_eq(view.min_workers, 2);
    ck_assert_uint_eq(view.max_workers, 5);
    ck_assert_uint_eq(view.spare, 3);
    ck_assert_ptr_nonnull(pool_resize(fake.pool, POOL_KEEP, 1, POOL_KEEP));
}
END_TEST

START_TEST(wrong_sizes_are_refused_with_a_reason)
{
    fake_begin(&fake, one);
    ck_assert_ptr_nonnull(pool_resize(fake.pool, 0, 0, 0));
    ck_assert_ptr_nonnull(pool_resize(fake.pool, 0, POOL_MAX_WORKERS + 1, 0));
    ck_assert_ptr_nonnull(pool_resize(fake.pool, 3, 2, 0));
    ck_assert_ptr_nonnull(pool_resize(fake.pool, 1, 2, 3));
    ck_assert_uint_eq(fake_look(&fake).max_workers, 1);
}
END_TEST

/* A pool that has started, has said what tools it has, and was given up again. */
static void begin_with_none(void)
{
    fake_begin(&fake, from_nothing);
    fake_attach(&fake);
    fake_pass(&fake, 30000000);
    ck_assert_uint_eq(fake_look(&fake).workers_wanted, 0);
    fake_die(&fake, 0, 0, NULL);
}

START_TEST(a_pool_of_none_starts_one_to_learn_its_tools)
{
    fake_begin(&fake, from_nothing);
    ck_assert_uint_eq(fake.start_count, 1);
    ck_assert_uint_eq(fake.started_events, 1);
}
END_TEST

START_TEST(a_pool_of_none_waits_for_its_first_worker_however_long_it_takes)
{
    fake_init(&fake, from_nothing);
    fake_pass(&fake, UINT64_C(600000000));
    ck_assert_uint_eq(fake_count(&fake, WORKER_STARTING), 1);
    fake_attach(&fake);
    ck_assert_uint_eq(fake.started_events, 1);
}
END_TEST

START_TEST(a_pool_of_none_holds_the_first_call_while_a_worker_starts)
{
    begin_with_none();
    ck_assert_uint_eq(fake.start_count, 1);
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(fake.alarm_us, fake_now_us);
    fake_pass(&fake, 0);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_attach(&fake);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(a_pool_of_none_goes_back_to_none)
{
    fake_begin(&fake, from_nothing);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 0);
    fake_attach(&fake);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_pass(&fake, 30000000);
    ck_assert_uint_eq(fake_look(&fake).workers_wanted, 0);
    ck_assert_uint_eq(fake.stop_count, 1);
}
END_TEST

START_TEST(a_pool_of_none_does_not_try_for_ever_to_start_a_worker_nobody_waits_for)
{
    begin_with_none();
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 0);
    pool_cancel(fake.pool, call);
    fake_pass(&fake, 30000000);
    ck_assert_uint_eq(fake_look(&fake).workers_wanted, 0);
    ck_assert_uint_eq(fake_count(&fake, WORKER_STARTING), 0);
}
END_TEST

START_TEST(a_failed_pool_of_none_keeps_trying)
{
    fake_begin(&fake, from_nothing);
    pool_fail(fake.pool, "no such module");
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.start_count, 1);
    fake_attach(&fake);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
}
END_TEST

/* --- leaving --- */

START_TEST(a_draining_pool_still_gets_workers_for_the_calls_it_has)
{
    fake_begin(&fake, from_nothing);
    struct call *call = fake_submit(&fake, fake.tool);
    pool_drain(fake.pool);
    fake_pass(&fake, 0);
    fake_attach(&fake);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(stopping_ends_a_call_that_waits_for_its_retry)
{
    fake_begin(&fake, one);
    struct call *call = fake_make(&fake, fake.tool);
    call->idempotent = true;
    fake_send(&fake, call);
    fake_crash(&fake, 0);
    pool_stop(fake.pool, 1000);
    fake_expect(&fake, call, CALL_END_SHUTDOWN, EXECUTED_MAYBE);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.invoke_count, 1);
}
END_TEST

/* Snakepit 24. */
START_TEST(a_worker_that_starts_when_the_pool_stops_is_turned_away)
{
    const struct worker_hello hello = {.pid = 1, .slots = 1};
    fake_init(&fake, one);
    pool_stop(fake.pool, 1000);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert(!pool_worker_ready(fake.pool, fake.starts[0], &hello));
}
END_TEST

START_TEST(stopping_in_the_middle_of_a_recycle_tells_old_and_new)
{
    fake_begin(&fake, one);
    fake_recycle(&fake, "default-1");
    pool_stop(fake.pool, 1000);
    ck_assert_uint_eq(fake.stop_count, 2);
    fake_left(&fake, 0);
    fake_left(&fake, 1);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(stopping_a_failed_pool_tells_its_processes)
{
    fake_init(&fake, one);
    pool_fail(fake.pool, "no such module");
    pool_stop(fake.pool, 1000);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_int_eq(fake_look(&fake).state, POOL_LEAVING);
}
END_TEST

START_TEST(nothing_is_started_once_the_pool_has_stopped)
{
    fake_begin(&fake, one);
    pool_stop(fake.pool, 1000);
    fake_left(&fake, 0);
    ck_assert_ptr_null(pool_resize(fake.pool, 4, 4, 0));
    pool_reload(fake.pool);
    fake_pass(&fake, 10000000);
    ck_assert_uint_eq(fake.start_count, 1);
}
END_TEST

static void add_leaving(TCase *tests)
{
    tcase_add_test(tests, a_draining_pool_still_gets_workers_for_the_calls_it_has);
    tcase_add_test(tests, stopping_ends_a_call_that_waits_for_its_retry);
    tcase_add_test(tests, a_worker_that_starts_when_the_pool_stops_is_turned_away);
    tcase_add_test(tests, stopping_in_the_middle_of_a_recycle_tells_old_and_new);
    tcase_add_test(tests, stopping_a_failed_pool_tells_its_processes);
    tcase_add_test(tests, nothing_is_started_once_the_pool_has_stopped);
}

int main(void)
{
    TCase *tests = tcase_create("staff");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, workers_double_while_calls_wait_too_long);
    tcase_add_test(tests, a_short_wait_needs_no_more_workers);
    tcase_add_test(tests, a_worker_that_stays_stalled_without_calls_is_killed_and_replaced);
    tcase_add_test(tests, a_stalled_worker_with_a_call_is_left_alone_and_has_time_after_it);
    tcase_add_test(tests, idle_workers_go_after_their_time_but_not_below_min);
    tcase_add_test(tests, a_worker_that_is_used_now_and_then_stays);
    tcase_add_test(tests, spare_workers_are_kept);
    tcase_add_test(tests, a_pool_is_made_larger_while_it_runs);
    tcase_add_test(tests, a_pool_is_made_smaller_though_all_are_busy);
    tcase_add_test(tests, who_is_not_ready_yet_goes_first);
    tcase_add_test(tests, a_size_that_is_not_given_stays_as_it_is);
    tcase_add_test(tests, wrong_sizes_are_refused_with_a_reason);
    tcase_add_test(tests, a_pool_of_none_waits_for_its_first_worker_however_long_it_takes);
    tcase_add_test(tests, a_pool_of_none_holds_the_first_call_while_a_worker_starts);
    tcase_add_test(tests, a_pool_of_none_starts_one_to_learn_its_tools);
    tcase_add_test(tests, a_pool_of_none_goes_back_to_none);
    tcase_add_test(tests, a_pool_of_none_does_not_try_for_ever_to_start_a_worker_nobody_waits_for);
    tcase_add_test(tests, a_failed_pool_of_none_keeps_trying);
    add_leaving(tests);
    return run_case(tests, "staff");
}
