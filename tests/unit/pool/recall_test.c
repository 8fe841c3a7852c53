/* Calls that were sent ahead, and come back when what is before them takes too long. */
#include "fake.h"

#include "pool/inside.h"

#include "../base/run.h"

#include <string.h>

/* When a call that was sent ahead has waited for too long, by the defaults. */
enum { DUE_US = 1000 + 100000 };

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void alone(struct pool_options *options)
{
    fake_alone(options);
    options->queue_limit = 1000;
}

static void alone_at_first(struct pool_options *options)
{
    alone(options);
    options->max_workers = 2;
}

static void patient(struct pool_options *options)
{
    alone(options);
    options->ahead_budget_us = 1000000;
}

static void never(struct pool_options *options)
{
    alone(options);
    options->recall_after_us = 0;
}

/* Workers of one slot are there, and "echo" is known to be fast. The invocations of the test begin
 * with the second one. */
static void begin(void (*adjust)(struct pool_options *options))
{
    fake_begin(&fake, adjust);
    fake_measure(&fake, fake.tool, 10);
}

static struct call *submit(void)
{
    return fake_submit(&fake, fake.tool);
}

static void submit_all(struct call **out_calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        out_calls[i] = submit();
}

static void cancel_all(struct call **calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum call_executed executed = calls[i]->inflight ? EXECUTED_MAYBE : EXECUTED_NO;
        pool_cancel(fake.pool, calls[i]);
        fake_expect(&fake, calls[i], CALL_END_CANCELLED, executed);
    }
}

/* The n-th invocation comes back: it had not started. */
static void give_back(unsigned invoke)
{
    struct arena *memory = arena_new(0);
    const struct worker_answer answer = {.call_id = fake.invokes[invoke].call_id, .failed = true};
    pool_worker_answers(fake.pool, fake.invokes[invoke].worker, &answer, 1, memory);
    arena_unref(&memory);
}

static uint64_t worker_of(unsigned invoke)
{
    return fake.invokes[invoke].worker.number;
}

/* Both of two workers have a call, and the one of calls[0] another one, which was sent ahead and is
 * due now. */
static void lose_the_bet(struct call *calls[3])
{
    begin(NULL);
    submit_all(calls, 3);
    if (worker_of(3) != worker_of(1)) {
        struct call *other = calls[0];
        struct fake_invoke invoke = fake.invokes[1];
        calls[0] = calls[1];
        calls[1] = other;
        fake.invokes[1] = fake.invokes[2];
        fake.invokes[2] = invoke;
    }
    ck_assert_uint_eq(worker_of(3), worker_of(1));
    fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.recall_count, 1);
}

/* --- going back --- */

START_TEST(a_call_sent_ahead_goes_to_a_free_worker_when_what_is_before_it_takes_too_long)
{
    struct call *calls[3];
    lose_the_bet(calls);
    ck_assert_uint_eq(fake.recalls[0], fake.invokes[3].call_id);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, calls[1], CALL_END_RESULT, EXECUTED_YES);
    give_back(3);
    ck_assert_uint_eq(fake.invoke_count, 5);
    ck_assert_ptr_eq(fake.invokes[4].call, calls[2]);
    ck_assert_uint_eq(worker_of(4), worker_of(2));
    fake_answer(&fake, 4, 10);
    fake_expect(&fake, calls[2], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake_look(&fake).recalled, 1);
    ck_assert_uint_eq(fake_look(&fake).inflight, 1);
    cancel_all(calls, 1);
}
END_TEST

START_TEST(a_call_that_came_back_waits_in_its_turn_until_a_worker_is_free)
{
    struct call *calls[3];
    lose_the_bet(calls);
    struct call *last = submit();
    give_back(3);
    ck_assert_int_eq(calls[2]->state, CALL_QUEUED);
    fake_answer(&fake, 1, DUE_US);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_ptr_eq(fake.invokes[fake.invoke_count - 1].call, calls[2]);
    cancel_all(calls + 1, 2);
    cancel_all(&last, 1);
}
END_TEST

