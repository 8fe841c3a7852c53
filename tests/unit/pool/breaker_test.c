/* The breaker by itself, and that of a pool. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>

static struct breaker breaker;

static void set_up(void)
{
    breaker = (struct breaker){.threshold = 3, .open_us = 1000};
}

static bool admit(uint64_t now_us)
{
    bool trial;
    return breaker_admit(&breaker, now_us, &trial);
}

static void lose(unsigned times)
{
    while (times--)
        breaker_note(&breaker, BREAKER_LOSS, false, 0);
}

static void half_open(void)
{
    bool trial = false;
    lose(3);
    ck_assert(breaker_admit(&breaker, 1000, &trial));
    ck_assert(trial);
    ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
}

/* Snakepit 67. */
START_TEST(losses_in_a_row_open_it)
{
    lose(2);
    ck_assert(admit(0));
    lose(1);
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
    ck_assert(!admit(999));
    ck_assert_uint_eq(breaker.opened, 1);
}
END_TEST

START_TEST(a_success_between_losses_starts_the_count_anew)
{
    lose(2);
    breaker_note(&breaker, BREAKER_SUCCESS, false, 0);
    lose(2);
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
}
END_TEST

START_TEST(a_cancelled_call_proves_nothing)
{
    lose(2);
    breaker_note(&breaker, BREAKER_NEITHER, false, 0);
    lose(1);
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
}
END_TEST

START_TEST(without_a_threshold_it_never_opens)
{
    breaker.threshold = 0;
    lose(100);
    ck_assert(admit(0));
}
END_TEST

/* Snakepit 67. */
START_TEST(after_its_time_it_lets_one_trial_through)
{
    half_open();
    ck_assert(!admit(1000));
    ck_assert(!admit(5000));
}
END_TEST

/* Snakepit 67. */
START_TEST(a_successful_trial_closes_it)
{
    half_open();
    breaker_note(&breaker, BREAKER_SUCCESS, true, 1100);
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
    lose(2);
    ck_assert(admit(1100));
}
END_TEST

/* Snakepit 67. */
START_TEST(a_lost_trial_opens_it_for_as_long_again)
{
    half_open();
    breaker_note(&breaker, BREAKER_LOSS, true, 1100);
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
    ck_assert(!admit(2099));
    ck_assert(admit(2100));
    ck_assert_uint_eq(breaker.opened, 2);
}
END_TEST

START_TEST(a_cancelled_trial_is_given_back)
{
    half_open();
    breaker_note(&breaker, BREAKER_NEITHER, true, 1100);
    ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
    ck_assert(admit(1100));
    ck_assert(!admit(1100));
}
END_TEST

START_TEST(calls_from_before_decide_nothing_while_it_is_open)
{
    half_open();
    breaker_note(&breaker, BREAKER_NEITHER, false, 1100);
    breaker_note(&breaker, BREAKER_SUCCESS, false, 1100);
    breaker_note(&breaker, BREAKER_LOSS, false, 1100);
    ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
    ck_assert(!admit(1100));
}
END_TEST

START_TEST(its_states_have_names)
{
    ck_assert_str_eq(breaker_state_name(BREAKER_CLOSED), "closed");
    ck_assert_str_eq(breaker_state_name(BREAKER_OPEN), "open");
    ck_assert_str_eq(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
}
END_TEST

/* --- in a pool --- */

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void fragile(struct pool_options *options)
{
    fake_alone(options);
    options->breaker_threshold = 1;
}

static void open_breaker(void)
{
    fake_begin(&fake, fragile);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_crash_newest(&fake);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}

START_TEST(an_open_breaker_refuses_and_says_until_when)
{
    open_breaker();
    fake_now_us += 9500000;
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_ge(call->outcome.retry_after_s, 20);
    ck_assert_uint_le(call->outcome.retry_after_s, 21);
    fake_expect(&fake, call, CALL_END_CIRCUIT_OPEN, EXECUTED_NO);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_OPEN);
}
END_TEST

START_TEST(a_worker_killed_from_outside_does_not_open_the_breaker)
{
    fake_begin(&fake, fragile);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_CLOSED);
}
END_TEST

static void fragile_but_not_glass(struct pool_options *options)
{
    fake_alone(options);
    options->breaker_threshold = 2;
}

