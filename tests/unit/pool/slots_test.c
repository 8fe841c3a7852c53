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

/* The worker of the n-th start stops to answer pings, or answers again. */
static void stall(unsigned start, bool stalled)
{
    pool_worker_stalled(fake.pool, fake.starts[start], stalled);
}

START_TEST(a_stalled_worker_gets_no_calls_until_it_answers_again)
{
    begin(two, 2);
    stall(0, true);
    ck_assert_uint_eq(fake_look(&fake).stalled, 1);
    for (unsigned i = 0; i < 2; i++)
        ck_assert_uint_eq(next_worker(), 2);
    struct call *call = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    stall(0, false);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake.invokes[2].worker.number, 1);
    ck_assert_uint_eq(fake_look(&fake).stalled, 0);
}
END_TEST

START_TEST(no_call_is_sent_ahead_to_a_stalled_worker)
{
    begin(sending_ahead, 1);
    fake_measure(&fake, fake.tool, 10);
    next_worker();
    ck_assert_uint_eq(next_worker(), 1);
    stall(0, true);
    stall(1, true);
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_QUEUED);
}
END_TEST

static void one_to_two(struct pool_options *options)
{
    two(options);
    options->min_workers = 1;
}

START_TEST(a_call_that_waits_for_stalled_workers_gets_another_one)
{
    begin(one_to_two, 1);
    stall(0, true);
    fake_submit(&fake, fake.slow);
    fake_pass(&fake, 200000);
    ck_assert_uint_eq(fake.start_count, 2);
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

static struct tool *announce_batch(unsigned batch)
{
    const struct tool_spec spec = {
        .name = BYTES("together"), .schema = BYTES("{}"), .batch = batch};
    char fault[TOOL_FAULT_MAX];
    ck_assert(registry_announce(fake.registry, fake.pool, &spec, 1, fault));
    return registry_find(fake.registry, BYTES("together"), NULL);
}

static void long_queue(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->queue_limit = 100;
}

static void submit_all(struct tool *tool, struct call **out_calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        out_calls[i] = fake_submit(&fake, tool);
}

static void cancel_all(struct call **calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum call_executed executed = i < fake.invoke_count ? EXECUTED_MAYBE : EXECUTED_NO;
        pool_cancel(fake.pool, calls[i]);
        fake_expect(&fake, calls[i], CALL_END_CANCELLED, executed);
    }
}

START_TEST(calls_of_a_batch_tool_go_ahead_for_the_batch_after_this_one)
{
    struct call *calls[12];
    fake_init(&fake, long_queue);
    fake_ready(&fake, 0, 1);
    submit_all(announce_batch(4), calls, 12);
    ck_assert_uint_eq(fake.invoke_count, 8);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 4);
    cancel_all(calls, 12);
}
END_TEST

START_TEST(calls_of_a_batch_tool_go_ahead_for_a_batch_in_each_slot)
{
    struct call *calls[14];
    fake_init(&fake, long_queue);
    fake_ready(&fake, 0, 3);
    submit_all(announce_batch(2), calls, 14);
    ck_assert_uint_eq(fake.invoke_count, 12);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 2);
    cancel_all(calls, 14);
}
END_TEST

START_TEST(a_call_goes_to_the_slots_that_a_batch_leaves)
{
    struct call *calls[6];
    fake_init(&fake, long_queue);
    fake_ready(&fake, 0, 2);
    submit_all(announce_batch(4), calls, 4);
    calls[4] = fake_submit(&fake, fake.slow);
    calls[5] = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake.invoke_count, 4);
    const uint64_t ids[] = {fake.invokes[0].call_id, fake.invokes[1].call_id,
                            fake.invokes[2].call_id, fake.invokes[3].call_id};
    fake_join(&fake, 0, ids, 4);
    ck_assert_uint_eq(fake.invoke_count, 5);
    ck_assert_ptr_eq(fake.invokes[4].call, calls[4]);
    cancel_all(calls, 6);
}
END_TEST

START_TEST(calls_of_a_batch_tool_do_not_go_ahead_behind_another_tool)
{
    struct call *calls[3];
    fake_init(&fake, long_queue);
    fake_ready(&fake, 0, 1);
    calls[0] = fake_submit(&fake, fake.slow);
    submit_all(announce_batch(4), calls + 1, 2);
    ck_assert_uint_eq(fake.invoke_count, 1);
    cancel_all(calls, 3);
}
END_TEST

START_TEST(calls_of_another_tool_do_not_go_ahead_behind_a_batch)
{
    struct call *calls[3];
    fake_init(&fake, long_queue);
    fake_ready(&fake, 0, 1);
    submit_all(announce_batch(4), calls, 2);
    calls[2] = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake.invoke_count, 2);
    cancel_all(calls, 3);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("slots");
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
    tcase_add_test(tests, a_stalled_worker_gets_no_calls_until_it_answers_again);
    tcase_add_test(tests, no_call_is_sent_ahead_to_a_stalled_worker);
    tcase_add_test(tests, a_call_that_waits_for_stalled_workers_gets_another_one);
    tcase_add_test(tests, calls_are_sent_ahead_to_a_tainted_worker_last);
    tcase_add_test(tests, calls_of_a_batch_tool_go_ahead_for_the_batch_after_this_one);
    tcase_add_test(tests, calls_of_a_batch_tool_go_ahead_for_a_batch_in_each_slot);
    tcase_add_test(tests, a_call_goes_to_the_slots_that_a_batch_leaves);
    tcase_add_test(tests, calls_of_a_batch_tool_do_not_go_ahead_behind_another_tool);
    tcase_add_test(tests, calls_of_another_tool_do_not_go_ahead_behind_a_batch);
    return run_case(tests, "slots");
}