START_TEST(a_call_sent_ahead_stays_for_as_long_as_was_expected_and_a_while)
{
    struct call *calls[2];
    begin(alone);
    submit_all(calls, 2);
    fake_pass(&fake, DUE_US - 1);
    ck_assert_uint_eq(fake.recall_count, 0);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.recall_count, 1);
    cancel_all(calls, 2);
}
END_TEST

START_TEST(each_call_sent_ahead_has_its_own_time)
{
    struct call *calls[3];
    begin(alone);
    submit_all(calls, 2);
    fake_pass(&fake, 60000);
    calls[2] = submit();
    fake_pass(&fake, DUE_US - 60000);
    ck_assert_uint_eq(fake.recall_count, 1);
    fake_pass(&fake, 60000);
    ck_assert_uint_eq(fake.recall_count, 2);
    ck_assert_uint_eq(fake.recalls[1], fake.invokes[3].call_id);
    cancel_all(calls, 3);
}
END_TEST

START_TEST(a_call_is_recalled_once)
{
    struct call *calls[2];
    begin(alone);
    submit_all(calls, 2);
    for (unsigned i = 0; i < 10; i++)
        fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.recall_count, 1);
    cancel_all(calls, 2);
}
END_TEST

START_TEST(with_0_a_call_sent_ahead_stays)
{
    struct call *calls[2];
    begin(never);
    submit_all(calls, 2);
    fake_pass(&fake, 1000 * DUE_US);
    ck_assert_uint_eq(fake.recall_count, 0);
    cancel_all(calls, 2);
}
END_TEST

START_TEST(any_number_of_calls_is_recalled_at_once)
{
    enum { MANY = 80 };
    struct call *calls[1 + MANY];
    begin(patient);
    submit_all(calls, 1 + MANY);
    ck_assert_uint_eq(fake.invoke_count, 2 + MANY);
    fake_pass(&fake, 1000000);
    ck_assert_uint_eq(fake.recall_count, 0);
    fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.recall_count, MANY);
    cancel_all(calls, 1 + MANY);
}
END_TEST

START_TEST(of_a_worker_with_several_slots_those_are_recalled_that_have_none)
{
    struct call *calls[4];
    fake_init(&fake, alone);
    fake_ready(&fake, 0, 2);
    fake_measure(&fake, fake.tool, 10);
    submit_all(calls, 4);
    ck_assert_uint_eq(fake.invoke_count, 5);
    fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.recall_count, 2);
    ck_assert_uint_eq(fake.recalls[0], fake.invokes[3].call_id);
    ck_assert_uint_eq(fake.recalls[1], fake.invokes[4].call_id);
    cancel_all(calls, 4);
}
END_TEST

START_TEST(a_call_that_came_back_brings_another_worker)
{
    struct call *calls[2];
    begin(alone_at_first);
    submit_all(calls, 2);
    fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.start_count, 1);
    give_back(2);
    for (unsigned i = 0; i < 10 && fake.start_count < 2; i++)
        fake_pass(&fake, 25000);
    fake_attach(&fake);
    ck_assert_ptr_eq(fake.invokes[3].call, calls[1]);
    ck_assert_uint_eq(worker_of(3), 2);
    cancel_all(calls, 2);
}
END_TEST

/* --- as if it had not been sent --- */

START_TEST(the_worker_that_gave_a_call_back_counts_for_nothing)
{
    struct call *calls[3];
    lose_the_bet(calls);
    give_back(3);
    ck_assert_uint_eq(calls[2]->outcome.attempts, 0);
    ck_assert_str_eq(calls[2]->outcome.worker, "");
    fake_pass(&fake, 1000);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, calls[1], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(calls[2]->outcome.attempts, 1);
    ck_assert_uint_eq(calls[2]->outcome.queue_us, DUE_US + 1000);
    ck_assert_uint_eq(calls[2]->retries, 0);
    cancel_all(calls, 1);
    cancel_all(calls + 2, 1);
}
END_TEST

