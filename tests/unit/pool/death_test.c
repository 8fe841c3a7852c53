/* Workers that die with calls: which are lost, which go elsewhere. */
#include "fake.h"
#include "pool/effects.h"

#include "../base/run.h"

#include <signal.h>

static struct fake fake;

static void set_up_ready(void)
{
    fake_begin(&fake, NULL);
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

START_TEST(a_running_call_is_lost_with_its_worker)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    struct started_calls started = {.known = true, .running_count = 1, .started_count = 1};
    started.running[0] = started.started[0] = fake.invokes[0].call_id;
    fake_die(&fake, victim, SIGSEGV, &started);
    ck_assert_int_eq(call->outcome.crash.signal, SIGSEGV);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
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
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_YES);
}
END_TEST

static struct started_calls left_behind(struct worker_answer *answers, unsigned count)
{
    struct started_calls left = {
        .known = true, .finished = answers, .finished_count = count, .memory = arena_new(0)};
    for (unsigned i = 0; i < count; i++)
        left.started[left.started_count++] = answers[i].call_id;
    return left;
}

START_TEST(an_answer_that_a_dead_worker_left_behind_is_given)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    struct worker_answer answer = {
        .call_id = fake.invokes[0].call_id, .started = true, .body = BYTES("1"), .run_us = 7};
    struct started_calls left = left_behind(&answer, 1);
    fake_now_us += 8;
    fake_die(&fake, victim, SIGKILL, &left);
    arena_unref(&left.memory);
    ck_assert_uint_eq(fake_look(&fake).recovered, 1);
    ck_assert_uint_eq(call->outcome.run_us, 7);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(an_answer_left_behind_twice_or_for_no_call_is_given_once)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    uint64_t id = fake.invokes[0].call_id;
    struct worker_answer answers[] = {
        {.call_id = id + 256, .started = true, .body = BYTES("0")},
        {.call_id = id, .started = true, .body = BYTES("1")},
        {.call_id = id, .failed = true, .started = true},
    };
    struct started_calls left = left_behind(answers, 3);
    fake_die(&fake, victim, SIGKILL, &left);
    arena_unref(&left.memory);
    ck_assert_uint_eq(fake_look(&fake).recovered, 1);
    ck_assert_uint_eq(fake_look(&fake).late_answers, 0);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(an_answer_to_a_stream_that_a_dead_worker_left_behind_is_not_given)
{
    struct call *call = fake_make(&fake, fake.tool);
    call->window = 1000;
    fake_send(&fake, call);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    struct worker_answer answer = {
        .call_id = fake.invokes[0].call_id, .started = true, .body = BYTES("1")};
    struct started_calls left = left_behind(&answer, 1);
    fake_die(&fake, victim, SIGKILL, &left);
    arena_unref(&left.memory);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_YES);
}
END_TEST

START_TEST(calls_that_never_started_go_elsewhere_in_their_order)
{
    struct call *calls[6];
    fake_measure(&fake, fake.tool, 10);
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

/* Snakepit 38. */
START_TEST(a_dead_worker_is_replaced_at_once)
{
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    ck_assert_uint_eq(fake.starts[2].seat, fake.starts[0].seat);
    ck_assert_uint_ne(fake.starts[2].number, fake.starts[0].number);
}
END_TEST

/* How its process ends says how the next one is to be started, and where. */
START_TEST(a_worker_that_nothing_reaches_takes_no_calls_and_is_replaced_when_it_is_gone)
{
    pool_worker_lost(fake.pool, fake.starts[0], "its stream ended");
    ck_assert_uint_eq(fake_look(&fake).workers[WORKER_DRAINING], 1);
    struct call *calls[2];
    for (unsigned i = 0; i < 2; i++)
        calls[i] = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake.invoke_count, 1);
    ck_assert_uint_eq(fake.invokes[0].worker.number, fake.starts[1].number);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.start_count, 2);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    ck_assert_uint_eq(fake.starts[2].seat, fake.starts[0].seat);
    ck_assert_uint_eq(fake_look(&fake).crashes, 1);
    fake_ready(&fake, 2, 1);
    for (unsigned i = 0; i < 2; i++) {
        fake_answer(&fake, i, 10);
        fake_expect(&fake, calls[i], CALL_END_RESULT, EXECUTED_YES);
    }
}
END_TEST

static struct call *lose_with_a_call(struct worker_exit *exit)
{
    struct call *call = fake_submit(&fake, fake.tool);
    struct started_calls started = {
        .known = true, .running_count = 1, .running = {fake.invokes[0].call_id}};
    pool_worker_lost(fake.pool, fake.invokes[0].worker, "its stream ended");
    pool_worker_gone(fake.pool, fake.invokes[0].worker, exit, &started);
    return call;
}

