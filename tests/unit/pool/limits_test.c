/* Time limits and refusals. */
#include "fake.h"

#include "../base/run.h"

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void alone(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->queue_limit = 100;
    options->queue_timeout_us = UINT64_C(200000000);
    options->ahead_budget_us = 0;
}

static void without_queue(struct pool_options *options)
{
    alone(options);
    options->queue_limit = 0;
}

/* One worker, which is busy with the first call. */
static struct call *begin(void (*adjust)(struct pool_options *options))
{
    fake_init(&fake, adjust);
    fake_ready(&fake, 0, 1);
    return fake_submit(&fake, fake.slow);
}

static void finish(struct call *call)
{
    fake_answer(&fake, fake.invoke_count - 1, 1000);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

static struct call *submit_with(uint64_t total_us, uint64_t queue_us, uint64_t run_us)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->timeout_us = total_us;
    call->queue_timeout_us = queue_us;
    call->run_timeout_us = run_us;
    return fake_send(&fake, call);
}

/* Two calls wait behind another, and answers come every `us`. */
static void pace(struct call **out_waiting, uint64_t us)
{
    struct call *first = begin(alone);
    fake_submit(&fake, fake.slow);
    for (unsigned i = 0; i < 2; i++)
        out_waiting[i] = fake_submit(&fake, fake.slow);
    fake_now_us += us;
    finish(first);
}

START_TEST(the_queue_limit_ends_a_call_that_waits)
{
    struct call *busy = begin(alone);
    struct call *call = submit_with(3000, 1000, 2000);
    fake_pass(&fake, 999);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(call->outcome.queue_us, 1000);
    fake_expect(&fake, call, CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    finish(busy);
}
END_TEST

START_TEST(the_total_limit_ends_a_call_that_waits_when_it_is_shorter)
{
    struct call *busy = begin(alone);
    struct call *call = submit_with(1000, 2000, 2000);
    fake_pass(&fake, 1000);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_NO);
    finish(busy);
}
END_TEST

START_TEST(the_run_limit_counts_from_dispatch)
{
    struct call *busy = begin(alone);
    struct call *call = submit_with(10000, 5000, 2000);
    fake_pass(&fake, 1500);
    finish(busy);
    ck_assert_uint_eq(fake.invokes[1].remaining_us, 2000);
    fake_pass(&fake, 1999);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_pass(&fake, 1);
    fake_expect(&fake, call, CALL_END_TIMEOUT, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.cancel_count, 1);
}
END_TEST

START_TEST(the_total_limit_ends_a_call_that_runs_when_it_is_shorter)
{
    struct call *busy = begin(alone);
    struct call *call = submit_with(3000, 5000, 2000);
    fake_pass(&fake, 1500);
    finish(busy);
    ck_assert_uint_eq(fake.invokes[1].remaining_us, 1500);
    fake_pass(&fake, 1500);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
}
END_TEST

/* Snakepit 7. */
START_TEST(an_expired_call_is_not_dispatched_though_the_clock_is_late)
{
    struct call *busy = begin(alone);
    struct call *call = submit_with(1000, 0, 0);
    fake_now_us += 1000;
    fake_answer(&fake, 0, 1000);
    fake_expect(&fake, busy, CALL_END_RESULT, EXECUTED_YES);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_NO);
    ck_assert_uint_eq(fake.invoke_count, 1);
}
END_TEST

/* Snakepit 22. */
START_TEST(an_answer_that_comes_after_the_deadline_is_none)
{
    begin(alone);
    fake_answer(&fake, 0, 1000);
    fake_posted(&fake);
    struct call *call = submit_with(1000, 0, 0);
    fake_now_us += 1000;
    fake_answer(&fake, 1, 1000);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_YES);
    ck_assert_uint_eq(fake.cancel_count, 0);
}
END_TEST