START_TEST(the_queues_limit_counts_the_time_ahead)
{
    struct call *calls[2];
    begin(alone);
    calls[0] = submit();
    calls[1] = fake_make(&fake, fake.tool);
    calls[1]->queue_timeout_us = DUE_US + 1000;
    fake_send(&fake, calls[1]);
    fake_pass(&fake, DUE_US);
    give_back(2);
    fake_pass(&fake, 999);
    ck_assert_int_eq(calls[1]->state, CALL_QUEUED);
    fake_pass(&fake, 1);
    fake_expect(&fake, calls[1], CALL_END_QUEUE_TIMEOUT, EXECUTED_NO);
    cancel_all(calls, 1);
}
END_TEST

START_TEST(a_call_that_came_back_says_nothing_of_the_pace_of_answers)
{
    struct call *calls[3];
    begin(alone);
    submit_all(calls, 3);
    fake_pass(&fake, DUE_US);
    give_back(2);
    fake_pass(&fake, 60000);
    give_back(3);
    ck_assert_uint_eq(fake.pool->queue.pace_answers, 0);
    ck_assert_uint_eq(fake.pool->queue.answer_every_us, 0);
    cancel_all(calls, 3);
}
END_TEST

START_TEST(a_stream_that_came_back_has_all_its_credit_again)
{
    struct call *calls[3] = {NULL};
    begin(NULL);
    submit_all(calls, 2);
    calls[2] = fake_make(&fake, fake.tool);
    calls[2]->window = 1000;
    fake_send(&fake, calls[2]);
    pool_credit(fake.pool, calls[2], 500);
    fake_pass(&fake, DUE_US);
    give_back(3);
    ck_assert_int_eq(calls[2]->state, CALL_QUEUED);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_ptr_eq(fake.invokes[4].call, calls[2]);
    ck_assert_int_eq(calls[2]->credit, 1000);
    cancel_all(calls + 1, 2);
}
END_TEST

/* --- those that do not come back --- */

START_TEST(a_call_that_had_started_when_it_was_recalled_is_answered_as_any)
{
    struct call *calls[3];
    lose_the_bet(calls);
    fake_answer(&fake, 1, DUE_US);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    fake_answer(&fake, 3, 10);
    fake_expect(&fake, calls[2], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake_look(&fake).recalled, 0);
    cancel_all(calls + 1, 1);
}
END_TEST

START_TEST(a_call_that_is_refused_unasked_does_not_come_back)
{
    begin(alone);
    struct call *call = submit();
    give_back(1);
    fake_expect(&fake, call, CALL_END_FAILURE, EXECUTED_NO);
}
END_TEST

START_TEST(a_recalled_call_that_is_cancelled_ends_once)
{
    struct call *calls[3];
    lose_the_bet(calls);
    cancel_all(calls + 2, 1);
    ck_assert_uint_eq(fake.cancel_count, 1);
    give_back(3);
    ck_assert_ptr_null(fake_posted(&fake));
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    ck_assert_uint_eq(fake_look(&fake).inflight, 2);
    fake_pass(&fake, 6000000); /* cancel_grace */
    ck_assert_uint_eq(fake.stop_count, 0);
    cancel_all(calls, 2);
}
END_TEST

