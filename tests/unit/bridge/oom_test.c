#include "bridge/oom.h"

#include "../base/run.h"

static struct oom oom;

static void set_up(void)
{
    oom_init(&oom, 3);
}

START_TEST(what_was_counted_before_explains_no_death)
{
    ck_assert(!oom_claim(&oom, 3));
}
END_TEST

START_TEST(each_kill_explains_one_death)
{
    ck_assert(oom_claim(&oom, 5));
    ck_assert(oom_claim(&oom, 5));
    ck_assert(!oom_claim(&oom, 5));
    ck_assert(oom_claim(&oom, 6));
}
END_TEST

START_TEST(a_kill_that_nobody_claims_in_time_was_of_somebody_else)
{
    oom_settle(&oom, 4);
    oom_settle(&oom, 4);
    ck_assert(!oom_claim(&oom, 4));
    ck_assert(oom_claim(&oom, 5));
}
END_TEST

START_TEST(a_process_may_take_a_while_to_die)
{
    oom_settle(&oom, 4);
    ck_assert(oom_claim(&oom, 4));
    oom_settle(&oom, 4);
    ck_assert(!oom_claim(&oom, 4));
}
END_TEST

START_TEST(a_count_that_cannot_be_read_for_once_explains_nothing_later)
{
    ck_assert(!oom_claim(&oom, 0));
    oom_settle(&oom, 0);
    oom_settle(&oom, 3);
    ck_assert(!oom_claim(&oom, 3));
    ck_assert(oom_claim(&oom, 4));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("oom");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, what_was_counted_before_explains_no_death);
    tcase_add_test(tests, each_kill_explains_one_death);
    tcase_add_test(tests, a_kill_that_nobody_claims_in_time_was_of_somebody_else);
    tcase_add_test(tests, a_process_may_take_a_while_to_die);
    tcase_add_test(tests, a_count_that_cannot_be_read_for_once_explains_nothing_later);
    return run_case(tests, "oom");
}
