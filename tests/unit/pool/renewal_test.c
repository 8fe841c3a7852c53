/* Workers that are replaced. */
#include "fake.h"

#include "../base/run.h"
#include "base/log.h"

#include <stdio.h>

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

static void three_calls(struct pool_options *options)
{
    one(options);
    options->worker_max_calls = 3;
}

static void a_minute(struct pool_options *options)
{
    one(options);
    options->worker_max_age_us = 60000000;
}

static void a_minute_with_jitter(struct pool_options *options)
{
    a_minute(options);
    options->recycle_jitter = 10;
}

static void little_memory(struct pool_options *options)
{
    one(options);
    options->worker_max_resident = 1000;
}

/* Snakepit 35. */
START_TEST(a_replacement_is_ready_before_the_old_one_drains)
{
    fake_begin(&fake, one);
    fake_recycle(&fake, "default-1");
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 1);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_attach(&fake);
    ck_assert_uint_eq(fake_count(&fake, WORKER_DRAINING), 1);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.starts[0].number);
}
END_TEST

START_TEST(a_worker_that_wishes_to_go_is_replaced_first)
{
    fake_begin(&fake, one);
    pool_worker_wishes(fake.pool, fake.starts[0]);
    pool_worker_wishes(fake.pool, fake.starts[0]);
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_attach(&fake);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.starts[0].number);
    pool_worker_wishes(fake.pool, (struct worker_ref){.seat = 7, .number = 99});
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(the_old_one_takes_calls_until_its_replacement_is_ready)
{
    fake_begin(&fake, one);
    fake_recycle(&fake, "default-1");
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(fake.invokes[0].worker.number, fake.starts[0].number);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_draining_worker_finishes_its_call_before_it_is_told_to_leave)
{
    fake_begin(&fake, one);
    struct call *call = fake_submit(&fake, fake.slow);
    fake_recycle(&fake, "default-1");
    fake_attach(&fake);
    ck_assert_uint_eq(fake.stop_count, 0);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake.invokes[1].worker.number, fake.starts[1].number);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake.stop_count, 1);
    fake_left(&fake, 0);
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake_look(&fake).recycled, 1);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
}
END_TEST

START_TEST(recycling_twice_starts_one_replacement)
{
    fake_begin(&fake, one);
    fake_recycle(&fake, "default-1");
    fake_recycle(&fake, "default-1");
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

/* Snakepit 33. */
START_TEST(several_recycles_do_not_stack)
{
    static const char *const ids[] = {"default-1", "default-2", "default-3", "default-4",
                                      "default-5", "default-6", "default-7", "default-8"};
    fake_begin(&fake, eight);
    for (unsigned i = 0; i < 8; i++)
        fake_recycle(&fake, ids[i]);
    ck_assert_uint_eq(fake.start_count, 8 + 3);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 8);
}
END_TEST

START_TEST(nobody_is_recycled_who_is_not_there)
{
    fake_begin(&fake, one);
    ck_assert(!pool_recycle(fake.pool, BYTES("default-9")));
}
END_TEST

