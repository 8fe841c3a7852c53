#include "pool/queue.h"

#include "../base/run.h"

enum { STEP_US = 1000 };

static struct call_queue queue;
static struct call calls[16];
static uint64_t number; /* of calls so far */

static void set_up(void)
{
    queue_init(&queue);
    for (unsigned i = 0; i < 16; i++) {
        calls[i] = (struct call){.priority = 3};
        list_init(&calls[i].place);
    }
}

static struct call *put(unsigned i, unsigned priority, uint64_t at_us)
{
    calls[i].priority = priority;
    calls[i].submitted_us = calls[i].enqueued_us = at_us;
    calls[i].turn_us = at_us + priority * STEP_US;
    calls[i].number = ++number;
    queue_put(&queue, &calls[i], at_us);
    return &calls[i];
}

static void put_back(unsigned i, uint64_t at_us)
{
    calls[i].enqueued_us = at_us;
    calls[i].outcome.attempts++;
    queue_put(&queue, &calls[i], at_us);
}

static void expect_next(unsigned i)
{
    ck_assert_ptr_eq(queue_first(&queue), &calls[i]);
    queue_remove(&queue, &calls[i]);
}

START_TEST(an_empty_queue_has_nobody)
{
    ck_assert_ptr_null(queue_first(&queue));
    ck_assert_uint_eq(queue_oldest_us(&queue), UINT64_MAX);
}
END_TEST

START_TEST(first_come_first_served_within_a_priority)
{
    for (unsigned i = 0; i < 4; i++)
        put(i, 3, 10 + i / 2);
    for (unsigned i = 0; i < 4; i++)
        expect_next(i);
    ck_assert_uint_eq(queue.depth, 0);
}
END_TEST

START_TEST(the_more_urgent_overtakes)
{
    put(0, 3, 10);
    put(1, 0, 20);
    expect_next(1);
    expect_next(0);
}
END_TEST

START_TEST(who_comes_a_step_for_each_level_later_does_not_overtake)
{
    put(0, 7, 0);
    put(1, 0, 7 * STEP_US - 1);
    put(2, 0, 7 * STEP_US + 1);
    expect_next(1);
    expect_next(0);
    expect_next(2);
}
END_TEST

START_TEST(the_least_urgent_does_not_starve_among_urgent_ones_that_keep_coming)
{
    unsigned served = 0;
    put(0, 7, 0);
    put(1, 0, 0);
    while (queue_first(&queue) != &calls[0]) {
        queue_remove(&queue, &calls[1]);
        put(1, 0, ++served * 100);
        ck_assert_uint_le(served, 71);
    }
}
END_TEST

START_TEST(a_call_that_lost_its_worker_goes_before_those_that_came_later)
{
    for (unsigned i = 0; i < 4; i++)
        put(i, 3, 10 * i);
    queue_remove(&queue, &calls[0]);
    queue_remove(&queue, &calls[1]);
    put_back(1, 100);
    put_back(0, 100);
    for (unsigned i = 0; i < 4; i++)
        expect_next(i);
}
END_TEST

START_TEST(a_call_that_comes_back_does_not_pass_older_ones_that_did_too)
{
    for (unsigned i = 0; i < 3; i++)
        put(i, 3, 10 * i);
    queue_remove(&queue, &calls[0]);
    queue_remove(&queue, &calls[1]);
    put_back(0, 100);
    put_back(1, 200);
    for (unsigned i = 0; i < 3; i++)
        expect_next(i);
}
END_TEST

START_TEST(nested_calls_go_before_what_came_after_their_root_in_their_own_order)
{
    put(0, 3, 10);
    put(1, 3, 30);
    for (unsigned i = 2; i < 5; i++) {
        calls[i].depth = 1;
        put(i, 3, 20); /* the root's */
        calls[i].enqueued_us = 40;
    }
    ck_assert_uint_eq(queue_oldest_us(&queue), 10);
    expect_next(0);
    ck_assert_uint_eq(queue_oldest_us(&queue), 30);
    for (unsigned i = 2; i < 5; i++)
        expect_next(i);
    expect_next(1);
}
END_TEST

START_TEST(the_oldest_is_who_waits_longest_not_who_came_first)
{
    put(0, 3, 10);
    put(1, 3, 20);
    put(2, 5, 30);
    queue_remove(&queue, &calls[0]);
    put_back(0, 100);
    ck_assert_uint_eq(queue_oldest_us(&queue), 20);
    queue_remove(&queue, &calls[1]);
    ck_assert_uint_eq(queue_oldest_us(&queue), 30);
}
END_TEST

START_TEST(ahead_of_a_call_are_those_of_its_priority_and_more_urgent)
{
    put(0, 0, 1);
    put(1, 3, 2);
    put(2, 7, 3);
    queue.answer_every_us = 10;
    ck_assert_uint_eq(queue_ahead_us(&queue, 0), 10);
    ck_assert_uint_eq(queue_ahead_us(&queue, 3), 20);
    ck_assert_uint_eq(queue_ahead_us(&queue, 7), 30);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("queue");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, an_empty_queue_has_nobody);
    tcase_add_test(tests, first_come_first_served_within_a_priority);
    tcase_add_test(tests, the_more_urgent_overtakes);
    tcase_add_test(tests, who_comes_a_step_for_each_level_later_does_not_overtake);
    tcase_add_test(tests, the_least_urgent_does_not_starve_among_urgent_ones_that_keep_coming);
    tcase_add_test(tests, a_call_that_lost_its_worker_goes_before_those_that_came_later);
    tcase_add_test(tests, a_call_that_comes_back_does_not_pass_older_ones_that_did_too);
    tcase_add_test(tests, nested_calls_go_before_what_came_after_their_root_in_their_own_order);
    tcase_add_test(tests, the_oldest_is_who_waits_longest_not_who_came_first);
    tcase_add_test(tests, ahead_of_a_call_are_those_of_its_priority_and_more_urgent);
    return run_case(tests, "queue");
}