/* The answer comes in time, and its caller's thread so much later; returns the call, DONE. */
static struct call *deliver_after(uint64_t total_us, uint64_t late_us)
{
    finish(begin(alone));
    struct call *call = submit_with(total_us, 0, 0);
    fake_answer(&fake, 1, 1000);
    fake_now_us += late_us;
    pool_deliver(fake.pool, call);
    return call;
}

START_TEST(an_answer_that_its_caller_gets_after_the_deadline_is_none)
{
    struct call *call = deliver_after(1000, 1000);
    ck_assert_uint_eq(fake_look(&fake).late_answers, 1);
    ck_assert_uint_eq(call->outcome.body.len, 0);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_YES);
}
END_TEST

START_TEST(an_answer_that_its_caller_gets_just_before_the_deadline_is_one)
{
    struct call *call = deliver_after(1000, 999);
    ck_assert_uint_eq(fake_look(&fake).late_answers, 0);
    ck_assert_uint_gt(call->outcome.body.len, 0);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_refusal_stays_one_however_late_it_is_heard)
{
    finish(begin(without_queue));
    struct call *busy = submit_with(0, 0, 0), *refused = submit_with(1000, 0, 0);
    fake_now_us += 1000;
    pool_deliver(fake.pool, refused);
    fake_expect(&fake, refused, CALL_END_SATURATED, EXECUTED_NO);
    finish(busy);
}
END_TEST

START_TEST(a_call_with_less_time_left_than_its_tool_takes_gives_way_to_those_behind)
{
    struct call *busy = begin(alone);
    struct call *tight = submit_with(1999, 0, 0);
    struct call *behind = fake_submit(&fake, fake.slow);
    fake_now_us += 1000;
    finish(busy); /* after 1 ms */
    ck_assert_uint_eq(tight->outcome.queue_us, 1000);
    fake_expect(&fake, tight, CALL_END_UNREACHABLE, EXECUTED_NO);
    finish(behind);
}
END_TEST

START_TEST(a_call_with_little_time_left_is_tried_when_nobody_waits_behind_it)
{
    struct call *busy = begin(alone);
    struct call *tight = submit_with(1999, 0, 0);
    fake_now_us += 1000;
    finish(busy);
    finish(tight);
}
END_TEST

/* Snakepit 9. */
START_TEST(a_cancelled_call_leaves_the_queue_at_once)
{
    struct call *busy = begin(alone);
    struct call *call = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 1);
    pool_cancel(fake.pool, call);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    ck_assert_uint_eq(atomic_load(&call->references), 2);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_NO);
    finish(busy);
}
END_TEST

START_TEST(a_call_is_cancelled_by_its_request_id)
{
    struct call *call = begin(alone);
    call->request_id = BYTES("r-1");
    ck_assert(!pool_cancel_request(fake.pool, BYTES("r-2")));
    ck_assert(pool_cancel_request(fake.pool, BYTES("r-1")));
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
}
END_TEST

START_TEST(retry_after_is_the_queue_by_the_pace_of_answers_rounded_up)
{
    struct call *waiting[2];
    pace(waiting, 1200000); /* two wait, 1.2 s each: 2.4 s */
    struct call *refused = submit_with(1, 0, 0);
    ck_assert_uint_eq(refused->outcome.retry_after_s, 3);
    fake_expect(&fake, refused, CALL_END_UNREACHABLE, EXECUTED_NO);
}
END_TEST

START_TEST(the_gap_between_two_answers_is_no_pace)
{
    struct call *waiting[2];
    pace(waiting, 1100000);
    fake_now_us += 1000;
    fake_answer(&fake, 1, 1000);
    struct call *refused = submit_with(1, 0, 0); /* behind one */
    ck_assert_uint_eq(refused->outcome.retry_after_s, 2);
    fake_now_us += 49000;
    fake_answer(&fake, 2, 1000);
    struct call *last = submit_with(0, 0, 0); /* 1.1 s, and an eighth towards 25 ms */
    ck_assert_int_eq(last->state, CALL_QUEUED);
    refused = submit_with(1026000, 0, 0);
    ck_assert_uint_eq(refused->outcome.retry_after_s, 1);
    ck_assert_int_eq(refused->outcome.end, CALL_END_UNREACHABLE);
    ck_assert_int_eq(submit_with(1027000, 0, 0)->state, CALL_QUEUED);
}
END_TEST