START_TEST(a_recalled_call_whose_worker_dies_goes_elsewhere_once)
{
    struct call *calls[3];
    lose_the_bet(calls);
    fake_answer(&fake, 2, 10);
    fake_expect(&fake, calls[1], CALL_END_RESULT, EXECUTED_YES);
    fake_crash(&fake, 1);
    fake_expect(&fake, calls[0], CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake_look(&fake).requeued, 1);
    ck_assert_ptr_eq(fake.invokes[4].call, calls[2]);
    give_back(3);
    ck_assert_uint_eq(fake.invoke_count, 5);
    fake_answer(&fake, 4, 10);
    fake_expect(&fake, calls[2], CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_recalled_call_that_comes_back_after_its_deadline_ends)
{
    struct call *calls[2];
    begin(alone);
    calls[0] = submit();
    calls[1] = fake_make(&fake, fake.tool);
    calls[1]->timeout_us = DUE_US + 1000;
    fake_send(&fake, calls[1]);
    fake_pass(&fake, DUE_US);
    fake_now_us += 1000; /* the clock's thread is late */
    give_back(2);
    fake_expect(&fake, calls[1], CALL_END_DEADLINE, EXECUTED_NO);
    cancel_all(calls, 1);
}
END_TEST

START_TEST(a_recalled_call_that_comes_back_after_a_stop_has_ended)
{
    struct call *calls[3];
    lose_the_bet(calls);
    pool_stop(fake.pool, 1000);
    for (unsigned i = 0; i < 3; i++) {
        struct call *call = fake_posted(&fake);
        ck_assert_int_eq(call->outcome.end, CALL_END_SHUTDOWN);
        call_unref(&call);
    }
    give_back(3);
    ck_assert_ptr_null(fake_posted(&fake));
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
}
END_TEST

static void on_emission(struct call *call, const struct emission *emission)
{
    (void)call;
    (void)emission;
}

/* A worker that lies. */
START_TEST(a_stream_that_comes_back_though_it_has_emitted_has_failed)
{
    static const struct bytes bodies[] = {BYTES("1")};
    struct call *calls[2];
    begin(alone);
    calls[0] = submit();
    calls[1] = fake_make(&fake, fake.tool);
    calls[1]->window = 1000;
    calls[1]->on_emission = on_emission;
    fake_send(&fake, calls[1]);
    struct worker_emission emission = {.call_id = fake.invokes[2].call_id,
                                       .emission = {EMISSION_CHUNK, 1, bodies}};
    fake_pass(&fake, DUE_US);
    pool_worker_emits(fake.pool, fake.invokes[2].worker, &emission, 1);
    give_back(2);
    fake_expect(&fake, calls[1], CALL_END_FAILURE, EXECUTED_NO);
    cancel_all(calls, 1);
}
END_TEST

START_TEST(a_call_that_no_other_worker_may_run_is_not_recalled)
{
    struct session_options options = session_defaults();
    struct session_store *store = session_store_new(&options);
    struct session *session;
    struct call *calls[3];
    begin(alone);
    session_store_add(store, fake.pool, pool_end_session);
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &session);
    for (unsigned i = 0; i < 3; i++) {
        calls[i] = fake_make(&fake, fake.tool);
        if (i < 2) {
            calls[i]->session = session_find(store, session->id);
            calls[i]->affinity = AFFINITY_STRICT_QUEUE;
        }
        fake_send(&fake, calls[i]);
    }
    fake_pass(&fake, DUE_US);
    ck_assert_uint_eq(fake.recall_count, 1);
    ck_assert_uint_eq(fake.recalls[0], fake.invokes[3].call_id);
    cancel_all(calls, 3);
    session_store_stop(store);
    session_unref(&session);
    session_store_free(&store);
}
END_TEST

/* --- batches --- */

START_TEST(a_call_of_a_batch_tool_waits_for_the_batch_before_it)
{
    const struct tool_spec spec = {.name = BYTES("together"), .schema = BYTES("{}"), .batch = 2};
    char fault[TOOL_FAULT_MAX];
    struct call *calls[4];
    begin(alone);
    ck_assert(registry_announce(fake.registry, fake.pool, &spec, 1, fault));
    struct tool *tool = registry_find(fake.registry, BYTES("together"), NULL);
    fake_measure(&fake, tool, 500000);
    for (unsigned i = 0; i < 4; i++)
        calls[i] = fake_submit(&fake, tool);
    fake_pass(&fake, 500000 + DUE_US);
    ck_assert_uint_eq(fake.recall_count, 0);
    fake_pass(&fake, 10); /* what a call costs beside */
    ck_assert_uint_eq(fake.recall_count, 3);
    cancel_all(calls, 4);
}
END_TEST

/* --- the worker that is late --- */

START_TEST(nothing_is_sent_ahead_to_a_worker_that_is_late)
{
    struct call *calls[3];
    begin(alone);
    submit_all(calls, 2);
    fake_pass(&fake, DUE_US);
    give_back(2);
    calls[2] = submit();
    ck_assert_uint_eq(fake.invoke_count, 3);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 2);
    cancel_all(calls, 3);
}
END_TEST

