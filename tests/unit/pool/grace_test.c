/* Calls that are given up: cancelled, or out of time. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>

static struct fake fake;

static void set_up_ready(void)
{
    fake_init(&fake, NULL);
    fake_ready(&fake, 0, 1);
    fake_ready(&fake, 1, 1);
}

static void fragile(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->breaker_threshold = 1;
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

START_TEST(a_queued_call_that_is_cancelled_never_reaches_python)
{
    struct call *busy[2];
    fake_occupy(&fake, busy);
    struct call *call = fake_submit(&fake, fake.slow);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_NO);
    fake_release(&fake, busy);
    ck_assert_uint_eq(fake.invoke_count, 2);
}
END_TEST

START_TEST(a_dispatched_call_that_is_cancelled_is_answered_and_its_worker_told)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.cancel_count, 1);
    ck_assert_uint_eq(fake.cancels[0], fake.invokes[0].call_id);
}
END_TEST

START_TEST(the_slot_of_a_cancelled_call_is_free_only_when_the_worker_says_so)
{
    struct call *calls[2];
    fake_occupy(&fake, calls);
    for (unsigned i = 0; i < 2; i++) {
        pool_cancel(fake.pool, calls[i]);
        fake_expect(&fake, calls[i], CALL_END_CANCELLED, EXECUTED_MAYBE);
    }
    struct call *next = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(next->state, CALL_QUEUED);
    fake_answer(&fake, 0, 10);
    ck_assert_int_eq(next->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake_look(&fake).late_answers, 1);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, next, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Snakepit 23. */
START_TEST(cancelling_twice_or_after_the_answer_does_nothing)
{
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    pool_cancel(fake.pool, call);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_ptr_null(fake_posted(&fake));
}
END_TEST

START_TEST(a_call_whose_time_runs_out_is_answered_and_cancelled)
{
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 300000000);
    ck_assert_uint_eq(fake.cancel_count, 1);
    fake_expect(&fake, call, CALL_END_TIMEOUT, EXECUTED_MAYBE);
    fake_answer(&fake, 0, 10);
    ck_assert_ptr_null(fake_posted(&fake));
}
END_TEST

/* Snakepit 44. */
START_TEST(a_worker_that_does_not_let_go_of_a_cancelled_call_is_killed_after_the_grace)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 4999999);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.refork_count, 0);
    ck_assert_uint_eq(fake.stops[0].number, fake.invokes[0].worker.number);
}
END_TEST

START_TEST(a_worker_that_lets_go_of_a_cancelled_call_lives)
{
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
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
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 5000000);
    fake_die(&fake, victim, SIGKILL, NULL);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

/* The first of three calls on one worker is cancelled and kept; `out_calls` are the other two, the
 * second of them idempotent. The worker has been killed for it. */
static void sacrifice(struct call *out_calls[2])
{
    fake_ready(&fake, 0, 3);
    struct call *kept = fake_submit(&fake, fake.slow);
    out_calls[0] = fake_submit(&fake, fake.slow);
    out_calls[1] = fake_make(&fake, fake.slow);
    out_calls[1]->idempotent = true;
    fake_send(&fake, out_calls[1]);
    pool_cancel(fake.pool, kept);
    fake_expect(&fake, kept, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 5000000);
    ck_assert_uint_eq(fake.stop_count, 1);
    const struct worker_exit exit = {.signal = SIGKILL, .cause = "killed"};
    struct started_calls started = {.known = true, .started_count = 3, .running_count = 3};
    for (unsigned i = 0; i < 3; i++)
        started.running[i] = started.started[i] = fake.invokes[i].call_id;
    pool_worker_gone(fake.pool, fake.starts[0], &exit, &started);
}