START_TEST(retry_after_is_a_second_when_nothing_was_measured)
{
    struct call *busy = begin(without_queue);
    struct call *refused = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(refused->outcome.retry_after_s, 1);
    fake_expect(&fake, refused, CALL_END_SATURATED, EXECUTED_NO);
    finish(busy);
}
END_TEST

START_TEST(retry_after_is_a_minute_at_most)
{
    struct call *waiting[2];
    pace(waiting, 100000000);
    struct call *refused = submit_with(1, 0, 0);
    ck_assert_uint_eq(refused->outcome.retry_after_s, 60);
    fake_expect(&fake, refused, CALL_END_UNREACHABLE, EXECUTED_NO);
}
END_TEST

START_TEST(a_pool_without_a_queue_takes_what_a_worker_is_free_for)
{
    struct call *call = begin(without_queue);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    finish(call);
}
END_TEST

START_TEST(a_deadline_that_cannot_be_met_is_refused_at_once)
{
    struct call *waiting[2];
    pace(waiting, 1000000); /* 2 s to wait, a sixteenth more, and the tool's median of 1 ms */
    struct call *hopeless = submit_with(2125999, 0, 0);
    fake_expect(&fake, hopeless, CALL_END_UNREACHABLE, EXECUTED_NO);
    ck_assert_int_eq(submit_with(2126001, 0, 0)->state, CALL_QUEUED);
}
END_TEST

START_TEST(an_urgent_call_is_not_refused_for_those_it_overtakes)
{
    struct call *waiting[2];
    pace(waiting, 1000000);
    struct call *urgent = fake_make(&fake, fake.slow);
    urgent->timeout_us = 500000;
    urgent->priority = 0;
    ck_assert_int_eq(fake_send(&fake, urgent)->state, CALL_QUEUED);
}
END_TEST