START_TEST(a_late_worker_that_drops_a_cancelled_call_is_late_still)
{
    struct call *calls[3];
    begin(alone);
    submit_all(calls, 2);
    fake_pass(&fake, DUE_US);
    cancel_all(calls + 1, 1);
    give_back(2);
    calls[2] = submit();
    ck_assert_int_eq(calls[2]->state, CALL_QUEUED);
    cancel_all(calls, 1);
    cancel_all(calls + 2, 1);
}
END_TEST

START_TEST(calls_go_ahead_again_once_a_late_worker_has_run_one)
{
    struct call *calls[3];
    begin(alone);
    submit_all(calls, 3);
    fake_pass(&fake, DUE_US);
    give_back(2);
    give_back(3);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake.invoke_count, 6);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    cancel_all(calls + 1, 2);
}
END_TEST

START_TEST(a_worker_that_drains_leaves_without_what_was_sent_ahead)
{
    struct call *calls[3];
    lose_the_bet(calls);
    char id[WORKER_ID_MAX];
    memcpy(id, calls[2]->outcome.worker, sizeof id);
    fake_recycle(&fake, id);
    fake_attach(&fake);
    ck_assert_uint_eq(fake_count(&fake, WORKER_DRAINING), 1);
    give_back(3);
    ck_assert_uint_eq(worker_of(4), 3);
    ck_assert_uint_eq(fake.stop_count, 0);
    fake_answer(&fake, 1, DUE_US);
    fake_expect(&fake, calls[0], CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake.stop_count, 1);
    cancel_all(calls + 1, 2);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("recall");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests,
                   a_call_sent_ahead_goes_to_a_free_worker_when_what_is_before_it_takes_too_long);
    tcase_add_test(tests, a_call_that_came_back_waits_in_its_turn_until_a_worker_is_free);
    tcase_add_test(tests, a_call_sent_ahead_stays_for_as_long_as_was_expected_and_a_while);
    tcase_add_test(tests, each_call_sent_ahead_has_its_own_time);
    tcase_add_test(tests, a_call_is_recalled_once);
    tcase_add_test(tests, with_0_a_call_sent_ahead_stays);
    tcase_add_test(tests, any_number_of_calls_is_recalled_at_once);
    tcase_add_test(tests, of_a_worker_with_several_slots_those_are_recalled_that_have_none);
    tcase_add_test(tests, a_call_that_came_back_brings_another_worker);
    tcase_add_test(tests, the_worker_that_gave_a_call_back_counts_for_nothing);
    tcase_add_test(tests, the_queues_limit_counts_the_time_ahead);
    tcase_add_test(tests, a_call_that_came_back_says_nothing_of_the_pace_of_answers);
    tcase_add_test(tests, a_stream_that_came_back_has_all_its_credit_again);
    tcase_add_test(tests, a_call_that_had_started_when_it_was_recalled_is_answered_as_any);
    tcase_add_test(tests, a_call_that_is_refused_unasked_does_not_come_back);
    tcase_add_test(tests, a_recalled_call_that_is_cancelled_ends_once);
    tcase_add_test(tests, a_recalled_call_whose_worker_dies_goes_elsewhere_once);
    tcase_add_test(tests, a_recalled_call_that_comes_back_after_its_deadline_ends);
    tcase_add_test(tests, a_recalled_call_that_comes_back_after_a_stop_has_ended);
    tcase_add_test(tests, a_stream_that_comes_back_though_it_has_emitted_has_failed);
    tcase_add_test(tests, a_call_that_no_other_worker_may_run_is_not_recalled);
    tcase_add_test(tests, a_call_of_a_batch_tool_waits_for_the_batch_before_it);
    tcase_add_test(tests, nothing_is_sent_ahead_to_a_worker_that_is_late);
    tcase_add_test(tests, a_late_worker_that_drops_a_cancelled_call_is_late_still);
    tcase_add_test(tests, calls_go_ahead_again_once_a_late_worker_has_run_one);
    tcase_add_test(tests, a_worker_that_drains_leaves_without_what_was_sent_ahead);
    return run_case(tests, "recall");
}
