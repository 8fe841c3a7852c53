#include "pool/breaker.h"

#include "../base/run.h"

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
    return run_case(tests, "breaker");
}
