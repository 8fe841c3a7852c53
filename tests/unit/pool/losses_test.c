/* Which ends of calls the breaker of a pool counts as losses. */
#include "fake.h"

#include "../base/run.h"

#define SECOND UINT64_C(1000000)

static struct fake fake;

static void glass(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->breaker_threshold = 1;
}

static void not_quite_glass(struct pool_options *options)
{
    glass(options);
    options->breaker_threshold = 2;
}

static void glass_in_a_hurry(struct pool_options *options)
{
    glass(options);
    options->timeout_us = 5 * SECOND;
}

static void glass_with_silence(struct pool_options *options)
{
    glass(options);
    options->caps.idle_us = 2 * SECOND;
}

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void expect_breaker(enum breaker_state state)
{
    ck_assert_int_eq(fake_look(&fake).breaker, state);
}

/* A call with these limits hangs until it is ended. */
static void hang(uint64_t run_us, uint64_t total_us, uint64_t after_us, enum call_end end)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->run_timeout_us = run_us;
    call->timeout_us = total_us;
    fake_send(&fake, call);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_pass(&fake, after_us);
    fake_expect(&fake, call, end, EXECUTED_MAYBE);
}

START_TEST(a_limit_that_the_caller_chose_opens_nothing)
{
    fake_begin(&fake, glass);
    if (_i)
        hang(SECOND, 0, SECOND, CALL_END_TIMEOUT);
    else
        hang(0, SECOND, SECOND, CALL_END_DEADLINE);
    expect_breaker(BREAKER_CLOSED);
}
END_TEST

START_TEST(a_caller_who_would_wait_longer_changes_nothing)
{
    fake_begin(&fake, glass);
    hang(400 * SECOND, 500 * SECOND, 400 * SECOND, CALL_END_TIMEOUT);
    expect_breaker(BREAKER_OPEN);
}
END_TEST

START_TEST(a_tool_that_hangs_for_the_tools_own_limit_is_a_loss)
{
    fake_begin(&fake, glass);
    fake.slow->spec.limits.run_us = SECOND;
    hang(0, 0, SECOND, CALL_END_TIMEOUT);
    expect_breaker(BREAKER_OPEN);
}
END_TEST

START_TEST(a_tool_that_hangs_with_the_limits_of_the_house_is_a_timeout_and_a_loss)
{
    fake_begin(&fake, glass);
    hang(0, 0, 300 * SECOND, CALL_END_TIMEOUT);
    expect_breaker(BREAKER_OPEN);
}
END_TEST

/* One call occupies the worker for `waits_us`, and the next one hangs then. */
static void wait_and_hang(uint64_t waits_us, uint64_t runs_us)
{
    fake_begin(&fake, glass_in_a_hurry);
    struct call *first = fake_submit(&fake, fake.slow), *call = fake_submit(&fake, fake.slow);
    fake_now_us += waits_us;
    fake_answer(&fake, 0, waits_us);
    fake_expect(&fake, first, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_pass(&fake, runs_us);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
}

START_TEST(a_tool_that_hangs_after_its_call_has_waited_is_a_loss)
{
    wait_and_hang(SECOND, 4 * SECOND);
    expect_breaker(BREAKER_OPEN);
}
END_TEST

START_TEST(a_call_that_has_waited_for_most_of_its_time_is_no_loss)
{
    wait_and_hang(3 * SECOND, 2 * SECOND);
    expect_breaker(BREAKER_CLOSED);
}
END_TEST

START_TEST(what_was_sent_ahead_behind_a_tool_that_hangs_is_no_loss_of_its_own)
{
    struct call *calls[2];
    fake_begin(&fake, not_quite_glass);
    fake_measure(&fake, fake.tool, 10);
    for (unsigned i = 0; i < 2; i++)
        calls[i] = fake_submit(&fake, fake.tool);
    ck_assert_int_eq(calls[1]->state, CALL_DISPATCHED);
    fake_pass(&fake, 300 * SECOND);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_ptr_nonnull(fake_posted(&fake));
        ck_assert_int_eq(calls[i]->outcome.end, CALL_END_TIMEOUT);
        call_unref(&calls[i]);
    }
    expect_breaker(BREAKER_CLOSED);
}
END_TEST

static void ignore(struct call *call, const struct emission *emission)
{
    (void)call;
    (void)emission;
}

static struct call *begin_stream(uint64_t idle_us)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->window = 1000;
    call->idle_timeout_us = idle_us;
    return fake_send(&fake, call);
}

START_TEST(a_stream_that_falls_silent_is_a_loss_unless_its_caller_was_impatient)
{
    fake_begin(&fake, glass_with_silence);
    struct call *call = begin_stream(_i ? SECOND : 0);
    fake_pass(&fake, 2 * SECOND);
    fake_expect(&fake, call, CALL_END_STREAM_IDLE, EXECUTED_MAYBE);
    expect_breaker(_i ? BREAKER_CLOSED : BREAKER_OPEN);
}
END_TEST

START_TEST(a_stream_that_emits_for_as_long_as_it_may_is_no_loss)
{
    fake_begin(&fake, glass);
    struct call *call = begin_stream(0);
    const struct bytes body = BYTES("1");
    struct worker_emission emission = {.call_id = fake.invokes[0].call_id,
                                       .emission = {EMISSION_CHUNK, 1, &body}};
    call->on_emission = ignore;
    pool_worker_emits(fake.pool, fake.invokes[0].worker, &emission, 1);
    fake_pass(&fake, 900 * SECOND);
    fake_expect(&fake, call, CALL_END_TIMEOUT, EXECUTED_MAYBE);
    expect_breaker(BREAKER_CLOSED);
}
END_TEST

int main(void)
{
    TCase *losses = tcase_create("losses");
    tcase_add_checked_fixture(losses, NULL, tear_down);
    tcase_add_loop_test(losses, a_limit_that_the_caller_chose_opens_nothing, 0, 2);
    tcase_add_test(losses, a_caller_who_would_wait_longer_changes_nothing);
    tcase_add_test(losses, a_tool_that_hangs_for_the_tools_own_limit_is_a_loss);
    tcase_add_test(losses, a_tool_that_hangs_with_the_limits_of_the_house_is_a_timeout_and_a_loss);
    tcase_add_test(losses, a_tool_that_hangs_after_its_call_has_waited_is_a_loss);
    tcase_add_test(losses, a_call_that_has_waited_for_most_of_its_time_is_no_loss);
    tcase_add_test(losses, what_was_sent_ahead_behind_a_tool_that_hangs_is_no_loss_of_its_own);
    tcase_add_loop_test(losses,
                        a_stream_that_falls_silent_is_a_loss_unless_its_caller_was_impatient, 0, 2);
    tcase_add_test(losses, a_stream_that_emits_for_as_long_as_it_may_is_no_loss);
    return run_case(losses, "losses");
}