/* A worker with four slots dies while it runs as many calls. */
static void crash_with_four(bool idempotent)
{
    struct call *calls[4];
    struct started_calls started = {.known = true, .running_count = 4};
    unsigned start = fake.start_count - 1, first = fake.invoke_count;
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = fake_make(&fake, fake.tool);
        calls[i]->idempotent = idempotent;
        fake_send(&fake, calls[i]);
        started.running[i] = fake.invokes[first + i].call_id;
    }
    fake_die(&fake, start, SIGSEGV, &started);
    for (unsigned i = 4; i-- > 0 && !idempotent;)
        fake_expect(&fake, calls[i], CALL_END_CRASH, EXECUTED_MAYBE);
}

START_TEST(a_worker_that_dies_with_many_calls_is_one_loss)
{
    bool idempotent = _i;
    fake_init(&fake, fragile_but_not_glass);
    fake_ready(&fake, 0, 4);
    crash_with_four(idempotent);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_CLOSED);
    fake_ready(&fake, 1, 4);
    crash_with_four(idempotent);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_OPEN);
}
END_TEST

START_TEST(a_trial_that_dies_among_calls_from_before_opens_the_breaker_again)
{
    struct call *old, *trial;
    fake_init(&fake, fragile);
    fake_ready(&fake, 0, 2);
    old = fake_submit(&fake, fake.slow);
    fake_pass(&fake, 0);
    struct call *late = fake_make(&fake, fake.tool);
    fake.tool->spec.limits.run_us = 1000;
    fake_send(&fake, late);
    fake_pass(&fake, 1000);
    fake_expect(&fake, late, CALL_END_TIMEOUT, EXECUTED_MAYBE);
    fake_answer(&fake, 1, 10);
    fake_now_us += 30000000;
    trial = fake_submit(&fake, fake.tool);
    struct started_calls started = {.known = true,
                                    .running_count = 2,
                                    .running = {fake.invokes[0].call_id, fake.invokes[2].call_id}};
    fake_die(&fake, 0, SIGSEGV, &started);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_OPEN);
    fake_expect(&fake, trial, CALL_END_CRASH, EXECUTED_MAYBE);
    fake_expect(&fake, old, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_half_open_breaker_closes_with_its_trial)
{
    open_breaker();
    fake_now_us += 30000000;
    struct call *trial = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(trial->state, CALL_DISPATCHED);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_CIRCUIT_OPEN, EXECUTED_NO);
    fake_answer(&fake, fake.invoke_count - 1, 10);
    fake_expect(&fake, trial, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_CLOSED);
}
END_TEST

START_TEST(a_cancelled_trial_lets_the_next_call_try)
{
    open_breaker();
    fake_now_us += 30000000;
    struct call *trial = fake_submit(&fake, fake.tool);
    pool_cancel(fake.pool, trial);
    fake_expect(&fake, trial, CALL_END_CANCELLED, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_QUEUED);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_CIRCUIT_OPEN, EXECUTED_NO);
}
END_TEST

static TCase *of_a_pool(void)
{
    TCase *tests = tcase_create("of a pool");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, an_open_breaker_refuses_and_says_until_when);
    tcase_add_test(tests, a_worker_killed_from_outside_does_not_open_the_breaker);
    tcase_add_loop_test(tests, a_worker_that_dies_with_many_calls_is_one_loss, 0, 2);
    tcase_add_test(tests, a_trial_that_dies_among_calls_from_before_opens_the_breaker_again);
    tcase_add_test(tests, a_half_open_breaker_closes_with_its_trial);
    tcase_add_test(tests, a_cancelled_trial_lets_the_next_call_try);
    return tests;
}

int main(void)
{
    TCase *tests = tcase_create("breaker");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, losses_in_a_row_open_it);
    tcase_add_test(tests, a_success_between_losses_starts_the_count_anew);
    tcase_add_test(tests, a_cancelled_call_proves_nothing);
    tcase_add_test(tests, without_a_threshold_it_never_opens);
    tcase_add_test(tests, after_its_time_it_lets_one_trial_through);
    tcase_add_test(tests, a_successful_trial_closes_it);
    tcase_add_test(tests, a_lost_trial_opens_it_for_as_long_again);
    tcase_add_test(tests, a_cancelled_trial_is_given_back);
    tcase_add_test(tests, calls_from_before_decide_nothing_while_it_is_open);
    tcase_add_test(tests, its_states_have_names);
    Suite *suite = suite_create("breaker");
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, of_a_pool());
    return run_suite(suite);
}
