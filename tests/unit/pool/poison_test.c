/* Requests that kill workers. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void poison_after_two(struct pool_options *options)
{
    fake_alone(options);
    options->poison_after = 2;
    options->poison_ttl_us = 10000000;
    options->max_retries = 5;
}

/* Two workers die of it. */
static void kill_twice(void)
{
    fake_begin(&fake, poison_after_two);
    struct call *call = fake_submit_idempotent(&fake, "bad");
    fake_crash_newest(&fake);
    fake_pass(&fake, 50000);
    fake_crash_newest(&fake);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}

START_TEST(a_request_that_kills_again_is_refused)
{
    kill_twice();
    fake_expect(&fake, fake_submit_idempotent(&fake, "bad"), CALL_END_POISON, EXECUTED_NO);
    ck_assert_uint_eq(fake_look(&fake).poisoned, 1);
}
END_TEST

/* Copies of one request: all the same arguments, none to be repeated. */
static void submit_copies(struct call *out_calls[], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        out_calls[i] = fake_make(&fake, fake.tool);
        out_calls[i]->args = BYTES("bad");
        fake_send(&fake, out_calls[i]);
    }
}

START_TEST(queued_copies_of_a_killer_stop_at_poison_after)
{
    struct call *copies[4];
    fake_begin(&fake, poison_after_two);
    submit_copies(copies, 4);
    struct call *good = fake_submit(&fake, fake.tool);
    for (unsigned i = 0; i < 2; i++) {
        fake_now_us += 1000;
        fake_crash_newest(&fake);
        fake_expect(&fake, copies[i], CALL_END_CRASH, EXECUTED_MAYBE);
    }
    ck_assert_uint_eq(copies[3]->outcome.queue_us, 2000);
    for (unsigned i = 2; i < 4; i++)
        fake_expect(&fake, copies[i], CALL_END_POISON, EXECUTED_NO);
    ck_assert_int_eq(good->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(copies_of_a_killer_that_were_sent_ahead_come_back_and_stop_too)
{
    struct call *copies[4];
    fake_begin(&fake, poison_after_two);
    fake_measure(&fake, fake.tool, 10);
    submit_copies(copies, 4);
    ck_assert_int_eq(copies[3]->state, CALL_DISPATCHED);
    fake_crash(&fake, 1);
    fake_expect(&fake, copies[0], CALL_END_CRASH, EXECUTED_MAYBE);
    fake_ready(&fake, 1, 1);
    fake_crash(&fake, 5);
    fake_expect(&fake, copies[1], CALL_END_CRASH, EXECUTED_MAYBE);
    for (unsigned i = 2; i < 4; i++)
        fake_expect(&fake, copies[i], CALL_END_POISON, EXECUTED_NO);
}
END_TEST

static void crowded(struct pool_options *options)
{
    poison_after_two(options);
    options->max_retries = 0;
}

/* A worker with four slots dies of `bad` among three calls with these arguments. */
static void crash_among(const char *others)
{
    struct call *calls[4];
    unsigned start = fake.start_count - 1, first = fake.invoke_count;
    struct started_calls started = {.known = true, .running_count = 4};
    while (fake_look(&fake).workers[WORKER_READY] == 0) {
        fake_pass(&fake, 10000);
        start = fake.start_count - 1;
        if (fake_look(&fake).workers[WORKER_STARTING])
            fake_ready(&fake, start, 4);
    }
    for (unsigned i = 0; i < 4; i++) {
        calls[i] = fake_submit_idempotent(&fake, i < 3 ? others : "bad");
        started.running[i] = fake.invokes[first + i].call_id;
    }
    fake_die(&fake, start, SIGSEGV, &started);
    for (unsigned i = 4; i-- > 0;)
        fake_expect(&fake, calls[i], CALL_END_CRASH, EXECUTED_MAYBE);
}

/* It is run, and answered. */
static void expect_answered(const char *args)
{
    while (fake_look(&fake).workers[WORKER_STARTING] == 0)
        fake_pass(&fake, 10000);
    fake_ready(&fake, fake.start_count - 1, 4);
    struct call *call = fake_submit_idempotent(&fake, args);
    fake_answer(&fake, fake.invoke_count - 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

START_TEST(a_killer_among_others_is_refused_in_the_end_and_what_was_answered_between_is_not)
{
    fake_init(&fake, crowded);
    crash_among("innocent");
    expect_answered("innocent");
    crash_among("another");
    fake_expect(&fake, fake_submit_idempotent(&fake, "bad"), CALL_END_POISON, EXECUTED_NO);
    expect_answered("innocent");
}
END_TEST

START_TEST(what_killed_while_it_ran_alone_is_not_forgotten_when_it_is_answered)
{
    fake_begin(&fake, crowded);
    struct call *call = fake_submit_idempotent(&fake, "bad");
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    expect_answered("bad");
    call = fake_submit_idempotent(&fake, "bad");
    fake_crash(&fake, fake.invoke_count - 1);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    fake_expect(&fake, fake_submit_idempotent(&fake, "bad"), CALL_END_POISON, EXECUTED_NO);
}
END_TEST

START_TEST(another_request_of_the_tool_is_not_refused)
{
    kill_twice();
    ck_assert_int_eq(fake_submit_idempotent(&fake, "good")->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(the_same_arguments_for_another_tool_are_not_refused)
{
    kill_twice();
    struct call *call = fake_make(&fake, fake.slow);
    call->args = BYTES("bad");
    ck_assert_int_eq(fake_send(&fake, call)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(poison_is_listed_and_forgiven)
{
    struct poison_entry entries[4];
    kill_twice();
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 1);
    ck_assert_ptr_eq(entries[0].tool, fake.tool);
    ck_assert_uint_eq(entries[0].kills, 2);
    ck_assert_uint_eq(pool_forgive(fake.pool, entries[0].fingerprint + 2), 0);
    ck_assert_uint_eq(pool_forgive(fake.pool, entries[0].fingerprint), 1);
    ck_assert_int_eq(fake_submit_idempotent(&fake, "bad")->state, CALL_DISPATCHED);
}
END_TEST

/* --- a list without a pool --- */

static struct poison list;
static struct arena *arena;
static struct call *suspect;

/* That blocks what has killed so often. */
static void open_list(unsigned kills)
{
    fake_init(&fake, fake_alone);
    arena = arena_new(0);
    suspect = call_new(arena);
    suspect->tool = fake.tool;
    poison_init(&list, kills, 0);
}

static void close_list(void)
{
    call_unref(&suspect);
    arena_unref(&arena);
}

/* A call with these arguments; there is one at a time. */
static struct call *suspect_of(const char *args)
{
    suspect->args = bytes_of(args);
    suspect->fingerprint = 0;
    return suspect;
}

/* So many others kill, each a worker of its own. */
static void note_others(unsigned count, bool alone)
{
    char text[16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%u", i);
        poison_note(&list, suspect_of(text), 3 + i, alone, 2 + i);
    }
}

START_TEST(the_list_of_poison_is_bounded_and_forgets_the_oldest)
{
    char last[16];
    open_list(1);
    note_others(POISON_MAX + 1, true);
    snprintf(last, sizeof last, "%u", POISON_MAX);
    ck_assert_uint_eq(list.count, POISON_MAX);
    ck_assert(poison_blocks(&list, suspect_of(last)));
    ck_assert(!poison_blocks(&list, suspect_of("0")));
    ck_assert_uint_eq(poison_clear(&list, 0), POISON_MAX);
    close_list();
}
END_TEST

START_TEST(what_has_killed_twice_outlives_any_number_of_suspects)
{
    open_list(2);
    poison_note(&list, suspect_of("bad"), 1, false, 0);
    poison_note(&list, suspect, 2, false, 1);
    note_others(2 * POISON_MAX, false);
    ck_assert(poison_blocks(&list, suspect_of("bad")));
    close_list();
}
END_TEST

START_TEST(poison_can_last_for_ever)
{
    open_list(1);
    poison_note(&list, suspect_of("bad"), 1, true, 1);
    poison_expire(&list, UINT64_MAX);
    ck_assert(poison_blocks(&list, suspect));
    close_list();
}
END_TEST

/* --- a pool again --- */

START_TEST(poison_is_forgotten_after_its_time)
{
    struct poison_entry entries[4];
    kill_twice();
    fake_pass(&fake, 9000000);
    ck_assert_uint_eq(fake_look(&fake).poisoned, 1);
    fake_pass(&fake, 2000000);
    ck_assert_uint_eq(fake_look(&fake).poisoned, 0);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
    ck_assert_int_eq(fake_submit_idempotent(&fake, "bad")->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(a_call_is_not_blamed_for_a_worker_killed_from_outside)
{
    struct poison_entry entries[4];
    fake_begin(&fake, poison_after_two);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
}
END_TEST

START_TEST(a_worker_that_was_told_to_leave_leaves_no_poison)
{
    struct poison_entry entries[4];
    fake_begin(&fake, poison_after_two);
    struct call *call = fake_submit(&fake, fake.tool);
    const struct worker_exit exit = {.expected = true, .cause = "exit"};
    const struct started_calls unknown = {.known = false};
    pool_worker_gone(fake.pool, fake.starts[0], &exit, &unknown);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
}
END_TEST

static void fresh_and_poisoned(struct pool_options *options)
{
    fake_alone(options);
    options->poison_after = 3;
}

START_TEST(one_request_alone_does_not_fail_a_pool_of_new_workers)
{
    struct call *copies[4];
    fake_begin(&fake, fresh_and_poisoned);
    submit_copies(copies, 3);
    copies[3] = fake_submit(&fake, fake.tool);
    for (unsigned i = 0; i < 3; i++) {
        fake_crash_newest(&fake);
        fake_expect(&fake, copies[i], CALL_END_CRASH, EXECUTED_MAYBE);
    }
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_int_eq(copies[3]->state, CALL_DISPATCHED);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("poison");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, a_request_that_kills_again_is_refused);
    tcase_add_test(tests, queued_copies_of_a_killer_stop_at_poison_after);
    tcase_add_test(tests, copies_of_a_killer_that_were_sent_ahead_come_back_and_stop_too);
    tcase_add_test(
        tests, a_killer_among_others_is_refused_in_the_end_and_what_was_answered_between_is_not);
    tcase_add_test(tests, what_killed_while_it_ran_alone_is_not_forgotten_when_it_is_answered);
    tcase_add_test(tests, another_request_of_the_tool_is_not_refused);
    tcase_add_test(tests, the_same_arguments_for_another_tool_are_not_refused);
    tcase_add_test(tests, poison_is_listed_and_forgiven);
    tcase_add_test(tests, the_list_of_poison_is_bounded_and_forgets_the_oldest);
    tcase_add_test(tests, what_has_killed_twice_outlives_any_number_of_suspects);
    tcase_add_test(tests, poison_is_forgotten_after_its_time);
    tcase_add_test(tests, poison_can_last_for_ever);
    tcase_add_test(tests, a_call_is_not_blamed_for_a_worker_killed_from_outside);
    tcase_add_test(tests, a_worker_that_was_told_to_leave_leaves_no_poison);
    tcase_add_test(tests, one_request_alone_does_not_fail_a_pool_of_new_workers);
    return run_case(tests, "poison");
}
