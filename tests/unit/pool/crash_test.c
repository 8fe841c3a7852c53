/* Workers that die with calls: retries, poison, the breaker, crash loops. */
#include "fake.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>

static struct fake fake;

static void tear_down(void)
{
    fake_deinit(&fake);
}

static void alone(struct pool_options *options)
{
    options->min_workers = options->max_workers = 1;
    options->breaker_threshold = 0;
    options->poison_after = 0;
}

static void with_a_queue_of_one(struct pool_options *options)
{
    alone(options);
    options->queue_limit = 1;
}

static void poison_after_two(struct pool_options *options)
{
    alone(options);
    options->poison_after = 2;
    options->poison_ttl_us = 10000000;
    options->max_retries = 5;
}

static void fragile(struct pool_options *options)
{
    alone(options);
    options->breaker_threshold = 1;
}

static void begin(void (*adjust)(struct pool_options *options))
{
    fake_init(&fake, adjust);
    fake_ready(&fake, 0, 1);
}

/* The newest invocation's worker dies; the next one becomes ready, however long it takes. */
static void crash(void)
{
    fake_crash(&fake, fake.invoke_count - 1);
    unsigned starts = fake.start_count;
    while (fake_look(&fake).workers[WORKER_STARTING] == 0)
        fake_pass(&fake, 10000);
    fake_ready(&fake, starts == fake.start_count ? starts - 1 : starts, 1);
}

static struct call *submit_idempotent(const char *args)
{
    struct call *call = fake_make(&fake, fake.tool);
    call->idempotent = true;
    call->args = bytes_of(args);
    return fake_send(&fake, call);
}

/* Snakepit 68. */
START_TEST(an_idempotent_call_is_run_again_after_the_backoff)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    crash();
    fake_pass(&fake, 49999);
    ck_assert_int_eq(call->state, CALL_QUEUED);
    fake_pass(&fake, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_uint_eq(fake_look(&fake).retries, 1);
    fake_answer(&fake, 1, 10);
    ck_assert_uint_eq(call->outcome.attempts, 2);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

/* Snakepit 68. */
START_TEST(a_call_is_retried_max_retries_times_and_then_lost)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    crash();
    fake_pass(&fake, 50000);
    crash();
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

/* Snakepit 66. */
START_TEST(a_call_that_is_not_idempotent_is_not_run_again)
{
    begin(alone);
    struct call *call = fake_submit(&fake, fake.tool);
    crash();
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(fake_look(&fake).retries, 0);
}
END_TEST

START_TEST(going_elsewhere_before_it_started_is_no_retry)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    fake_die(&fake, 0, 9, NULL);
    fake_ready(&fake, 1, 1);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    crash();
    fake_pass(&fake, 50000);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    ck_assert_uint_eq(call->outcome.attempts, 3);
    ck_assert_uint_eq(fake_look(&fake).requeued, 1);
    ck_assert_uint_eq(fake_look(&fake).retries, 1);
}
END_TEST

/* Snakepit 68. */
START_TEST(a_retry_does_not_wait_beyond_the_deadline)
{
    begin(alone);
    struct call *call = fake_make(&fake, fake.tool);
    call->idempotent = true;
    call->timeout_us = 30000;
    fake_send(&fake, call);
    crash();
    fake_pass(&fake, 30000);
    fake_expect(&fake, call, CALL_END_DEADLINE, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_leaving_pool_retries_nothing)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    pool_drain(fake.pool);
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

START_TEST(a_call_cancelled_while_it_waits_for_its_retry_may_have_run)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    crash();
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    fake_pass(&fake, 50000);
    ck_assert_uint_eq(fake.invoke_count, 1);
}
END_TEST

START_TEST(a_call_that_waits_for_its_retry_is_counted)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    crash();
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 1);
    ck_assert_uint_eq(fake_look(&fake).retrying, 1);
    fake_pass(&fake, 50000);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 0);
    ck_assert_uint_eq(fake_look(&fake).retrying, 0);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_call_that_waits_for_its_retry_takes_room_in_the_queue)
{
    begin(with_a_queue_of_one);
    struct call *call = submit_idempotent("1");
    fake_crash(&fake, 0);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_SATURATED, EXECUTED_NO);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_QUEUED);
}
END_TEST

START_TEST(a_call_that_went_elsewhere_unstarted_has_not_run)
{
    begin(alone);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_die(&fake, 0, 9, NULL);
    pool_cancel(fake.pool, call);
    fake_expect(&fake, call, CALL_END_CANCELLED, EXECUTED_NO);
}
END_TEST