START_TEST(a_replacement_that_dies_leaves_the_old_one_at_work)
{
    fake_begin(&fake, one);
    fake_recycle(&fake, "default-1");
    fake_die(&fake, 1, 9, NULL);
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 1);
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(a_worker_is_replaced_after_so_many_calls)
{
    fake_begin(&fake, three_calls);
    for (unsigned i = 0; i < 2; i++)
        fake_run_one(&fake);
    ck_assert_uint_eq(fake.start_count, 1);
    fake_run_one(&fake);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(a_worker_is_replaced_at_its_age)
{
    fake_begin(&fake, a_minute);
    for (unsigned i = 0; i < 59; i++)
        fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.start_count, 1);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(jitter_takes_up_to_its_percentage_off)
{
    unsigned seconds = 0;
    fake_begin(&fake, a_minute_with_jitter);
    for (; fake.start_count == 1; seconds++)
        fake_pass(&fake, 1000000);
    ck_assert_uint_ge(seconds, 54);
    ck_assert_uint_le(seconds, 60);
}
END_TEST

/* Snakepit 32. */
START_TEST(a_worker_that_needs_too_much_memory_is_replaced_at_once)
{
    fake_begin(&fake, little_memory);
    pool_worker_measured(fake.pool, fake.starts[0], 1000);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.start_count, 1);
    pool_worker_measured(fake.pool, fake.starts[0], 1001);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

/* The newest worker, which is the only one, is to be replaced while it runs a call. */
static struct call *retire_in_a_call(void)
{
    struct call *call = fake_submit(&fake, fake.slow);
    char id[32];
    snprintf(id, sizeof id, "default-%u", fake.start_count);
    fake_recycle(&fake, id);
    fake_attach(&fake);
    return call;
}

START_TEST(a_worker_that_drains_a_long_answer_keeps_no_other_from_being_replaced)
{
    fake_begin(&fake, one);
    retire_in_a_call();
    ck_assert_uint_eq(fake_count(&fake, WORKER_DRAINING), 1);
    fake_recycle(&fake, "default-2");
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(as_many_workers_as_a_pool_has_drain_and_its_replacements)
{
    fake_begin(&fake, one);
    struct call *call = retire_in_a_call();
    retire_in_a_call();
    ck_assert_uint_eq(fake_count(&fake, WORKER_DRAINING), 2);
    fake_recycle(&fake, "default-3");
    ck_assert_uint_eq(fake.start_count, 3);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_left(&fake, 0);
    ck_assert_uint_eq(fake.start_count, 4);
}
END_TEST

/* So long, each new worker wishes to go or needs too much memory as soon as it is there; `calls`:
 * after that it runs some. */
static void live_short(unsigned seconds, void (*spoil)(struct worker_ref worker), unsigned calls)
{
    unsigned spoilt = 0, left = 0;
    for (unsigned passed = 0; passed < seconds * 100; passed++) {
        fake_attach(&fake);
        while (left < fake.stop_count)
            fake_left(&fake, (unsigned)fake.stops[left++].number - 1);
        while (spoilt < fake.attached) {
            spoil(fake.starts[spoilt++]);
            for (unsigned i = 0; i < calls; i++)
                fake_run_one(&fake);
        }
        fake_pass(&fake, 10000);
    }
}

static void wish(struct worker_ref worker)
{
    pool_worker_wishes(fake.pool, worker);
}

static void swell(struct worker_ref worker)
{
    pool_worker_measured(fake.pool, worker, 1001);
}

START_TEST(workers_that_wish_to_go_at_once_follow_each_other_ever_more_slowly)
{
    fake_begin(&fake, one);
    live_short(60, wish, 0);
    ck_assert_uint_ge(fake.start_count, 10);
    ck_assert_uint_le(fake.start_count, 20);
    ck_assert_uint_ge(fake_count(&fake, WORKER_READY), 1);
}
END_TEST

START_TEST(workers_that_need_too_much_memory_at_once_follow_each_other_ever_more_slowly)
{
    fake_begin(&fake, little_memory);
    live_short(60, swell, 0);
    ck_assert_uint_ge(fake.start_count, 10);
    ck_assert_uint_le(fake.start_count, 20);
}
END_TEST

START_TEST(calls_after_the_wish_do_not_make_its_successors_faster)
{
    fake_begin(&fake, one);
    live_short(60, wish, 2);
    ck_assert_uint_le(fake.start_count, 20);
}
END_TEST

START_TEST(workers_that_wish_to_go_in_their_first_call_are_replaced_without_delay)
{
    fake_begin(&fake, one);
    for (unsigned i = 0; i < 20; i++) {
        struct call *call = fake_submit(&fake, fake.tool);
        wish(fake.starts[i]);
        fake_answer(&fake, fake.invoke_count - 1, 10);
        fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
        ck_assert_uint_eq(fake.start_count, i + 2);
        fake_attach(&fake);
        fake_left(&fake, i);
    }
}
END_TEST

START_TEST(workers_that_wish_to_go_after_a_call_are_replaced_without_delay)
{
    fake_begin(&fake, one);
    for (unsigned i = 0; i < 20; i++) {
        fake_run_one(&fake);
        wish(fake.starts[i]);
        ck_assert_uint_eq(fake.start_count, i + 2);
        fake_attach(&fake);
        fake_left(&fake, i);
    }
}
END_TEST

static void forked_anew(struct pool_options *options)
{
    fake_set_size(options, 2, 2);
    options->refork_after = 3;
}

static void run_calls(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct call *call = fake_submit(&fake, fake.tool);
        fake_answer(&fake, fake.invoke_count - 1, 100);
        fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    }
}

START_TEST(a_warm_worker_is_forked_from_once_its_replacement_is_ready)
{
    fake_begin(&fake, forked_anew);
    run_calls(2);
    ck_assert_uint_eq(fake.start_count, 2);
    run_calls(1);
    ck_assert_uint_eq(fake.start_count, 3);
    ck_assert_uint_eq(fake.refork_count, 0);
    fake_attach(&fake);
    ck_assert_uint_eq(fake.refork_count, 1);
    ck_assert_uint_eq(fake.stop_count, 1);
}
END_TEST

START_TEST(one_warm_worker_is_enough_until_the_pool_is_cold_again)
{
    fake_begin(&fake, forked_anew);
    run_calls(3);
    fake_attach(&fake);
    fake_left(&fake, (unsigned)fake.stops[0].number - 1);
    run_calls(10);
    ck_assert_uint_eq(fake.start_count, 3);
    ck_assert_uint_eq(fake.refork_count, 1);
    pool_is_cold(fake.pool);
    run_calls(1);
    ck_assert_uint_eq(fake.start_count, 4);
    ck_assert_uint_eq(fake.refork_count, 1);
}
END_TEST

START_TEST(a_warm_worker_that_dies_too_early_is_followed_by_another)
{
    fake_begin(&fake, forked_anew);
    run_calls(3);
    fake_die(&fake, (unsigned)fake.invokes[0].worker.number - 1, 11, NULL);
    fake_attach(&fake);
    run_calls(3);
    fake_attach(&fake);
    ck_assert_uint_eq(fake.refork_count, 1);
}
END_TEST

START_TEST(a_reload_replaces_all_a_quarter_at_a_time)
{
    unsigned left = 0;
    fake_begin(&fake, eight);
    pool_reload(fake.pool);
    while (left < 8) {
        ck_assert_uint_le(fake.start_count - left, 8 + 3);
        fake_attach(&fake);
        ck_assert_uint_ge(fake_count(&fake, WORKER_READY), 8);
        ck_assert_uint_gt(fake.stop_count, left);
        while (left < fake.stop_count)
            fake_left(&fake, (unsigned)fake.stops[left++].number - 1);
    }
    ck_assert_uint_eq(fake.start_count, 16);
    ck_assert_uint_eq(fake_look(&fake).recycled, 8);
}
END_TEST

START_TEST(a_reload_is_over_when_no_worker_from_before_takes_calls)
{
    fake_begin(&fake, eight);
    ck_assert_uint_eq(pool_outdated(fake.pool), 0);
    pool_reload(fake.pool);
    for (unsigned left = 0; pool_outdated(fake.pool); left++) {
        ck_assert_uint_eq(pool_outdated(fake.pool), 8 - fake.stop_count);
        fake_attach(&fake);
        ck_assert_uint_gt(fake.stop_count, left);
        fake_left(&fake, (unsigned)fake.stops[left].number - 1);
    }
    ck_assert_uint_eq(fake.stop_count, 8);
}
END_TEST

START_TEST(a_reload_during_a_reload_replaces_the_newest_too)
{
    fake_begin(&fake, eight);
    pool_reload(fake.pool);
    fake_attach(&fake);
    pool_reload(fake.pool);
    for (unsigned left = 0; pool_outdated(fake.pool); left++) {
        fake_attach(&fake);
        ck_assert_uint_ge(fake_count(&fake, WORKER_READY), 8);
        ck_assert_uint_gt(fake.stop_count, left);
        fake_left(&fake, (unsigned)fake.stops[left].number - 1);
    }
    ck_assert_uint_eq(fake_look(&fake).recycled, fake.stop_count);
    ck_assert_uint_eq(fake.start_count - fake.stop_count, 8);
}
END_TEST

int main(void)
{
    log_set_level(LOG_NONE);
    TCase *tests = tcase_create("recycling");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, a_replacement_is_ready_before_the_old_one_drains);
    tcase_add_test(tests, a_worker_that_wishes_to_go_is_replaced_first);
    tcase_add_test(tests, the_old_one_takes_calls_until_its_replacement_is_ready);
    tcase_add_test(tests, a_draining_worker_finishes_its_call_before_it_is_told_to_leave);
    tcase_add_test(tests, recycling_twice_starts_one_replacement);
    tcase_add_test(tests, several_recycles_do_not_stack);
    tcase_add_test(tests, nobody_is_recycled_who_is_not_there);
    tcase_add_test(tests, a_replacement_that_dies_leaves_the_old_one_at_work);
    tcase_add_test(tests, a_worker_is_replaced_after_so_many_calls);
    tcase_add_test(tests, a_worker_is_replaced_at_its_age);
    tcase_add_test(tests, jitter_takes_up_to_its_percentage_off);
    tcase_add_test(tests, a_worker_that_needs_too_much_memory_is_replaced_at_once);
    tcase_add_test(tests, a_worker_that_drains_a_long_answer_keeps_no_other_from_being_replaced);
    tcase_add_test(tests, as_many_workers_as_a_pool_has_drain_and_its_replacements);
    tcase_add_test(tests, workers_that_wish_to_go_at_once_follow_each_other_ever_more_slowly);
    tcase_add_test(tests,
                   workers_that_need_too_much_memory_at_once_follow_each_other_ever_more_slowly);
    tcase_add_test(tests, calls_after_the_wish_do_not_make_its_successors_faster);
    tcase_add_test(tests, workers_that_wish_to_go_in_their_first_call_are_replaced_without_delay);
    tcase_add_test(tests, workers_that_wish_to_go_after_a_call_are_replaced_without_delay);
    tcase_add_test(tests, a_warm_worker_is_forked_from_once_its_replacement_is_ready);
    tcase_add_test(tests, one_warm_worker_is_enough_until_the_pool_is_cold_again);
    tcase_add_test(tests, a_warm_worker_that_dies_too_early_is_followed_by_another);
    tcase_add_test(tests, a_reload_replaces_all_a_quarter_at_a_time);
    tcase_add_test(tests, a_reload_is_over_when_no_worker_from_before_takes_calls);
    tcase_add_test(tests, a_reload_during_a_reload_replaces_the_newest_too);
    return run_case(tests, "renewal");
}
