/* Streams: what calls say before they end, and how much they may. */
#include "fake.h"

#include "../base/run.h"
#include "pool/effects.h"

#include <stdio.h>

static struct fake fake;
static char heard[256]; /* bodies, with a mark of their kind before each */

static void on_emission(struct call *call, const struct emission *emission)
{
    (void)call;
    for (size_t i = 0; i < emission->count; i++) {
        size_t len = strlen(heard);
        snprintf(heard + len, sizeof heard - len, "%c%.*s", "cpl"[emission->kind],
                 (int)emission -> bodies[i].len, emission->bodies[i].data);
    }
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

static struct call *begin_with(void (*adjust)(struct pool_options *options), uint64_t window,
                               uint64_t idle_us, bool idempotent)
{
    heard[0] = '\0';
    fake_init(&fake, adjust);
    fake_attach(&fake);
    struct call *call = fake_make(&fake, fake.slow);
    call->window = window;
    call->idle_timeout_us = idle_us;
    call->idempotent = idempotent;
    call->on_emission = on_emission;
    return fake_send(&fake, call);
}

static struct call *begin(uint64_t window)
{
    return begin_with(NULL, window, 0, false);
}

/* The worker of the n-th invocation emits `count` times `body`. */
static void emit(unsigned invoke, enum emission_kind kind, const char *body, size_t count)
{
    struct bytes bodies[16];
    for (size_t i = 0; i < count; i++)
        bodies[i] = bytes_of(body);
    struct worker_emission emission = {
        .call_id = fake.invokes[invoke].call_id,
        .emission = {.kind = kind, .count = count, .bodies = bodies},
    };
    pool_worker_emits(fake.pool, fake.invokes[invoke].worker, &emission, 1);
}

static void finish(struct call *call)
{
    fake_answer(&fake, fake.invoke_count - 1, 1000);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

START_TEST(emissions_reach_the_caller_in_order_before_the_answer)
{
    struct call *call = begin(1000);
    emit(0, EMISSION_CHUNK, "1", 2);
    emit(0, EMISSION_PROGRESS, "2", 1);
    emit(0, EMISSION_LOG, "3", 1);
    ck_assert_str_eq(heard, "c1c1p2l3");
    ck_assert_uint_eq(fake_look(&fake).emitted[EMISSION_CHUNK], 2);
    finish(call);
}
END_TEST

/* Snakepit 64. */
START_TEST(credit_is_passed_on_while_the_call_lives)
{
    struct call *call = begin(100);
    pool_credit(fake.pool, call, 50);
    ck_assert_uint_eq(fake.credit_count, 1);
    ck_assert_uint_eq(fake.credits[0].call_id, fake.invokes[0].call_id);
    ck_assert_uint_eq(fake.credits[0].bytes, 50);
    call_ref(call);
    finish(call);
    pool_credit(fake.pool, call, 50);
    ck_assert_uint_eq(fake.credit_count, 1);
    call_unref(&call);
}
END_TEST

START_TEST(a_worker_may_overdraw_its_credit_once)
{
    struct call *call = begin(10);
    emit(0, EMISSION_CHUNK, "more than ten bytes", 1);
    ck_assert_str_eq(heard, "cmore than ten bytes");
    pool_credit(fake.pool, call, 100);
    emit(0, EMISSION_CHUNK, "x", 1);
    finish(call);
}
END_TEST

START_TEST(a_worker_that_emits_without_credit_loses_the_call)
{
    struct call *call = begin(10);
    emit(0, EMISSION_CHUNK, "a", 2);
    ck_assert_str_eq(heard, "");
    ck_assert_uint_eq(fake.cancel_count, 1);
    fake_expect(&fake, call, CALL_END_FAILURE, EXECUTED_MAYBE);
}
END_TEST

START_TEST(emissions_of_calls_that_ended_or_are_no_streams_are_dropped)
{
    struct call *call = begin(0);
    emit(0, EMISSION_CHUNK, "a", 1);
    finish(call);
    emit(0, EMISSION_CHUNK, "b", 1);
    ck_assert_str_eq(heard, "");
    ck_assert_uint_eq(fake_look(&fake).late_answers, 2);
}
END_TEST

START_TEST(a_stream_that_says_nothing_for_too_long_ends)
{
    struct call *call = begin_with(NULL, 1000, 100000, false);
    fake_pass(&fake, 90000);
    emit(0, EMISSION_CHUNK, "a", 1);
    fake_pass(&fake, 90000);
    emit(0, EMISSION_PROGRESS, "b", 1);
    ck_assert_ptr_null(fake_posted(&fake));
    fake_pass(&fake, 110000);
    fake_expect(&fake, call, CALL_END_STREAM_IDLE, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake.cancel_count, 1);
}
END_TEST

static void idle_for_a_second(struct pool_options *options)
{
    options->caps.idle_us = 1000000;
}

/* What of these three, the caller's, the tool's and the pool's, ends a silent stream. */
static void expect_silence(void (*adjust)(struct pool_options *options), uint64_t caller_us,
                           uint64_t tool_us, uint64_t expected_us)
{
    fake_init(&fake, adjust);
    fake_attach(&fake);
    fake.slow->spec.limits.idle_us = tool_us;
    struct call *call = fake_make(&fake, fake.slow);
    call->window = 1000;
    call->idle_timeout_us = caller_us;
    call->on_emission = on_emission;
    fake_send(&fake, call);
    fake_pass(&fake, expected_us - 1);
    ck_assert_ptr_null(fake_posted(&fake));
    fake_pass(&fake, 1);
    fake_expect(&fake, call, CALL_END_STREAM_IDLE, EXECUTED_MAYBE);
    fake_deinit(&fake);
}

START_TEST(of_caller_tool_and_pool_the_least_silence_holds)
{
    expect_silence(idle_for_a_second, 0, 0, 1000000);
    expect_silence(idle_for_a_second, 2000000, 3000000, 1000000);
    expect_silence(idle_for_a_second, 500000, 700000, 500000);
    expect_silence(idle_for_a_second, 700000, 500000, 500000);
    expect_silence(NULL, 0, 300000, 300000);
    begin(1000); /* for the end of every test */
}
END_TEST

START_TEST(a_tool_that_waits_for_its_reader_is_not_idle)
{
    struct call *call = begin_with(NULL, 10, 100000, false);
    emit(0, EMISSION_CHUNK, "a", 1);
    fake_pass(&fake, 1000000);
    ck_assert_ptr_null(fake_posted(&fake));
    pool_credit(fake.pool, call, 1000);
    fake_pass(&fake, 110000);
    fake_expect(&fake, call, CALL_END_STREAM_IDLE, EXECUTED_MAYBE);
}
END_TEST

START_TEST(streams_have_their_own_default_limit)
{
    struct call *call = begin(1000);
    fake_pass(&fake, UINT64_C(899000000));
    ck_assert_ptr_null(fake_posted(&fake));
    fake_pass(&fake, 2000000);
    fake_expect(&fake, call, CALL_END_TIMEOUT, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_stream_that_was_heard_is_not_run_again)
{
    struct call *call = begin_with(NULL, 1000, 0, true);
    emit(0, EMISSION_CHUNK, "a", 1);
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(an_idempotent_stream_that_was_not_heard_is_run_again)
{
    struct call *call = begin_with(NULL, 1000, 0, true);
    fake_crash(&fake, 0);
    ck_assert_ptr_null(fake_posted(&fake));
    fake_pass(&fake, 100000);
    ck_assert_uint_eq(fake.invoke_count, 2);
    emit(1, EMISSION_CHUNK, "a", 1);
    finish(call);
    ck_assert_str_eq(heard, "ca");
}
END_TEST

START_TEST(the_time_of_a_stream_says_nothing_of_its_tool)
{
    struct call *call = begin(1000);
    fake_answer(&fake, 0, 5);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_uint_eq(fake.slow->run_ewma_us, 0);
    ck_assert_uint_eq(fake.slow->run_median_us, 0);
}
END_TEST

START_TEST(more_emissions_than_one_set_of_effects_holds_are_all_dealt_with)
{
    enum { MANY = 3 * EFFECTS_MAX };
    struct call *call = begin(1);
    struct bytes bodies[2] = {BYTES("a"), BYTES("b")};
    struct worker_emission emissions[MANY];
    for (unsigned i = 0; i < MANY; i++)
        emissions[i] = (struct worker_emission){
            .call_id = fake.invokes[0].call_id,
            .emission = {.kind = EMISSION_CHUNK, .count = 2, .bodies = bodies}};
    pool_worker_emits(fake.pool, fake.invokes[0].worker, emissions, MANY);
    ck_assert_uint_eq(fake.cancel_count, 1);
    ck_assert_uint_eq(fake_look(&fake).late_answers, MANY - 1);
    fake_expect(&fake, call, CALL_END_FAILURE, EXECUTED_MAYBE);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("stream");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, emissions_reach_the_caller_in_order_before_the_answer);
    tcase_add_test(tests, credit_is_passed_on_while_the_call_lives);
    tcase_add_test(tests, a_worker_may_overdraw_its_credit_once);
    tcase_add_test(tests, a_worker_that_emits_without_credit_loses_the_call);
    tcase_add_test(tests, emissions_of_calls_that_ended_or_are_no_streams_are_dropped);
    tcase_add_test(tests, a_stream_that_says_nothing_for_too_long_ends);
    tcase_add_test(tests, of_caller_tool_and_pool_the_least_silence_holds);
    tcase_add_test(tests, a_tool_that_waits_for_its_reader_is_not_idle);
    tcase_add_test(tests, streams_have_their_own_default_limit);
    tcase_add_test(tests, a_stream_that_was_heard_is_not_run_again);
    tcase_add_test(tests, an_idempotent_stream_that_was_not_heard_is_run_again);
    tcase_add_test(tests, the_time_of_a_stream_says_nothing_of_its_tool);
    tcase_add_test(tests, more_emissions_than_one_set_of_effects_holds_are_all_dealt_with);
    return run_case(tests, "stream");
}
