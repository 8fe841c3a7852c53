#include "base/histogram.h"

#include "run.h"

#include <math.h>

static const double bounds[] = {0.1, 1, 10};

START_TEST(observation_falls_into_the_first_bucket_that_holds_it)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3);
    static const double values[] = {-1, 0.1, 0.11, 1, 5, 10, 10.5, HUGE_VAL};
    static const uint64_t wanted[] = {2, 2, 2, 2};
    for (size_t i = 0; i < 8; i++)
        histogram_observe(&histogram, values[i]);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(histogram.counts[i], wanted[i]);
    ck_assert_uint_eq(histogram_total(&histogram), 8);
}
END_TEST

START_TEST(sum_adds_up)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3);
    histogram_observe(&histogram, 0.25);
    histogram_observe(&histogram, 100);
    ck_assert_double_eq(histogram.sum, 100.25);
}
END_TEST

START_TEST(not_a_number_is_not_counted)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3);
    histogram_observe(&histogram, (double)NAN);
    ck_assert_uint_eq(histogram_total(&histogram), 0);
    ck_assert_double_eq(histogram.sum, 0);
}
END_TEST

START_TEST(merged_histogram_has_seen_both)
{
    struct histogram one;
    struct histogram other;
    histogram_init(&one, bounds, 3);
    histogram_init(&other, bounds, 3);
    histogram_observe(&one, 0.5);
    histogram_observe(&other, 0.5);
    histogram_observe(&other, 50);
    histogram_merge(&one, &other);
    ck_assert_uint_eq(one.counts[1], 2);
    ck_assert_uint_eq(one.counts[3], 1);
    ck_assert_double_eq(one.sum, 51);
    ck_assert_uint_eq(histogram_total(&other), 2);
}
END_TEST

START_TEST(merging_other_bounds_aborts)
{
    static const double others[] = {1, 2, 3};
    struct histogram one;
    struct histogram other;
    histogram_init(&one, bounds, 3);
    histogram_init(&other, others, 3);
    histogram_merge(&one, &other);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("histogram");
    tcase_add_test(tests, observation_falls_into_the_first_bucket_that_holds_it);
    tcase_add_test(tests, sum_adds_up);
    tcase_add_test(tests, not_a_number_is_not_counted);
    tcase_add_test(tests, merged_histogram_has_seen_both);
    tcase_add_test_raise_signal(tests, merging_other_bounds_aborts, 6);
    return run_case(tests, "histogram");
}
