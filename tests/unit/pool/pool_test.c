/* The pool from its start to its end: starting, dispatch, the queue, leaving. */
#include "fake.h"
#include "pool/effects.h"

#include "../base/run.h"

static struct fake fake;

static void set_up(void)
{
    fake_init(&fake, NULL);
}

static void set_up_ready(void)
{
    fake_begin(&fake, NULL);
}

static void room_for_all(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

/* --- starting --- */

START_TEST(starting_asks_for_every_worker)
{
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake_look(&fake).workers[WORKER_STARTING], 2);
}
END_TEST

/* Snakepit 1. */
START_TEST(a_call_before_any_worker_is_ready_waits_for_one)
{
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_ready(&fake, 0, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(the_pool_has_started_once_all_workers_are_ready)
{
    fake_ready(&fake, 0, 1);
    ck_assert_uint_eq(fake.started_events, 0);
    fake_ready(&fake, 1, 1);
    ck_assert_uint_eq(fake.started_events, 1);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
}
END_TEST

START_TEST(a_worker_that_is_not_expected_is_turned_away)
{
    const struct worker_hello hello = {.pid = 1, .slots = 1};
    struct worker_ref stranger = {.seat = 0, .number = 77};
    ck_assert(!pool_worker_ready(fake.pool, stranger, &hello));
}
END_TEST

/* Snakepit 2. */
START_TEST(a_pool_that_cannot_start_refuses_what_waits_and_what_comes)
{
    struct call *waiting = fake_submit(&fake, fake.tool);
    pool_fail(fake.pool, "no such module");
    fake_expect(&fake, waiting, CALL_END_NO_WORKERS, EXECUTED_NO);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_NO_WORKERS, EXECUTED_NO);
    ck_assert_str_eq(fake_look(&fake).reason, "no such module");
    ck_assert_uint_eq(fake.failed_events, 1);
}
END_TEST

/* --- queue --- */

/* Snakepit 30. */
START_TEST(a_free_worker_takes_a_call_at_once)
{
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_ptr_eq(fake.invokes[0].call, call);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(submitting_does_not_send_until_flushed)
{
    unsigned before = fake.flush_count;
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(fake.flush_count, before);
    pool_flush(fake.pool);
    ck_assert_uint_eq(fake.flush_count, before + 1);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(waiting_calls_are_served_in_order)
{
    struct call *calls[5];
    for (unsigned i = 0; i < 5; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_ptr_eq(fake.invokes[i].call, calls[i]);
        fake_answer(&fake, i, 5000000);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

START_TEST(a_call_is_looked_up_by_its_request_id)
{
    struct call_view view;
    struct call *calls[2];
    for (unsigned i = 0; i < 2; i++) {
        calls[i] = fake_make(&fake, fake.slow);
        calls[i]->request_id = i ? BYTES("second") : BYTES("first");
        fake_send(&fake, calls[i]);
    }
    ck_assert_uint_eq(pool_look_at_call(fake.pool, BYTES("second"), &view), 1);
    ck_assert_str_eq(view.request_id, "second");
    ck_assert_str_eq(view.tool, "slow");
    ck_assert(!pool_look_at_call(fake.pool, BYTES("third"), &view));
    fake_release(&fake, calls);
    ck_assert(!pool_look_at_call(fake.pool, BYTES("second"), &view));
}
END_TEST

/* The first one's view is written and nothing beside it. */
START_TEST(several_calls_of_one_request_id_are_counted)
{
    struct call_view views[2];
    struct call *calls[2];
    for (unsigned i = 0; i < 2; i++) {
        calls[i] = fake_make(&fake, fake.slow);
        calls[i]->request_id = BYTES("twin");
        fake_send(&fake, calls[i]);
    }
    fake.runs = fake.invokes[1];
    ck_assert_uint_eq(pool_look_at_calls(fake.pool, 0, views, 2), 2);
    views[1].state = CALL_DISPATCHED;
    ck_assert_uint_eq(pool_look_at_call(fake.pool, BYTES("twin"), &views[0]), 2);
    ck_assert_int_eq(views[1].state, CALL_DISPATCHED);
    fake_release(&fake, calls);
}
END_TEST

START_TEST(a_call_is_shown_as_running_when_the_runtime_says_so)
{
    struct call_view views[3];
    struct call *calls[2];
    fake_occupy(&fake, calls);
    struct call *waiting = fake_submit(&fake, fake.slow);
    fake.runs = fake.invokes[1];
    ck_assert_uint_eq(pool_look_at_calls(fake.pool, 0, views, 3), 3);
    ck_assert_int_eq(views[0].state, CALL_DISPATCHED);
    ck_assert_int_eq(views[1].state, CALL_RUNNING);
    ck_assert_int_eq(views[2].state, CALL_QUEUED);
    ck_assert_uint_eq(pool_look_at_calls(fake.pool, views[0].number, &views[1], 1), 1);
    ck_assert_uint_eq(views[1].number, views[0].number + 1);
    ck_assert_uint_eq(pool_look_at_calls(fake.pool, views[2].number, views, 3), 0);
    fake_release(&fake, calls);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, waiting, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Snakepit 6. */
START_TEST(full_queue_refuses_with_retry_after)
{
    struct call *calls[6];
    for (unsigned i = 0; i < 6; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    struct call *refused = fake_submit(&fake, fake.slow);
    ck_assert_uint_ge(refused->outcome.retry_after_s, 1);
    fake_expect(&fake, refused, CALL_END_SATURATED, EXECUTED_NO);
    for (unsigned i = 0; i < 6; i++) {
        fake_answer(&fake, i, 5000000);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

/* Snakepit 7. */
START_TEST(a_call_that_waits_too_long_never_reaches_python)
{
    struct call *running[2] = {fake_submit(&fake, fake.slow), fake_submit(&fake, fake.slow)};
    struct call *call = fake_submit(&fake, fake.slow);
    fake_pass(&fake, 10000000);
    fake_expect(&fake, call, CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    for (unsigned i = 0; i < 2; i++) {
        fake_answer(&fake, i, 5000000);
        fake_expect(&fake, running[i], CALL_END_RESULT, EXECUTED_YES);
    }
    ck_assert_uint_eq(fake.invoke_count, 2);
}
END_TEST

START_TEST(the_alarm_is_set_for_the_first_thing_that_is_due)
{
    uint64_t review_us = fake.alarm_us;
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(fake.alarm_us, review_us);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* --- sending ahead --- */

START_TEST(nothing_is_sent_behind_a_tool_that_was_never_measured)
{
    struct call *busy[2];
    fake_occupy(&fake, busy);
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_release(&fake, busy);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(fast_calls_are_sent_ahead_within_the_budget)
{
    struct call *calls[40];
    unsigned ahead = 0;
    fake_measure(&fake, fake.tool, 90);
    for (unsigned i = 0; i < 26; i++) {
        calls[i] = fake_submit(&fake, fake.tool);
        ahead += calls[i]->state == CALL_DISPATCHED;
    }
    /* 100 us each with the overhead: up to eleven on each of two workers, the last one behind 1 ms.
     */
    ck_assert_uint_eq(ahead, 22);
    for (unsigned i = 0; i < 26; i++) {
        fake_answer(&fake, 1 + i, 90);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

START_TEST(slow_calls_are_not_sent_ahead)
{
    struct call *calls[3];
    fake_measure(&fake, fake.slow, 2000);
    for (unsigned i = 0; i < 3; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(calls[2]->state, CALL_QUEUED);
    for (unsigned i = 0; i < 3; i++) {
        fake_answer(&fake, 1 + i, 2000);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

/* --- slots --- */

/* Snakepit 13, 30. */
START_TEST(a_worker_with_slots_takes_that_many_calls)
{
    struct call *calls[5];
    fake_ready(&fake, 0, 4);
    for (unsigned i = 0; i < 5; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake.invoke_count, 4);
    ck_assert_int_eq(calls[4]->state, CALL_QUEUED);
    for (unsigned i = 0; i < 5; i++) {
        fake_answer(&fake, i, 9000);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

/* --- leaving --- */

START_TEST(a_draining_pool_refuses_new_calls_and_finishes_old_ones)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_drain(fake.pool);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_SHUTDOWN, EXECUTED_NO);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Snakepit 37. */
START_TEST(stopping_answers_everything_and_tells_all_workers)
{
    struct call *calls[2];
    fake_occupy(&fake, calls);
    struct call *queued = fake_submit(&fake, fake.slow);
    pool_stop(fake.pool, 1000);
    fake_expect(&fake, queued, CALL_END_SHUTDOWN, EXECUTED_NO);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        ck_assert_int_eq(calls[i]->outcome.end, CALL_END_SHUTDOWN);
        ck_assert_int_eq(calls[i]->outcome.executed, EXECUTED_MAYBE);
        call_unref(&calls[i]);
    }
    ck_assert_uint_eq(fake.stop_count, 2);
}
END_TEST

START_TEST(stopping_tells_workers_of_each_call_that_it_is_over)
{
    struct call *calls[2];
    fake_occupy(&fake, calls);
    pool_stop(fake.pool, 1000);
    ck_assert_uint_eq(fake.cancel_count, 2);
    ck_assert_uint_ge(fake.flush_count, 1);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(fake.cancels[i], fake.invokes[i].call_id);
        ck_assert_ptr_nonnull(fake_posted(&fake));
        call_unref(&calls[i]);
    }
}
END_TEST

START_TEST(stopping_ends_more_calls_than_one_set_of_effects_holds)
{
    enum { CALLS = 3 * EFFECTS_MAX };
    struct call *calls[CALLS];
    static struct fake many;
    fake_init(&many, room_for_all);
    fake_ready(&many, 0, CALLS);
    for (unsigned i = 0; i < CALLS; i++)
        calls[i] = fake_submit(&many, many.tool);
    ck_assert_uint_eq(many.invoke_count, CALLS);
    pool_stop(many.pool, 1000);
    ck_assert_uint_eq(many.cancel_count, CALLS);
    ck_assert_uint_eq(many.stop_count, 1);
    for (unsigned i = 0; i < CALLS; i++)
        fake_expect(&many, calls[i], CALL_END_SHUTDOWN, EXECUTED_MAYBE);
    fake_deinit(&many);
}
END_TEST

START_TEST(a_worker_that_leaves_when_told_is_neither_replaced_nor_a_crash)
{
    pool_stop(fake.pool, 1000);
    fake_die(&fake, 0, 0, NULL);
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *starting = tcase_create("starting");
    tcase_add_checked_fixture(starting, set_up, tear_down);
    tcase_add_test(starting, starting_asks_for_every_worker);
    tcase_add_test(starting, a_call_before_any_worker_is_ready_waits_for_one);
    tcase_add_test(starting, the_pool_has_started_once_all_workers_are_ready);
    tcase_add_test(starting, a_worker_that_is_not_expected_is_turned_away);
    tcase_add_test(starting, a_pool_that_cannot_start_refuses_what_waits_and_what_comes);
    tcase_add_test(starting, a_worker_with_slots_takes_that_many_calls);
    suite_add_tcase(suite, starting);

    TCase *running = tcase_create("running");
    tcase_add_checked_fixture(running, set_up_ready, tear_down);
    tcase_add_test(running, a_free_worker_takes_a_call_at_once);
    tcase_add_test(running, submitting_does_not_send_until_flushed);
    tcase_add_test(running, waiting_calls_are_served_in_order);
    tcase_add_test(running, a_call_is_looked_up_by_its_request_id);
    tcase_add_test(running, a_call_is_shown_as_running_when_the_runtime_says_so);
    tcase_add_test(running, several_calls_of_one_request_id_are_counted);
    tcase_add_test(running, full_queue_refuses_with_retry_after);
    tcase_add_test(running, a_call_that_waits_too_long_never_reaches_python);
    tcase_add_test(running, the_alarm_is_set_for_the_first_thing_that_is_due);
    tcase_add_test(running, nothing_is_sent_behind_a_tool_that_was_never_measured);
    tcase_add_test(running, fast_calls_are_sent_ahead_within_the_budget);
    tcase_add_test(running, slow_calls_are_not_sent_ahead);
    tcase_add_test(running, a_draining_pool_refuses_new_calls_and_finishes_old_ones);
    tcase_add_test(running, stopping_answers_everything_and_tells_all_workers);
    tcase_add_test(running, stopping_tells_workers_of_each_call_that_it_is_over);
    tcase_add_test(running, stopping_ends_more_calls_than_one_set_of_effects_holds);
    tcase_add_test(running, a_worker_that_leaves_when_told_is_neither_replaced_nor_a_crash);
    suite_add_tcase(suite, running);

    return run_suite(suite);
}