START_TEST(a_rest_between_calls_is_no_pace)
{
    struct call *first = begin(alone);
    struct call *second = fake_submit(&fake, fake.slow);
    struct call *third = fake_submit(&fake, fake.slow);
    fake_now_us += 1000;
    finish(first);
    finish(second);
    pool_cancel(fake.pool, third);
    fake_expect(&fake, third, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_now_us += UINT64_C(3600000000);
    fake_answer(&fake, 2, 10);
    struct call *next[3];
    for (unsigned i = 0; i < 3; i++)
        next[i] = fake_submit(&fake, fake.slow);
    fake_now_us += 1000;
    finish(next[0]);
    struct call *soon = submit_with(100000, 0, 0);
    ck_assert_int_eq(soon->state, CALL_QUEUED);
}
END_TEST

/* Snakepit 12. */
START_TEST(the_wait_is_averaged_with_a_fifth)
{
    struct call *busy = begin(alone);
    fake_submit(&fake, fake.slow);
    fake_now_us += 1000;
    finish(busy);
    ck_assert_uint_eq(fake_look(&fake).queue_wait_us, 200);
}
END_TEST

static void capped(struct pool_options *options)
{
    alone(options);
    options->caps =
        (struct time_limits){.total_us = 5000000, .queue_us = 4000000, .run_us = 3000000};
}

/* The limits that hold for a call of a tool that says `tool` of itself. */
static void expect_limits(void (*adjust)(struct pool_options *options), struct time_limits tool,
                          struct time_limits asked, struct time_limits expected)
{
    fake_init(&fake, adjust);
    fake_ready(&fake, 0, 1);
    fake.slow->spec.limits = tool;
    struct call *call = submit_with(asked.total_us, asked.queue_us, asked.run_us);
    ck_assert_uint_eq(call->timeout_us, expected.total_us);
    ck_assert_uint_eq(call->queue_timeout_us, expected.queue_us);
    ck_assert_uint_eq(call->run_timeout_us, expected.run_us);
    finish(call);
}

/* Snakepit 19. */
START_TEST(of_caller_tool_and_pool_the_least_limit_holds)
{
    const struct time_limits none = {0}, much = {9000000, 9000000, 9000000, 0};
    const struct time_limits little = {1000000, 900000, 800000, 0};
    const struct time_limits caps = {5000000, 4000000, 3000000, 0};
    expect_limits(capped, none, much, caps);
    fake_deinit(&fake);
    expect_limits(capped, little, much, little);
    fake_deinit(&fake);
    expect_limits(capped, much, little, little);
    fake_deinit(&fake);
    expect_limits(alone, none, much, much);
}
END_TEST

START_TEST(the_pools_limits_are_for_calls_that_bring_none)
{
    struct pool_options options = pool_defaults();
    const struct time_limits none = {0};
    expect_limits(
        alone, none, none,
        (struct time_limits){options.timeout_us, UINT64_C(200000000), options.run_timeout_us, 0});
}
END_TEST

static void streaming(struct pool_options *options)
{
    capped(options);
    options->stream_timeout_us = options->stream_cap_us = 8000000;
}

START_TEST(a_pools_limit_of_runs_does_not_cut_its_streams)
{
    fake_init(&fake, streaming);
    fake_ready(&fake, 0, 1);
    struct call *call = fake_make(&fake, fake.slow);
    call->window = 1000;
    call->run_timeout_us = call->timeout_us = 9000000;
    fake_send(&fake, call);
    ck_assert_uint_eq(call->run_timeout_us, 8000000);
    ck_assert_uint_eq(call->timeout_us, 8000000);
    finish(call);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("limits");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, the_queue_limit_ends_a_call_that_waits);
    tcase_add_test(tests, the_total_limit_ends_a_call_that_waits_when_it_is_shorter);
    tcase_add_test(tests, the_run_limit_counts_from_dispatch);
    tcase_add_test(tests, the_total_limit_ends_a_call_that_runs_when_it_is_shorter);
    tcase_add_test(tests, an_expired_call_is_not_dispatched_though_the_clock_is_late);
    tcase_add_test(tests, an_answer_that_comes_after_the_deadline_is_none);
    tcase_add_test(tests, an_answer_that_its_caller_gets_after_the_deadline_is_none);
    tcase_add_test(tests, an_answer_that_its_caller_gets_just_before_the_deadline_is_one);
    tcase_add_test(tests, a_refusal_stays_one_however_late_it_is_heard);
    tcase_add_test(tests, a_call_with_less_time_left_than_its_tool_takes_gives_way_to_those_behind);
    tcase_add_test(tests, a_call_with_little_time_left_is_tried_when_nobody_waits_behind_it);
    tcase_add_test(tests, a_cancelled_call_leaves_the_queue_at_once);
    tcase_add_test(tests, a_call_is_cancelled_by_its_request_id);
    tcase_add_test(tests, retry_after_is_the_queue_by_the_pace_of_answers_rounded_up);
    tcase_add_test(tests, the_gap_between_two_answers_is_no_pace);
    tcase_add_test(tests, retry_after_is_a_second_when_nothing_was_measured);
    tcase_add_test(tests, retry_after_is_a_minute_at_most);
    tcase_add_test(tests, a_pool_without_a_queue_takes_what_a_worker_is_free_for);
    tcase_add_test(tests, a_deadline_that_cannot_be_met_is_refused_at_once);
    tcase_add_test(tests, an_urgent_call_is_not_refused_for_those_it_overtakes);
    tcase_add_test(tests, a_rest_between_calls_is_no_pace);
    tcase_add_test(tests, the_wait_is_averaged_with_a_fifth);
    tcase_add_test(tests, of_caller_tool_and_pool_the_least_limit_holds);
    tcase_add_test(tests, the_pools_limits_are_for_calls_that_bring_none);
    tcase_add_test(tests, a_pools_limit_of_runs_does_not_cut_its_streams);
    return run_case(tests, "limits");
}