/* Two workers die of it. */
static void kill_twice(void)
{
    begin(poison_after_two);
    struct call *call = submit_idempotent("bad");
    crash();
    fake_pass(&fake, 50000);
    crash();
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
}

START_TEST(a_request_that_kills_again_is_refused)
{
    kill_twice();
    fake_expect(&fake, submit_idempotent("bad"), CALL_END_POISON, EXECUTED_NO);
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
    begin(poison_after_two);
    submit_copies(copies, 4);
    struct call *good = fake_submit(&fake, fake.tool);
    for (unsigned i = 0; i < 2; i++) {
        fake_now_us += 1000;
        crash();
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
    begin(poison_after_two);
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
        calls[i] = submit_idempotent(i < 3 ? others : "bad");
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
    struct call *call = submit_idempotent(args);
    fake_answer(&fake, fake.invoke_count - 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

START_TEST(a_killer_among_others_is_refused_in_the_end_and_what_was_answered_between_is_not)
{
    fake_init(&fake, crowded);
    crash_among("innocent");
    expect_answered("innocent");
    crash_among("another");
    fake_expect(&fake, submit_idempotent("bad"), CALL_END_POISON, EXECUTED_NO);
    expect_answered("innocent");
}
END_TEST

START_TEST(what_killed_while_it_ran_alone_is_not_forgotten_when_it_is_answered)
{
    begin(crowded);
    struct call *call = submit_idempotent("bad");
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    expect_answered("bad");
    call = submit_idempotent("bad");
    fake_crash(&fake, fake.invoke_count - 1);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    fake_expect(&fake, submit_idempotent("bad"), CALL_END_POISON, EXECUTED_NO);
}
END_TEST

START_TEST(another_request_of_the_tool_is_not_refused)
{
    kill_twice();
    ck_assert_int_eq(submit_idempotent("good")->state, CALL_DISPATCHED);
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
    ck_assert_int_eq(submit_idempotent("bad")->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(the_list_of_poison_is_bounded_and_forgets_the_oldest)
{
    static struct poison poison;
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    char text[16];
    fake_init(&fake, alone);
    call->tool = fake.tool;
    poison_init(&poison, 1, 0);
    for (unsigned i = 0; i <= POISON_MAX; i++) {
        snprintf(text, sizeof text, "%u", i);
        call->args = bytes_of(text);
        call->fingerprint = 0;
        poison_note(&poison, call, i + 1, true, i);
    }
    ck_assert_uint_eq(poison.count, POISON_MAX);
    ck_assert(poison_blocks(&poison, call));
    call->args = BYTES("0");
    call->fingerprint = 0;
    ck_assert(!poison_blocks(&poison, call));
    ck_assert_uint_eq(poison_clear(&poison, 0), POISON_MAX);
    call_unref(&call);
    arena_unref(&arena);
}
END_TEST

START_TEST(what_has_killed_twice_outlives_any_number_of_suspects)
{
    static struct poison poison;
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    char text[16];
    fake_init(&fake, alone);
    call->tool = fake.tool;
    poison_init(&poison, 2, 0);
    call->args = BYTES("bad");
    poison_note(&poison, call, 1, false, 0);
    poison_note(&poison, call, 2, false, 1);
    for (unsigned i = 0; i < 2 * POISON_MAX; i++) {
        snprintf(text, sizeof text, "%u", i);
        call->args = bytes_of(text);
        call->fingerprint = 0;
        poison_note(&poison, call, 3 + i, false, 2 + i);
    }
    call->args = BYTES("bad");
    call->fingerprint = 0;
    ck_assert(poison_blocks(&poison, call));
    call_unref(&call);
    arena_unref(&arena);
}
END_TEST

START_TEST(poison_is_forgotten_after_its_time)
{
    struct poison_entry entries[4];
    kill_twice();
    fake_pass(&fake, 9000000);
    ck_assert_uint_eq(fake_look(&fake).poisoned, 1);
    fake_pass(&fake, 2000000);
    ck_assert_uint_eq(fake_look(&fake).poisoned, 0);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
    ck_assert_int_eq(submit_idempotent("bad")->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(poison_can_last_for_ever)
{
    static struct poison poison;
    struct arena *arena = arena_new(0);
    struct call *call = call_new(arena);
    fake_init(&fake, alone);
    call->tool = fake.tool;
    poison_init(&poison, 1, 0);
    poison_note(&poison, call, 1, true, 1);
    poison_expire(&poison, UINT64_MAX);
    ck_assert(poison_blocks(&poison, call));
    call_unref(&call);
    arena_unref(&arena);
}
END_TEST

START_TEST(a_call_is_not_blamed_for_a_worker_killed_from_outside)
{
    struct poison_entry entries[4];
    begin(poison_after_two);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
}
END_TEST

START_TEST(an_idempotent_call_is_run_again_when_its_worker_is_killed_from_outside)
{
    begin(alone);
    struct call *call = submit_idempotent("1");
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_ready(&fake, 1, 1);
    fake_pass(&fake, 50000);
    ck_assert_int_eq(call->state, CALL_DISPATCHED);
    fake_answer(&fake, 1, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}
END_TEST

START_TEST(a_worker_that_was_told_to_leave_leaves_no_poison)
{
    struct poison_entry entries[4];
    begin(poison_after_two);
    struct call *call = fake_submit(&fake, fake.tool);
    const struct worker_exit exit = {.expected = true, .cause = "exit"};
    const struct started_calls unknown = {.known = false};
    pool_worker_gone(fake.pool, fake.starts[0], &exit, &unknown);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_uint_eq(pool_look_at_poison(fake.pool, entries, 4), 0);
}
END_TEST

static void open_breaker(void)
{
    begin(fragile);
    struct call *call = fake_submit(&fake, fake.tool);
    crash();
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
    begin(fragile);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_kill(&fake, 0, fake.invokes[0].call_id);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    ck_assert_int_eq(fake_look(&fake).breaker, BREAKER_CLOSED);
}
END_TEST

static void fragile_but_not_glass(struct pool_options *options)
{
    alone(options);
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
    late->run_timeout_us = 1000;
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

/* How long after so many early deaths in a row the next process is started. */
static uint64_t delay_after(unsigned deaths)
{
    fake_init(&fake, alone);
    uint64_t begun_us = fake_now_us;
    for (unsigned i = 0; i < deaths; i++) {
        while (fake.start_count == i)
            fake_pass(&fake, 1000);
        begun_us = fake_now_us;
        fake_die(&fake, i, 9, NULL);
    }
    while (fake.start_count == deaths)
        fake_pass(&fake, 1000);
    return fake_now_us - begun_us;
}

START_TEST(a_worker_that_dies_at_once_is_replaced_later_each_time)
{
    static const uint64_t delays[] = {0, 50000, 100000, 200000};
    ck_assert_uint_eq(delay_after((unsigned)_i + 1), delays[_i]);
}
END_TEST

START_TEST(ready_workers_killed_from_outside_are_replaced_at_once_each_time)
{
    begin(alone);
    for (unsigned i = 0; i < 10; i++) {
        fake_kill(&fake, i, 0);
        ck_assert_uint_eq(fake.start_count, i + 2);
        fake_ready(&fake, i + 1, 1);
    }
}
END_TEST

/* Snakepit 69. */
START_TEST(workers_that_crash_once_they_are_ready_are_replaced_later_each_time)
{
    begin(alone);
    fake_die(&fake, 0, SIGSEGV, NULL);
    fake_ready(&fake, 1, 1);
    fake_die(&fake, 1, SIGSEGV, NULL);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

START_TEST(workers_killed_from_outside_before_they_are_ready_are_replaced_later_each_time)
{
    fake_init(&fake, alone);
    fake_kill(&fake, 0, 0);
    fake_kill(&fake, 1, 0);
    ck_assert_uint_eq(fake.start_count, 2);
}
END_TEST

/* So many workers in a row die of their first call, each with arguments of its own; what comes
 * later is seen by the caller. */
static void flap_with_calls(unsigned times)
{
    static char args[16][8];
    begin(alone);
    for (unsigned i = 0; i < times; i++) {
        while (fake_look(&fake).workers[WORKER_STARTING] + fake_look(&fake).workers[WORKER_READY] ==
               0)
            fake_pass(&fake, 10000);
        if (i > 0)
            fake_ready(&fake, i, 1);
        snprintf(args[i], sizeof args[i], "%u", i);
        struct call *call = submit_idempotent(args[i]);
        call->idempotent = false;
        fake_crash(&fake, i);
        fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    }
}

/* Snakepit 69. */
START_TEST(workers_that_die_of_their_first_call_are_replaced_later_each_time)
{
    flap_with_calls(2);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_pass(&fake, 49999);
    ck_assert_uint_eq(fake.start_count, 2);
    fake_pass(&fake, 1);
    ck_assert_uint_eq(fake.start_count, 3);
}
END_TEST

START_TEST(a_pool_fails_whose_workers_all_die_of_their_first_call)
{
    flap_with_calls(3);
    ck_assert_int_eq(fake_look(&fake).state, POOL_FAILED);
    fake_expect(&fake, fake_submit(&fake, fake.tool), CALL_END_NO_WORKERS, EXECUTED_NO);
}
END_TEST

static void fresh_and_poisoned(struct pool_options *options)
{
    alone(options);
    options->poison_after = 3;
}

START_TEST(one_request_alone_does_not_fail_a_pool_of_new_workers)
{
    struct call *copies[4];
    begin(fresh_and_poisoned);
    submit_copies(copies, 3);
    copies[3] = fake_submit(&fake, fake.tool);
    for (unsigned i = 0; i < 3; i++) {
        crash();
        fake_expect(&fake, copies[i], CALL_END_CRASH, EXECUTED_MAYBE);
    }
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_int_eq(copies[3]->state, CALL_DISPATCHED);
}
END_TEST

/* So many workers in a row become ready and die before they have had a call. */
static void flap(unsigned times)
{
    begin(alone);
    for (unsigned i = 0; i < times; i++) {
        while (fake_look(&fake).workers[WORKER_STARTING] + fake_look(&fake).workers[WORKER_READY] ==
               0)
            fake_pass(&fake, 10000);
        if (i > 0)
            fake_ready(&fake, i, 1);
        fake_die(&fake, i, SIGSEGV, NULL);
    }
}

START_TEST(a_call_waits_for_the_third_worker_when_two_have_died_at_once)
{
    flap(2);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_QUEUED);
}
END_TEST

/* Snakepit 2. */
START_TEST(calls_are_refused_at_once_when_workers_die_as_soon_as_they_are_ready)
{
    flap(9);
    struct pool_view view = fake_look(&fake);
    ck_assert_int_eq(view.state, POOL_FAILED);
    ck_assert_str_eq(view.reason, "workers end before they have answered anything (segfault 11)");
    struct call *call = fake_submit(&fake, fake.tool);
    ck_assert_uint_eq(call->outcome.retry_after_s, 5);
    fake_expect(&fake, call, CALL_END_NO_WORKERS, EXECUTED_NO);
}
END_TEST

START_TEST(calls_that_wait_are_refused_when_the_third_worker_has_died_at_once)
{
    flap(2);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_pass(&fake, 50000);
    fake_die(&fake, 2, SIGSEGV, NULL);
    ck_assert_uint_eq(call->outcome.retry_after_s, 1);
    fake_expect(&fake, call, CALL_END_NO_WORKERS, EXECUTED_NO);
    ck_assert_uint_eq(fake.failed_events, 1);
}
END_TEST

START_TEST(a_pool_whose_workers_died_at_once_recovers_with_the_next_one)
{
    flap(4);
    fake_pass(&fake, 5000000);
    fake_ready(&fake, 4, 1);
    ck_assert_str_eq(fake_look(&fake).reason, "");
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
}
END_TEST

START_TEST(workers_that_die_at_once_do_not_fail_a_pool_that_has_another)
{
    fake_init(&fake, NULL);
    fake_ready(&fake, 0, 1);
    for (unsigned i = 1; i < 5; i++) {
        while (fake.start_count == i)
            fake_pass(&fake, 1000);
        fake_die(&fake, i, SIGSEGV, NULL);
    }
    ck_assert_int_ne(fake_look(&fake).state, POOL_FAILED);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(the_backoff_is_bounded)
{
    ck_assert_uint_eq(delay_after(20), 5000000);
}
END_TEST

/* Snakepit 69. */
START_TEST(an_answered_call_ends_the_backoff)
{
    delay_after(5);
    fake_ready(&fake, 5, 1);
    struct call *call = fake_submit(&fake, fake.tool);
    fake_answer(&fake, 0, 10);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
    fake_die(&fake, 5, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 7);
    fake_die(&fake, 6, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 8);
}
END_TEST

START_TEST(an_idle_worker_that_lived_for_long_did_not_die_early)
{
    delay_after(5);
    fake_ready(&fake, 5, 1);
    fake_pass(&fake, 5000000);
    fake_die(&fake, 5, 9, NULL);
    ck_assert_uint_eq(fake.start_count, 7);
}
END_TEST

START_TEST(a_pool_with_a_worker_does_not_fail_because_another_cannot_start)
{
    begin(alone);
    pool_fail(fake.pool, "no such module");
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_int_eq(fake_submit(&fake, fake.tool)->state, CALL_DISPATCHED);
}
END_TEST

START_TEST(a_failed_pool_recovers_with_its_first_worker)
{
    fake_init(&fake, alone);
    pool_fail(fake.pool, "no such module");
    ck_assert_int_eq(fake_look(&fake).state, POOL_FAILED);
    fake_ready(&fake, 0, 1);
    ck_assert_int_eq(fake_look(&fake).state, POOL_RUNNING);
    ck_assert_str_eq(fake_look(&fake).reason, "");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("crash");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, an_idempotent_call_is_run_again_after_the_backoff);
    tcase_add_test(tests, a_call_is_retried_max_retries_times_and_then_lost);
    tcase_add_test(tests, a_call_that_is_not_idempotent_is_not_run_again);
    tcase_add_test(tests, going_elsewhere_before_it_started_is_no_retry);
    tcase_add_test(tests, a_retry_does_not_wait_beyond_the_deadline);
    tcase_add_test(tests, a_leaving_pool_retries_nothing);
    tcase_add_test(tests, a_call_cancelled_while_it_waits_for_its_retry_may_have_run);
    tcase_add_test(tests, a_call_that_waits_for_its_retry_is_counted);
    tcase_add_test(tests, a_call_that_waits_for_its_retry_takes_room_in_the_queue);
    tcase_add_test(tests, a_call_that_went_elsewhere_unstarted_has_not_run);
    tcase_add_test(tests, a_request_that_kills_again_is_refused);
    tcase_add_test(tests, queued_copies_of_a_killer_stop_at_poison_after);
    tcase_add_test(tests, copies_of_a_killer_that_were_sent_ahead_come_back_and_stop_too);
    tcase_add_test(
        tests, a_killer_among_others_is_refused_in_the_end_and_what_was_answered_between_is_not);
    tcase_add_test(tests, what_killed_while_it_ran_alone_is_not_forgotten_when_it_is_answered);
    tcase_add_test(tests, what_has_killed_twice_outlives_any_number_of_suspects);
    tcase_add_test(tests, workers_that_die_of_their_first_call_are_replaced_later_each_time);
    tcase_add_test(tests, a_pool_fails_whose_workers_all_die_of_their_first_call);
    tcase_add_test(tests, one_request_alone_does_not_fail_a_pool_of_new_workers);
    tcase_add_test(tests, another_request_of_the_tool_is_not_refused);
    tcase_add_test(tests, the_same_arguments_for_another_tool_are_not_refused);
    tcase_add_test(tests, poison_is_listed_and_forgiven);
    tcase_add_test(tests, the_list_of_poison_is_bounded_and_forgets_the_oldest);
    tcase_add_test(tests, poison_is_forgotten_after_its_time);
    tcase_add_test(tests, poison_can_last_for_ever);
    tcase_add_test(tests, a_call_is_not_blamed_for_a_worker_killed_from_outside);
    tcase_add_test(tests, an_idempotent_call_is_run_again_when_its_worker_is_killed_from_outside);
    tcase_add_test(tests, a_worker_that_was_told_to_leave_leaves_no_poison);
    tcase_add_test(tests, an_open_breaker_refuses_and_says_until_when);
    tcase_add_test(tests, a_worker_killed_from_outside_does_not_open_the_breaker);
    tcase_add_loop_test(tests, a_worker_that_dies_with_many_calls_is_one_loss, 0, 2);
    tcase_add_test(tests, a_trial_that_dies_among_calls_from_before_opens_the_breaker_again);
    tcase_add_test(tests, a_half_open_breaker_closes_with_its_trial);
    tcase_add_test(tests, a_cancelled_trial_lets_the_next_call_try);
    tcase_add_loop_test(tests, a_worker_that_dies_at_once_is_replaced_later_each_time, 0, 4);
    tcase_add_test(tests, ready_workers_killed_from_outside_are_replaced_at_once_each_time);
    tcase_add_test(tests, workers_that_crash_once_they_are_ready_are_replaced_later_each_time);
    tcase_add_test(tests,
                   workers_killed_from_outside_before_they_are_ready_are_replaced_later_each_time);
    tcase_add_test(tests, a_call_waits_for_the_third_worker_when_two_have_died_at_once);
    tcase_add_test(tests, calls_are_refused_at_once_when_workers_die_as_soon_as_they_are_ready);
    tcase_add_test(tests, calls_that_wait_are_refused_when_the_third_worker_has_died_at_once);
    tcase_add_test(tests, a_pool_whose_workers_died_at_once_recovers_with_the_next_one);
    tcase_add_test(tests, workers_that_die_at_once_do_not_fail_a_pool_that_has_another);
    tcase_add_test(tests, the_backoff_is_bounded);
    tcase_add_test(tests, an_answered_call_ends_the_backoff);
    tcase_add_test(tests, an_idle_worker_that_lived_for_long_did_not_die_early);
    tcase_add_test(tests, a_pool_with_a_worker_does_not_fail_because_another_cannot_start);
    tcase_add_test(tests, a_failed_pool_recovers_with_its_first_worker);
    return run_case(tests, "crash");
}