START_TEST(a_call_is_told_why_its_worker_was_killed)
{
    struct worker_exit exit = {.signal = SIGKILL, .cause = "killed"};
    struct call *call = lose_with_a_call(&exit);
    ck_assert_str_eq(call->outcome.crash.why, "its stream ended");
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

/* Its stream ends a moment before it does. */
START_TEST(no_other_reason_is_given_for_a_worker_that_ends_by_itself)
{
    struct worker_exit exit = {.signal = SIGSEGV, .cause = "segfault"};
    struct call *call = lose_with_a_call(&exit);
    ck_assert_ptr_null(call->outcome.crash.why);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_worker_that_was_told_to_leave_is_not_lost_when_its_stream_ends)
{
    ck_assert(pool_recycle(fake.pool, BYTES("default-1")));
    fake_ready(&fake, 2, 1);
    ck_assert_uint_eq(fake.stop_count, 1);
    pool_worker_lost(fake.pool, fake.starts[0], "its stream ended");
    fake_left(&fake, 0);
    ck_assert_uint_eq(fake_look(&fake).crashes, 0);
    ck_assert_uint_eq(fake.start_count, 3);
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
        fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
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
    fake_occupy(&fake, calls);
    calls[2] = fake_submit(&fake, fake.slow);
    fake_now_us += 9000000;
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    unsigned victim = fake.invokes[2].worker.number == fake.starts[0].number ? 0 : 1;
    fake_die(&fake, victim, SIGKILL, NULL);
    fake_pass(&fake, 1000000);
    fake_expect(&fake, calls[2], CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, calls[1], CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(ready_workers_go_on_when_no_more_can_be_started)
{
    pool_fail(fake.pool, "the file was edited");
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_str_eq(fake_look(&fake).reason, "the file was edited");
}
END_TEST

START_TEST(a_worker_that_dies_while_the_pool_drains_is_replaced_for_what_waits)
{
    struct call *calls[3];
    fake_occupy(&fake, calls);
    calls[2] = fake_submit(&fake, fake.slow);
    pool_drain(fake.pool);
    fake_die(&fake, 0, SIGKILL, NULL);
    ck_assert_uint_eq(fake.start_count, 3);
    fake_ready(&fake, 2, 1);
    fake_die(&fake, 1, SIGKILL, NULL);
    fake_pass(&fake, 50000);
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

/* Snakepit 23. */
START_TEST(an_answer_from_a_dead_worker_changes_nothing)
{
    struct call *call = fake_submit(&fake, fake.tool);
    unsigned victim = fake.invokes[0].worker.number == fake.starts[0].number ? 0 : 1;
    fake_die(&fake, victim, SIGKILL, NULL);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 0, 10);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_hundred_dispatches_at_once_lose_none)
{
    struct call *calls[100];
    fake_measure(&fake, fake.tool, 1);
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
    TCase *tests = tcase_create("death");
    tcase_add_checked_fixture(tests, set_up_ready, tear_down);
    tcase_add_test(tests, a_running_call_is_lost_with_its_worker);
    tcase_add_test(tests, a_call_that_had_finished_but_was_not_answered_was_executed);
    tcase_add_test(tests, an_answer_that_a_dead_worker_left_behind_is_given);
    tcase_add_test(tests, an_answer_left_behind_twice_or_for_no_call_is_given_once);
    tcase_add_test(tests, an_answer_to_a_stream_that_a_dead_worker_left_behind_is_not_given);
    tcase_add_test(tests, calls_that_never_started_go_elsewhere_in_their_order);
    tcase_add_test(tests, a_dead_worker_is_replaced_at_once);
    tcase_add_test(tests,
                   a_worker_that_nothing_reaches_takes_no_calls_and_is_replaced_when_it_is_gone);
    tcase_add_test(tests, a_call_is_told_why_its_worker_was_killed);
    tcase_add_test(tests, no_other_reason_is_given_for_a_worker_that_ends_by_itself);
    tcase_add_test(tests, a_worker_that_was_told_to_leave_is_not_lost_when_its_stream_ends);
    tcase_add_test(tests, a_worker_that_dies_at_once_again_and_again_is_replaced_more_slowly);
    tcase_add_test(tests, a_young_worker_that_has_served_is_replaced_at_once);
    tcase_add_test(tests, a_requeued_call_keeps_the_time_it_has_waited);
    tcase_add_test(tests, ready_workers_go_on_when_no_more_can_be_started);
    tcase_add_test(tests, a_worker_that_dies_while_the_pool_drains_is_replaced_for_what_waits);
    tcase_add_test(tests, an_answer_from_a_dead_worker_changes_nothing);
    tcase_add_test(tests, a_hundred_dispatches_at_once_lose_none);
    return run_case(tests, "death");
}