START_TEST(what_ran_beside_a_call_that_was_not_let_go_of_is_lost_and_told_why)
{
    struct call *calls[2];
    fake_init(&fake, fragile);
    sacrifice(calls);
    ck_assert_str_eq(calls[0]->outcome.crash.why, "another call on it could not be interrupted");
    ck_assert(calls[0]->outcome.crash.expected);
    fake_expect(&fake, calls[0], CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_CLOSED);
    fake_ready(&fake, 1, 3);
    fake_pass(&fake, 50000);
    ck_assert_int_eq(calls[1]->state, CALL_DISPATCHED);
    fake_answer(&fake, fake.invoke_count - 1, 10);
    fake_expect(&fake, calls[1], CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_batch_goes_on_past_the_grace_of_a_call_as_long_as_somebody_waits_for_another)
{
    struct call *calls[3];
    uint64_t ids[3];
    const struct tool_spec spec = {.name = BYTES("together"), .schema = BYTES("{}"), .batch = 4};
    char fault[TOOL_FAULT_MAX];
    fake_init(&fake, fragile);
    fake_ready(&fake, 0, 1);
    ck_assert(registry_announce(fake.registry, fake.pool, &spec, 1, fault));
    for (unsigned i = 0; i < 3; i++) {
        calls[i] = fake_submit(&fake, registry_find(fake.registry, spec.name, NULL));
        ids[i] = fake.invokes[i].call_id;
    }
    fake_join(&fake, 0, ids, 3);
    for (unsigned i = 0; i < 3; i++) {
        pool_cancel(fake.pool, calls[i]);
        fake_expect(&fake, calls[i], CALL_END_CANCELLED, EXECUTED_MAYBE);
        ck_assert_uint_eq(fake.stop_count, 0);
        fake_pass(&fake, 5000000);
    }
    ck_assert_uint_eq(fake.stop_count, 1);
}
END_TEST

START_TEST(what_a_cancelled_call_took_is_not_measured)
{
    fake_measure(&fake, fake.tool, 100);
    struct call *call = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_answer(&fake, 1, 4000000);
    ck_assert_uint_eq(fake.tool->run_ewma_us, 100);
    ck_assert_uint_eq(fake.tool->run_median_us, 100);
}
END_TEST

/* Snakepit 12. */
START_TEST(waiting_counts_against_the_total_time)
{
    struct call *busy[2];
    fake_occupy(&fake, busy);
    struct call *call = fake_submit(&fake, fake.slow);
    fake_now_us += 4000000;
    fake_release(&fake, busy);
    ck_assert_uint_eq(fake.invokes[2].remaining_us, 296000000);
    ck_assert_uint_eq(call->outcome.queue_us, 4000000);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("grace");
    tcase_add_checked_fixture(tests, set_up_ready, tear_down);
    tcase_add_test(tests, a_queued_call_that_is_cancelled_never_reaches_python);
    tcase_add_test(tests, a_dispatched_call_that_is_cancelled_is_answered_and_its_worker_told);
    tcase_add_test(tests, the_slot_of_a_cancelled_call_is_free_only_when_the_worker_says_so);
    tcase_add_test(tests, cancelling_twice_or_after_the_answer_does_nothing);
    tcase_add_test(tests, a_call_whose_time_runs_out_is_answered_and_cancelled);
    tcase_add_test(tests,
                   a_worker_that_does_not_let_go_of_a_cancelled_call_is_killed_after_the_grace);
    tcase_add_test(tests, a_worker_that_lets_go_of_a_cancelled_call_lives);
    tcase_add_test(tests, a_worker_killed_for_not_letting_go_is_no_crash);
    tcase_add_test(tests, waiting_counts_against_the_total_time);
    tcase_add_test(tests, what_a_cancelled_call_took_is_not_measured);
    TCase *alone = tcase_create("alone");
    tcase_add_checked_fixture(alone, NULL, tear_down);
    tcase_add_test(alone,
                   a_batch_goes_on_past_the_grace_of_a_call_as_long_as_somebody_waits_for_another);
    tcase_add_test(alone, what_ran_beside_a_call_that_was_not_let_go_of_is_lost_and_told_why);
    Suite *suite = suite_create("cancel");
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, alone);
    return run_suite(suite);
}
