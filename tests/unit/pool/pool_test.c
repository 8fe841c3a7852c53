#include "fake.h"
#include "pool/effects.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

static struct fake fake;

static void set_up(void)
{
    fake_init(&fake, NULL);
}

static void set_up_ready(void)
{
    fake_init(&fake, NULL);
    fake_ready(&fake, 0, 1);
    fake_ready(&fake, 1, 1);
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void expect_end(struct call *call, enum call_end end, enum call_executed executed)
{
    fake_expect(&fake, call, end, executed);
}

/* --- starting --- */

START_TEST(starting_asks_for_every_worker)
{
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake_look(&fake).workers[WORKER_STARTING], 2);
}
END_TEST

START_TEST(a_call_before_any_worker_is_ready_waits_for_one)
{
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_ready(&fake, 0, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 0, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
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

START_TEST(a_pool_that_cannot_start_refuses_what_waits_and_what_comes)
{
    struct call *waiting = fake_submit(&fake, fake.tool);
    pool_fail(fake.pool, "no such module");
    expect_end(waiting, CALL_END_NO_WORKERS, EXECUTED_NO);
    expect_end(fake_submit(&fake, fake.tool), CALL_END_NO_WORKERS, EXECUTED_NO);
    ck_assert_str_eq(fake_look(&fake).reason, "no such module");
    ck_assert_uint_eq(fake.failed_events, 1);
}
END_TEST

/* --- queue --- */

START_TEST(a_free_worker_takes_a_call_at_once)
{
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_ptr_eq(fake.invokes[0].call, call);
    fake_answer(&fake, 0, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
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
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
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
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

START_TEST(full_queue_refuses_with_retry_after)
{
    struct call *calls[6];
    for (unsigned i = 0; i < 6; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    struct call *refused = fake_submit(&fake, fake.slow);
    ck_assert_uint_ge(refused->outcome.retry_after_s, 1);
    expect_end(refused, CALL_END_SATURATED, EXECUTED_NO);
    for (unsigned i = 0; i < 6; i++) {
        fake_answer(&fake, i, 5000000);
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

START_TEST(a_call_that_waits_too_long_never_reaches_python)
{
    struct call *running[2] = {fake_submit(&fake, fake.slow), fake_submit(&fake, fake.slow)};
    struct call *call = fake_submit(&fake, fake.slow);
    fake_pass(&fake, 10000000);
    expect_end(call, CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    for (unsigned i = 0; i < 2; i++) {
        fake_answer(&fake, i, 5000000);
        expect_end(running[i], CALL_END_RESULT, EXECUTED_YES);
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
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* --- sending ahead --- */

/* Both workers busy with a call of a tool that was never measured. */
static void occupy(struct call **out_calls)
{
    for (unsigned i = 0; i < 2; i++)
        out_calls[i] = fake_submit(&fake, fake.slow);
}

static void release(struct call **calls)
{
    for (unsigned i = 0; i < 2; i++) {
        fake_answer(&fake, i, 100);
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}

START_TEST(nothing_is_sent_behind_a_tool_that_was_never_measured)
{
    struct call *busy[2];
    occupy(busy);
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    release(busy);
    fake_answer(&fake, 2, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Teaches the pool that echo takes `us`. */
static void measure(struct tool *tool, uint64_t us)
{
    struct call *call = fake_submit(&fake, tool);
    fake_answer(&fake, fake.invoke_count - 1, us);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}

START_TEST(fast_calls_are_sent_ahead_within_the_budget)
{
    struct call *calls[40];
    unsigned ahead = 0;
    measure(fake.tool, 90);
    for (unsigned i = 0; i < 26; i++) {
        calls[i] = fake_submit(&fake, fake.tool);
        ahead += calls[i]->state == CALL_DISPATCHED;
    }
    /* 100 us each with the overhead: up to eleven on each of two workers, the last one behind 1 ms.
     */
    ck_assert_uint_eq(ahead, 22);
    for (unsigned i = 0; i < 26; i++) {
        fake_answer(&fake, 1 + i, 90);
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

START_TEST(slow_calls_are_not_sent_ahead)
{
    struct call *calls[3];
    measure(fake.slow, 2000);
    for (unsigned i = 0; i < 3; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(calls[2]->state, CALL_QUEUED);
    for (unsigned i = 0; i < 3; i++) {
        fake_answer(&fake, 1 + i, 2000);
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

/* --- cancelling and time limits --- */

START_TEST(a_queued_call_that_is_cancelled_never_reaches_python)
{
    struct call *busy[2];
    occupy(busy);
    struct call *call = fake_submit(&fake, fake.slow);
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_CANCELLED, EXECUTED_NO);
    release(busy);
    ck_assert_uint_eq(fake.invoke_count, 2);
}
END_TEST

START_TEST(a_dispatched_call_that_is_cancelled_is_answered_and_its_worker_told)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.cancel_count, 1);
    ck_assert_uint_eq(fake.cancels[0], fake.invokes[0].call_id);
}
END_TEST

START_TEST(the_slot_of_a_cancelled_call_is_free_only_when_the_worker_says_so)
{
    struct call *calls[2];
    occupy(calls);
    for (unsigned i = 0; i < 2; i++) {
        pool_cancel(fake.pool, calls[i]);
        expect_end(calls[i], CALL_END_CANCELLED, EXECUTED_MAYBE);
    }
    struct call *next = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(next->state, CALL_QUEUED);
    fake_answer(&fake, 0, 10);
    ck_assert_int_eq(next->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake_look(&fake).late_answers, 1);
    fake_answer(&fake, 2, 10);
    expect_end(next, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(cancelling_twice_or_after_the_answer_does_nothing)
{
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    pool_cancel(fake.pool, call);
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_ptr_null(fake_posted(&fake));
}
END_TEST

START_TEST(a_call_whose_time_runs_out_is_answered_and_cancelled)
{
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 300000000);
    ck_assert_uint_eq(fake.cancel_count, 1);
    expect_end(call, CALL_END_DEADLINE, EXECUTED_MAYBE);
    fake_answer(&fake, 0, 10);
    ck_assert_ptr_null(fake_posted(&fake));
}
END_TEST

START_TEST(a_worker_that_does_not_let_go_of_a_cancelled_call_is_killed_after_the_grace)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 4999999);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.invokes[0].worker.number);
}
END_TEST

START_TEST(a_worker_that_lets_go_of_a_cancelled_call_lives)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_answer(&fake, 0, 10);
    fake_pass(&fake, 6000000);
    ck_assert_uint_eq(fake.stop_count, 0);
}
END_TEST

START_TEST(a_worker_killed_for_not_letting_go_is_no_crash)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    pool_cancel(fake.pool, call);
    expect_end(call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 5000000);
    fake_die(&fake, victim, SIGKILL, NULL);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(waiting_counts_against_the_total_time)
{
    struct call *busy[2];
    occupy(busy);
    struct call *call = fake_submit(&fake, fake.slow);
    fake_now_us += 4000000;
    release(busy);
    ck_assert_uint_eq(fake.invokes[2].remaining_us, 296000000);
    ck_assert_uint_eq(call->outcome.queue_us, 4000000);
    fake_answer(&fake, 2, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* --- workers that die --- */

START_TEST(a_running_call_is_lost_with_its_worker)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    struct started_calls started = {.known = true, .running_count = 1, .started_count = 1};
    started.running[0] = started.started[0] = fake.invokes[0].call_id;
    fake_die(&fake, victim, SIGSEGV, &started);
    ck_assert_int_eq(call->outcome.crash.signal, SIGSEGV);
    expect_end(call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.gone_events, 1);
}
END_TEST

START_TEST(a_call_that_had_finished_but_was_not_answered_was_executed)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    struct started_calls started = {
        .known = true, .started_count = 1, .started = {fake.invokes[0].call_id}};
    fake_die(&fake, victim, SIGKILL, &started);
    expect_end(call, CALL_END_CRASH, EXECUTED_YES);
}
END_TEST

START_TEST(calls_that_never_started_go_elsewhere_in_their_order)
{
    struct call *calls[6];
    measure(fake.tool, 10);
    for (unsigned i = 0; i < 6; i++)
        calls[i] = fake_submit(&fake, fake.tool);
    struct worker_ref victim = fake.invokes[1].worker;
    unsigned before = fake.invoke_count;
    fake_die(&fake, victim.number == fake.starts[0].number ? 0 : 1, SIGKILL, NULL);
    unsigned moved = fake.invoke_count - before;
    ck_assert_uint_ge(moved, 1);
    ck_assert_uint_eq(fake_look(&fake).requeued, moved);
    for (unsigned i = before + 1; i < fake.invoke_count; i++)
        ck_assert_uint_gt(fake.invokes[i].call_id, fake.invokes[i - 1].call_id);
    for (unsigned i = 1; i < fake.invoke_count; i++)
        fake_answer(&fake, i, 10);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        ck_assert_int_eq(calls[i]->outcome.end, CALL_END_RESULT);
        call_unref(&calls[i]);
    }
}
END_TEST

START_TEST(a_dead_worker_is_replaced_at_once)
{
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    ck_assert_uint_eq(fake.starts[2].seat, fake.starts[0].seat);
    ck_assert_uint_ne(fake.starts[2].number, fake.starts[0].number);
}
END_TEST

START_TEST(a_worker_that_dies_at_once_again_and_again_is_replaced_more_slowly)
{
    fake_die(&fake, 0, SIGKILL, NULL);
    fake_die(&fake, 2, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    fake_pass(&fake, 49999);
    ck_assert_uint_eq(fake.start_count, 3);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.start_count, 4);
}
END_TEST

START_TEST(a_young_worker_that_has_served_is_replaced_at_once)
{
    for (unsigned i = 0; i < 4; i++) {
        struct call *call = fake_submit(&fake, fake.tool);
        fake_answer(&fake, fake.invoke_count - 1, 10);
        expect_end(call, CALL_END_RESULT, EXECUTED_YES);
        unsigned starts = fake.start_count;
        unsigned victim = starts - 1;
        while (fake.starts[victim].number != fake.invokes[fake.invoke_count - 1].worker.number)
            victim--;
        fake_die(&fake, victim, SIGKILL, NULL);
        ck_assert_uint_eq(fake.start_count, starts + 1);
        fake_ready(&fake, starts, 1);
    }
}
END_TEST

START_TEST(a_requeued_call_keeps_the_time_it_has_waited)
{
    struct call *calls[3];
    occupy(calls);
    calls[2] = fake_submit(&fake, fake.slow);
    fake_now_us += 9000000;
    fake_answer(&fake, 0, 10);
    expect_end(calls[0], CALL_END_RESULT, EXECUTED_YES);
    unsigned victim = fake.invokes[2].worker.number == fake.starts[0].number ? 0 : 1;
    fake_die(&fake, victim, SIGKILL, NULL);
    fake_pass(&fake, 1000000);
    expect_end(calls[2], CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    fake_answer(&fake, 1, 10);
    expect_end(calls[1], CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(ready_workers_go_on_when_no_more_can_be_started)
{
    pool_fail(fake.pool, "the file was edited");
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_str_eq(fake_look(&fake).reason, "the file was edited");
}
END_TEST

START_TEST(a_worker_that_dies_while_the_pool_drains_is_replaced_for_what_waits)
{
    struct call *calls[3];
    occupy(calls);
    calls[2] = fake_submit(&fake, fake.slow);
    pool_drain(fake.pool);
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    fake_ready(&fake, 2, 1);
    fake_die(&fake, 1, SIGKILL, NULL);
    fake_ready(&fake, 3, 1);
    ck_assert_uint_eq(fake.invoke_count, 4);
    for (unsigned i = 2; i < 4; i++)
        fake_answer(&fake, i, 10);
    ck_assert_int_eq(calls[0]->outcome.end, CALL_END_RESULT);
    ck_assert_int_eq(calls[1]->outcome.end, CALL_END_RESULT);
    fake_answer(&fake, 4, 10);
    ck_assert_int_eq(calls[2]->outcome.end, CALL_END_RESULT);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        call_unref(&calls[i]);
    }
}
END_TEST

START_TEST(an_answer_from_a_dead_worker_changes_nothing)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    fake_die(&fake, victim, SIGKILL, NULL);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 0, 10);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 1, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* --- slots --- */

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
        expect_end(calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

/* --- leaving --- */

START_TEST(a_draining_pool_refuses_new_calls_and_finishes_old_ones)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_drain(fake.pool);
    expect_end(fake_submit(&fake, fake.tool), CALL_END_SHUTDOWN, EXECUTED_NO);
    fake_answer(&fake, 0, 10);
    expect_end(call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(stopping_answers_everything_and_tells_all_workers)
{
    struct call *calls[2];
    occupy(calls);
    struct call *queued = fake_submit(&fake, fake.slow);
    pool_stop(fake.pool, 1000);
    expect_end(queued, CALL_END_SHUTDOWN, EXECUTED_NO);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        ck_assert_int_eq(calls[i]->outcome.end, CALL_END_SHUTDOWN);
        ck_assert_int_eq(calls[i]->outcome.executed, EXECUTED_MAYBE);
        call_unref(&calls[i]);
    }
    ck_assert_uint_eq(fake.stop_count, 2);
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

START_TEST(a_hundred_dispatches_at_once_lose_none)
{
    struct call *calls[100];
    measure(fake.tool, 1);
    for (unsigned i = 0; i < 100; i++)
        calls[i] = fake_submit(&fake, fake.tool);
    for (unsigned i = 0; i < 2; i++)
        fake_die(&fake, i, SIGKILL, NULL);
    unsigned before = fake.invoke_count;
    fake_ready(&fake, 2, 1);
    ck_assert_uint_gt(fake.invoke_count - before, EFFECTS_MAX);
    for (unsigned i = before; i < fake.invoke_count; i++)
        fake_answer(&fake, i, 1);
    fake_ready(&fake, 3, 1);
    while (fake_look(&fake).inflight) {
        for (unsigned i = before; i < fake.invoke_count; i++)
            fake_answer(&fake, i, 1);
    }
    for (unsigned i = 0; i < 100; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        call_unref(&calls[i]);
    }
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
    tcase_add_test(running, full_queue_refuses_with_retry_after);
    tcase_add_test(running, a_call_that_waits_too_long_never_reaches_python);
    tcase_add_test(running, the_alarm_is_set_for_the_first_thing_that_is_due);
    tcase_add_test(running, nothing_is_sent_behind_a_tool_that_was_never_measured);
    tcase_add_test(running, fast_calls_are_sent_ahead_within_the_budget);
    tcase_add_test(running, slow_calls_are_not_sent_ahead);
    tcase_add_test(running, a_queued_call_that_is_cancelled_never_reaches_python);
    tcase_add_test(running, a_dispatched_call_that_is_cancelled_is_answered_and_its_worker_told);
    tcase_add_test(running, the_slot_of_a_cancelled_call_is_free_only_when_the_worker_says_so);
    tcase_add_test(running, cancelling_twice_or_after_the_answer_does_nothing);
    tcase_add_test(running, a_call_whose_time_runs_out_is_answered_and_cancelled);
    tcase_add_test(running,
                   a_worker_that_does_not_let_go_of_a_cancelled_call_is_killed_after_the_grace);
    tcase_add_test(running, a_worker_that_lets_go_of_a_cancelled_call_lives);
    tcase_add_test(running, a_worker_killed_for_not_letting_go_is_no_crash);
    tcase_add_test(running, waiting_counts_against_the_total_time);
    tcase_add_test(running, a_running_call_is_lost_with_its_worker);
    tcase_add_test(running, a_call_that_had_finished_but_was_not_answered_was_executed);
    tcase_add_test(running, calls_that_never_started_go_elsewhere_in_their_order);
    tcase_add_test(running, a_dead_worker_is_replaced_at_once);
    tcase_add_test(running, a_worker_that_dies_at_once_again_and_again_is_replaced_more_slowly);
    tcase_add_test(running, a_young_worker_that_has_served_is_replaced_at_once);
    tcase_add_test(running, a_requeued_call_keeps_the_time_it_has_waited);
    tcase_add_test(running, ready_workers_go_on_when_no_more_can_be_started);
    tcase_add_test(running, a_worker_that_dies_while_the_pool_drains_is_replaced_for_what_waits);
    tcase_add_test(running, an_answer_from_a_dead_worker_changes_nothing);
    tcase_add_test(running, a_draining_pool_refuses_new_calls_and_finishes_old_ones);
    tcase_add_test(running, stopping_answers_everything_and_tells_all_workers);
    tcase_add_test(running, a_worker_that_leaves_when_told_is_neither_replaced_nor_a_crash);
    tcase_add_test(running, a_hundred_dispatches_at_once_lose_none);
    suite_add_tcase(suite, running);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
