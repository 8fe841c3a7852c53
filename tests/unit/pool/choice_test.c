/* Which of several free workers gets a call. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { TAINT_US = 60000000 };

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

/* Nothing is sent ahead, and no timer but those meant ends anything. */
static void two(struct pool_options *options)
{
    options->ahead_budget_us = 0;
    options->run_timeout_us = options->timeout_us = UINT64_C(3600000000);
}

static void without_taint(struct pool_options *options)
{
    two(options);
    options->taint_us = 0;
}

static void one(struct pool_options *options)
{
    two(options);
    options->min_workers = options->max_workers = 1;
}

static void sending_ahead(struct pool_options *options)
{
    two(options);
    options->ahead_budget_us = 1000;
}

static void begin(void (*adjust)(struct pool_options *options), unsigned slots)
{
    fake_init(&fake, adjust);
    for (unsigned i = 0; i < fake.start_count; i++)
        fake_ready(&fake, i, slots);
}

/* The number of the worker that gets the next call, which stays with it. */
static uint64_t next_worker(void)
{
    ck_assert_int_eq(fake_submit(&fake, fake.slow)->state, CALL_DISPATCHED);
    return fake.invokes[fake.invoke_count - 1].worker.number;
}

/* The first worker dies so; its replacement, the third that was started, is ready. */
static void replace_first(bool by_crash)
{
    if (by_crash)
        fake_die(&fake, 0, SIGSEGV, NULL);
    else
        fake_kill(&fake, 0, 0);
    ck_assert_uint_eq(fake.start_count, 3);
    fake_ready(&fake, 2, 1);
}

static bool is_tainted(uint64_t number)
{
    struct worker_view views[POOL_MAX_SEATS];
    char id[WORKER_ID_MAX];
    unsigned count = pool_look_at_workers(fake.pool, views, POOL_MAX_SEATS);
    snprintf(id, sizeof id, "default-%llu", (unsigned long long)number);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(views[i].id, id) == 0)
            return views[i].tainted;
    }
    ck_abort_msg("there is no worker %s", id);
}

/* --- load --- */

/* Snakepit 13. */
START_TEST(calls_spread_over_workers_with_several_slots)
{
    unsigned counts[3] = {0};
    begin(two, 4);
    for (unsigned i = 0; i < 6; i++)
        counts[next_worker()]++;
    ck_assert_uint_eq(counts[1], 3);
    ck_assert_uint_eq(counts[2], 3);
}
END_TEST

START_TEST(a_call_goes_where_fewer_calls_are)
{
    begin(two, 4);
    for (unsigned i = 0; i < 4; i++)
        next_worker();
    fake_answer(&fake, 0, 10);
    fake_answer(&fake, 3, 10);
    ck_assert_uint_eq(fake.invokes[0].worker.number, fake.invokes[3].worker.number);
    ck_assert_uint_eq(next_worker(), fake.invokes[0].worker.number);
    ck_assert_uint_eq(next_worker(), fake.invokes[0].worker.number);
}
END_TEST

START_TEST(of_workers_with_one_slot_the_one_that_became_free_last_is_chosen)
{
    begin(two, 1);
    next_worker();
    next_worker();
    fake_answer(&fake, 1, 10);
    fake_answer(&fake, 0, 10);
    ck_assert_uint_eq(next_worker(), fake.invokes[0].worker.number);
}
END_TEST

/* --- taint --- */

/* Snakepit 66. */
START_TEST(the_replacement_of_a_crashed_worker_gets_a_call_only_when_no_other_is_free)
{
    begin(two, 1);
    replace_first(true);
    ck_assert(is_tainted(3));
    ck_assert(!is_tainted(2));
    ck_assert_uint_eq(next_worker(), 2);
    ck_assert_uint_eq(next_worker(), 3);
    fake_answer(&fake, 0, 10);
    fake_answer(&fake, 1, 10);
    ck_assert_uint_eq(next_worker(), 2);
}
END_TEST

START_TEST(the_taint_is_over_after_its_time)
{
    begin(two, 1);
    replace_first(true);
    fake_pass(&fake, TAINT_US - 1);
    ck_assert(is_tainted(3));
    fake_pass(&fake, 1);
    ck_assert(!is_tainted(3));
    ck_assert_uint_eq(next_worker(), 3);
}
END_TEST

START_TEST(a_worker_killed_from_outside_taints_nothing)
{
    begin(two, 1);
    replace_first(false);
    ck_assert(!is_tainted(3));
    ck_assert_uint_eq(next_worker(), 3);
}
END_TEST

START_TEST(without_a_taint_the_replacement_is_like_any_other)
{
    begin(without_taint, 1);
    replace_first(true);
    ck_assert_uint_eq(next_worker(), 3);
}
END_TEST

START_TEST(the_replacement_sits_where_the_crashed_worker_sat)
{
    begin(two, 1);
    ck_assert(pool_recycle(fake.pool, BYTES("default-1"))); /* 3 comes to the third seat */
    fake_ready(&fake, 2, 1);
    fake_left(&fake, 0);
    fake_die(&fake, 2, SIGSEGV, NULL);
    ck_assert_uint_eq(fake.starts[3].seat, fake.starts[2].seat);
    fake_ready(&fake, 3, 1);
    ck_assert(is_tainted(4));
}
END_TEST

START_TEST(a_tainted_worker_that_is_alone_gets_all_calls)
{
    begin(one, 1);
    fake_die(&fake, 0, SIGSEGV, NULL);
    fake_ready(&fake, 1, 1);
    ck_assert(is_tainted(2));
    ck_assert_uint_eq(next_worker(), 2);
}
END_TEST

START_TEST(calls_are_sent_ahead_to_a_tainted_worker_last)
{
    begin(sending_ahead, 1);
    struct call *call = fake_submit(&fake, fake.slow); /* measures the tool */
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    replace_first(true);
    ck_assert_uint_eq(next_worker(), 2);
    ck_assert_uint_eq(next_worker(), 3);
    ck_assert_uint_eq(next_worker(), 2);
    ck_assert_uint_eq(next_worker(), 2);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("choice");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, calls_spread_over_workers_with_several_slots);
    tcase_add_test(tests, a_call_goes_where_fewer_calls_are);
    tcase_add_test(tests, of_workers_with_one_slot_the_one_that_became_free_last_is_chosen);
    tcase_add_test(tests,
                   the_replacement_of_a_crashed_worker_gets_a_call_only_when_no_other_is_free);
    tcase_add_test(tests, the_taint_is_over_after_its_time);
    tcase_add_test(tests, a_worker_killed_from_outside_taints_nothing);
    tcase_add_test(tests, without_a_taint_the_replacement_is_like_any_other);
    tcase_add_test(tests, the_replacement_sits_where_the_crashed_worker_sat);
    tcase_add_test(tests, a_tainted_worker_that_is_alone_gets_all_calls);
    tcase_add_test(tests, calls_are_sent_ahead_to_a_tainted_worker_last);
    return run_case(tests, "choice");
}
