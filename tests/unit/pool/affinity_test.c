/* Which worker a call goes to: by its session, and by what it is about. */
#include "fake.h"

#include "../base/run.h"

#include <stdio.h>

static struct fake fake;
static struct session_store *store;
static struct session *session;

static uint64_t now(void)
{
    return fake_now_us;
}

static void never_ahead(struct pool_options *options)
{
    options->ahead_budget_us = 0;
    options->queue_limit = 10;
}

static void begin(void (*adjust)(struct pool_options *options), unsigned slots)
{
    struct session_options options = session_defaults();
    options.now_us = now;
    fake_init(&fake, adjust);
    fake_ready(&fake, 0, slots);
    fake_ready(&fake, 1, slots);
    store = session_store_new(&options);
    session_store_add(store, fake.pool, pool_end_session);
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &session);
}

static void set_up(void)
{
    begin(never_ahead, 1);
}

static void tear_down(void)
{
    session_store_stop(store);
    session_unref(&session);
    fake_deinit(&fake);
    session_store_free(&store);
}

/* A call of the session, submitted, with this affinity of its own. */
static struct call *submit(enum affinity affinity)
{
    struct call *call = fake_make(&fake, fake.slow);
    struct session *own = session_find(store, session->id);
    call->session = own;
    call->session_id = own->id;
    call->affinity = affinity;
    return fake_send(&fake, call);
}

static struct call *submit_about(const char *key)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->affinity_key = bytes_of(key);
    return fake_send(&fake, call);
}

/* Number of the worker that got the n-th invocation. */
static uint64_t taker(unsigned invoke)
{
    ck_assert_uint_lt(invoke, fake.invoke_count);
    return fake.invokes[invoke].worker.number;
}

/* The n-th invocation is answered, and this call with it. */
static void finish(unsigned invoke, struct call *call)
{
    fake_answer(&fake, invoke, 100);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

/* Runs a call of the session to its end; returns its worker. */
static uint64_t run(enum affinity affinity)
{
    struct call *call = submit(affinity);
    finish(fake.invoke_count - 1, call);
    return taker(fake.invoke_count - 1);
}

static unsigned start_of(uint64_t number)
{
    unsigned start = 0;
    while (fake.starts[start].number != number)
        start++;
    return start;
}

/* Keeps that worker busy; returns the invocation. `out_call` gets the call, to be finished. */
static unsigned occupy(uint64_t number, struct call **out_call)
{
    struct call *other = NULL, *call = fake_submit(&fake, fake.slow);
    unsigned invoke = fake.invoke_count - 1, spare = invoke;
    if (taker(invoke) != number) {
        other = call;
        call = fake_submit(&fake, fake.slow);
        invoke = fake.invoke_count - 1;
    }
    ck_assert_uint_eq(taker(invoke), number);
    if (other)
        finish(spare, other);
    *out_call = call;
    return invoke;
}

/* --- hint --- */

/* Snakepit 15. */
START_TEST(calls_of_a_session_go_to_the_worker_of_the_last_one)
{
    uint64_t first = run(AFFINITY_HINT);
    struct call *other;
    unsigned invoke = occupy(first == 1 ? 2 : 1, &other);
    finish(invoke, other); /* the other one was used last, and would be chosen */
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(run(AFFINITY_HINT), first);
}
END_TEST

/* Snakepit 15. */
START_TEST(a_hint_falls_back_to_any_worker_and_stays_there)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_UNSAID); /* the pool's default */
    unsigned invoke = occupy(first, &busy);
    uint64_t second = run(AFFINITY_UNSAID);
    ck_assert_uint_ne(second, first);
    finish(invoke, busy);
    ck_assert_uint_eq(run(AFFINITY_UNSAID), second);
}
END_TEST

START_TEST(a_hint_survives_its_worker)
{
    uint64_t first = run(AFFINITY_HINT);
    fake_die(&fake, start_of(first), 11, NULL);
    ck_assert_uint_ne(run(AFFINITY_HINT), first);
}
END_TEST

/* --- strict --- */

/* Snakepit 16. */
START_TEST(a_strict_call_waits_for_its_worker_while_another_is_free)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    unsigned invoke = occupy(first, &busy);
    struct call *waiting = submit(AFFINITY_STRICT_QUEUE);
    ck_assert_int_eq(waiting->state, CALL_QUEUED);
    ck_assert_uint_eq(fake_look(&fake).pinned, 1);
    ck_assert_uint_eq(fake_look(&fake).queue_depth, 1);
    finish(invoke, busy);
    ck_assert_uint_eq(taker(fake.invoke_count - 1), first);
    ck_assert_uint_eq(fake_look(&fake).pinned, 0);
    finish(fake.invoke_count - 1, waiting);
}
END_TEST

/* Snakepit 17. */
START_TEST(calls_that_wait_for_one_worker_do_not_hold_up_others)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    unsigned invoke = occupy(first, &busy);
    struct call *waiting = submit(AFFINITY_STRICT_QUEUE);
    struct call *other = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(other->state, CALL_DISPATCHED);
    finish(fake.invoke_count - 1, other);
    finish(invoke, busy);
    finish(fake.invoke_count - 1, waiting);
}
END_TEST

/* Snakepit 17. */
START_TEST(a_worker_takes_in_turn_what_waits_for_it_and_for_any)
{
    struct call *busy[2];
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    unsigned begin_at = fake.invoke_count;
    fake_occupy(&fake, busy);
    unsigned bound = taker(begin_at) == first ? begin_at : begin_at + 1;
    struct call *calls[3];
    calls[0] = fake_submit(&fake, fake.slow);
    fake_now_us++;
    calls[1] = submit(AFFINITY_STRICT_QUEUE);
    fake_now_us++;
    calls[2] = fake_submit(&fake, fake.slow);
    finish(bound, busy[bound - begin_at]);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptr_eq(fake.invokes[begin_at + 2 + i].call, calls[i]);
        ck_assert_uint_eq(taker(begin_at + 2 + i), first);
        finish(begin_at + 2 + i, calls[i]);
    }
    finish(begin_at + begin_at + 1 - bound, busy[begin_at + 1 - bound]);
}
END_TEST

START_TEST(a_session_gets_its_worker_while_calls_of_it_wait)
{
    struct call *busy[2];
    unsigned begin_at = fake.invoke_count;
    fake_occupy(&fake, busy);
    struct call *one = submit(AFFINITY_STRICT_QUEUE), *two = submit(AFFINITY_STRICT_QUEUE);
    finish(begin_at, busy[0]);
    finish(begin_at + 1, busy[1]);
    ck_assert_int_eq(one->state, CALL_DISPATCHED);
    ck_assert_int_eq(two->state, CALL_QUEUED);
    finish(begin_at + 2, one);
    ck_assert_uint_eq(taker(begin_at + 3), taker(begin_at + 2));
    finish(begin_at + 3, two);
}
END_TEST

/* Snakepit 16. */
START_TEST(a_call_that_does_not_want_to_wait_is_refused_when_its_worker_is_busy)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_STRICT_FAIL_FAST);
    unsigned invoke = occupy(first, &busy);
    fake_expect(&fake, submit(AFFINITY_STRICT_FAIL_FAST), CALL_END_WORKER_BUSY, EXECUTED_NO);
    finish(invoke, busy);
    ck_assert_uint_eq(run(AFFINITY_STRICT_FAIL_FAST), first);
}
END_TEST

START_TEST(a_waiting_call_that_does_not_want_to_wait_for_its_worker_is_refused)
{
    struct call *busy[2];
    unsigned begin_at = fake.invoke_count;
    fake_occupy(&fake, busy);
    struct call *one = submit(AFFINITY_STRICT_QUEUE), *two = submit(AFFINITY_STRICT_FAIL_FAST);
    fake_answer(&fake, begin_at, 100);
    fake_expect(&fake, busy[0], CALL_END_RESULT, EXECUTED_YES);
    fake_expect(&fake, two, CALL_END_WORKER_BUSY, EXECUTED_NO);
    finish(begin_at + 1, busy[1]);
    finish(begin_at + 2, one);
}
END_TEST

START_TEST(a_call_may_ask_for_another_affinity_than_its_session)
{
    struct call *busy;
    ck_assert(session_change(session, &(struct session_wish){.affinity = AFFINITY_STRICT_QUEUE}));
    uint64_t first = run(AFFINITY_UNSAID);
    unsigned invoke = occupy(first, &busy);
    fake_expect(&fake, submit(AFFINITY_STRICT_FAIL_FAST), CALL_END_WORKER_BUSY, EXECUTED_NO);
    struct call *waiting = submit(AFFINITY_UNSAID);
    ck_assert_int_eq(waiting->state, CALL_QUEUED);
    finish(invoke, busy);
    finish(fake.invoke_count - 1, waiting);
}
END_TEST

START_TEST(a_call_that_asks_for_a_hint_does_not_move_a_strict_session)
{
    struct call *busy;
    ck_assert(session_change(session, &(struct session_wish){.affinity = AFFINITY_STRICT_QUEUE}));
    uint64_t first = run(AFFINITY_UNSAID);
    unsigned invoke = occupy(first, &busy);
    ck_assert_uint_ne(run(AFFINITY_HINT), first);
    finish(invoke, busy);
    ck_assert_uint_eq(run(AFFINITY_UNSAID), first);
}
END_TEST

START_TEST(a_nested_call_does_not_move_its_session)
{
    uint64_t first = run(AFFINITY_HINT);
    struct call *parent = submit(AFFINITY_HINT), *nested = fake_make(&fake, fake.slow);
    nested->session = session_find(store, session->id);
    nested->depth = 1;
    fake_send(&fake, nested);
    ck_assert_uint_ne(taker(fake.invoke_count - 1), first);
    finish(fake.invoke_count - 1, nested);
    finish(fake.invoke_count - 2, parent);
    ck_assert_uint_eq(run(AFFINITY_HINT), first);
}
END_TEST

/* --- workers that go --- */

static void leave_idle(void)
{
    ck_assert_ptr_null(pool_resize(fake.pool, 0, 2, 0));
    fake_pass(&fake, 3600000000);
}

START_TEST(a_worker_with_a_strict_session_is_not_idle)
{
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    leave_idle();
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 1);
    ck_assert_uint_eq(run(AFFINITY_STRICT_QUEUE), first);
}
END_TEST

START_TEST(a_worker_is_idle_once_its_strict_session_has_ended)
{
    run(AFFINITY_STRICT_QUEUE);
    struct bytes id = session->id;
    ck_assert(session_delete(store, id));
    session_unref(&session);
    leave_idle();
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 0);
}
END_TEST

START_TEST(a_worker_is_idle_once_its_session_is_not_strict_any_more)
{
    run(AFFINITY_STRICT_QUEUE);
    run(AFFINITY_HINT);
    leave_idle();
    ck_assert_uint_eq(fake_count(&fake, WORKER_READY), 0);
}
END_TEST

START_TEST(a_strict_session_is_lost_with_its_worker_once_and_then_begins_anew)
{
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    fake_die(&fake, start_of(first), 11, NULL);
    fake_expect(&fake, submit(AFFINITY_STRICT_QUEUE), CALL_END_SESSION_LOST, EXECUTED_NO);
    uint64_t second = run(AFFINITY_STRICT_QUEUE);
    ck_assert_uint_ne(second, first);
    ck_assert(fake.invokes[fake.invoke_count - 1].session_begins);
}
END_TEST

START_TEST(all_calls_that_wait_for_a_worker_are_lost_with_it)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    occupy(first, &busy);
    struct call *one = submit(AFFINITY_STRICT_QUEUE), *two = submit(AFFINITY_STRICT_QUEUE);
    fake_crash(&fake, fake.invoke_count - 1);
    fake_expect(&fake, one, CALL_END_SESSION_LOST, EXECUTED_NO);
    fake_expect(&fake, two, CALL_END_SESSION_LOST, EXECUTED_NO);
    fake_expect(&fake, busy, CALL_END_CRASH, EXECUTED_MAYBE);
    run(AFFINITY_STRICT_QUEUE);
}
END_TEST

START_TEST(calls_that_had_not_started_on_the_lost_worker_are_not_run_elsewhere)
{
    run(AFFINITY_STRICT_QUEUE);
    struct call *one = submit(AFFINITY_STRICT_QUEUE);
    uint64_t first = taker(fake.invoke_count - 1);
    fake_die(&fake, start_of(first), 11, NULL);
    fake_expect(&fake, one, CALL_END_SESSION_LOST, EXECUTED_NO);
    ck_assert_uint_ne(run(AFFINITY_STRICT_QUEUE), first);
}
END_TEST

START_TEST(a_strict_call_that_ran_is_not_run_again_elsewhere)
{
    struct call *call = fake_make(&fake, fake.slow);
    call->session = session_find(store, session->id);
    call->affinity = AFFINITY_STRICT_QUEUE;
    call->idempotent = true;
    fake_send(&fake, call);
    fake_crash(&fake, 0);
    fake_expect(&fake, call, CALL_END_CRASH, EXECUTED_MAYBE);
    fake_expect(&fake, submit(AFFINITY_STRICT_QUEUE), CALL_END_SESSION_LOST, EXECUTED_NO);
}
END_TEST

START_TEST(a_strict_session_is_lost_when_its_worker_is_replaced)
{
    char id[WORKER_ID_MAX];
    uint64_t first = run(AFFINITY_STRICT_QUEUE);
    snprintf(id, sizeof id, "default-%llu", (unsigned long long)first);
    ck_assert(pool_recycle(fake.pool, bytes_of(id)));
    ck_assert_uint_eq(run(AFFINITY_STRICT_QUEUE), first); /* it goes once there is another */
    fake_ready(&fake, 2, 1);
    fake_expect(&fake, submit(AFFINITY_STRICT_QUEUE), CALL_END_SESSION_LOST, EXECUTED_NO);
    ck_assert_uint_ne(run(AFFINITY_STRICT_QUEUE), first);
}
END_TEST

/* --- beginnings and ends, as workers see them --- */

START_TEST(a_session_begins_once_on_each_worker)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_HINT);
    ck_assert(fake.invokes[0].session_begins);
    run(AFFINITY_HINT);
    ck_assert(!fake.invokes[1].session_begins);
    unsigned invoke = occupy(first, &busy);
    run(AFFINITY_HINT);
    ck_assert(fake.invokes[fake.invoke_count - 1].session_begins);
    finish(invoke, busy);
    struct call *other;
    invoke = occupy(first == 1 ? 2 : 1, &other);
    ck_assert_uint_eq(run(AFFINITY_HINT), first);
    ck_assert(!fake.invokes[fake.invoke_count - 1].session_begins);
    finish(invoke, other);
}
END_TEST

START_TEST(a_session_begins_on_whoever_sits_where_a_worker_was)
{
    run(AFFINITY_HINT);
    fake_die(&fake, 0, 11, NULL);
    fake_die(&fake, 1, 11, NULL);
    fake.attached = 2;
    fake_attach(&fake);
    run(AFFINITY_HINT);
    ck_assert(fake.invokes[fake.invoke_count - 1].session_begins);
}
END_TEST

START_TEST(all_workers_of_a_session_hear_of_its_end)
{
    struct call *busy;
    uint64_t first = run(AFFINITY_HINT);
    unsigned invoke = occupy(first, &busy);
    run(AFFINITY_HINT);
    finish(invoke, busy);
    ck_assert(session_delete(store, BYTES("a")));
    ck_assert_uint_eq(fake.end_count, 0); /* the test still uses it */
    session_unref(&session);
    ck_assert_uint_eq(fake.end_count, 2);
}
END_TEST

START_TEST(a_worker_that_came_later_does_not_hear_of_the_end)
{
    uint64_t first = run(AFFINITY_HINT);
    fake_die(&fake, start_of(first), 11, NULL);
    session_delete(store, BYTES("a"));
    session_unref(&session);
    ck_assert_uint_eq(fake.end_count, 0);
}
END_TEST

START_TEST(the_end_is_not_told_when_a_session_of_that_id_is_there_again)
{
    struct session *again;
    run(AFFINITY_HINT);
    session_delete(store, BYTES("a"));
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &again);
    session_unref(&session);
    ck_assert_uint_eq(fake.end_count, 0);
    session = again;
    run(AFFINITY_HINT);
    ck_assert(fake.invokes[fake.invoke_count - 1].session_begins);
}
END_TEST

/* --- content --- */

static void one_of_four(struct pool_options *options)
{
    options->min_workers = options->max_workers = 4;
    options->queue_limit = 100;
    options->ahead_budget_us = 0;
}

static void set_up_content(void)
{
    begin(one_of_four, 4);
    fake_ready(&fake, 2, 4);
    fake_ready(&fake, 3, 4);
}

/* Runs a call about that to its end; returns its worker. */
static uint64_t run_about(const char *key)
{
    struct call *call = submit_about(key);
    finish(fake.invoke_count - 1, call);
    return taker(fake.invoke_count - 1);
}

START_TEST(calls_about_the_same_go_to_the_same_worker)
{
    unsigned used = 0;
    for (unsigned i = 0; i < 64; i++) {
        char key[8] = {'k', (char)('0' + i)};
        uint64_t first = run_about(key);
        used |= 1u << first;
        for (unsigned j = 0; j < 3; j++)
            ck_assert_uint_eq(run_about(key), first);
    }
    ck_assert_uint_eq(used, 0x1e); /* and different ones to all */
}
END_TEST

START_TEST(what_is_too_much_for_one_worker_goes_to_the_next)
{
    struct call *calls[12];
    unsigned loads[5] = {0};
    uint64_t first = 0, second = 0;
    for (unsigned i = 0; i < 12; i++) {
        calls[i] = submit_about("k");
        uint64_t number = taker(i);
        loads[number]++;
        first = i == 0 ? number : first;
        if (number != first && !second)
            second = number;
        /* never more than a quarter above its share of what there is */
        ck_assert_uint_le(loads[number], (5 * (i + 1) + 15) / 16);
    }
    ck_assert_uint_eq(loads[first], 4);
    for (unsigned i = 0; i < 12; i++)
        finish(i, calls[i]);
    ck_assert_uint_eq(run_about("k"), first);
    fake_die(&fake, start_of(first), 11, NULL);
    ck_assert_uint_eq(run_about("k"), second);
}
END_TEST

START_TEST(a_worker_that_has_loaded_it_goes_before_the_hash)
{
    const struct bytes labels[] = {BYTES("other"), BYTES("k")};
    uint64_t hashed = run_about("k"), loaded = hashed == 1 ? 2 : 1;
    pool_worker_loaded(fake.pool, fake.starts[start_of(loaded)], labels, 2);
    ck_assert_uint_eq(run_about("k"), loaded);
    pool_worker_loaded(fake.pool, fake.starts[start_of(loaded)], labels, 1);
    ck_assert_uint_eq(run_about("k"), hashed);
}
END_TEST

START_TEST(a_worker_that_has_loaded_it_but_no_free_slot_is_passed_over)
{
    const struct bytes label = BYTES("k");
    struct call *calls[5];
    uint64_t hashed = run_about("k"), loaded = hashed == 1 ? 2 : 1;
    pool_worker_loaded(fake.pool, fake.starts[start_of(loaded)], &label, 1);
    unsigned begin_at = fake.invoke_count;
    for (unsigned i = 0; i < 5; i++)
        calls[i] = submit_about("k");
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(taker(begin_at + i), loaded);
    ck_assert_uint_eq(taker(begin_at + 4), hashed);
    for (unsigned i = 0; i < 5; i++)
        finish(begin_at + i, calls[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("affinity");
    TCase *sessions = tcase_create("sessions"), *content = tcase_create("content");
    tcase_add_checked_fixture(sessions, set_up, tear_down);
    tcase_add_checked_fixture(content, set_up_content, tear_down);
    tcase_add_test(sessions, calls_of_a_session_go_to_the_worker_of_the_last_one);
    tcase_add_test(sessions, a_hint_falls_back_to_any_worker_and_stays_there);
    tcase_add_test(sessions, a_hint_survives_its_worker);
    tcase_add_test(sessions, a_strict_call_waits_for_its_worker_while_another_is_free);
    tcase_add_test(sessions, calls_that_wait_for_one_worker_do_not_hold_up_others);
    tcase_add_test(sessions, a_worker_takes_in_turn_what_waits_for_it_and_for_any);
    tcase_add_test(sessions, a_session_gets_its_worker_while_calls_of_it_wait);
    tcase_add_test(sessions, a_call_that_does_not_want_to_wait_is_refused_when_its_worker_is_busy);
    tcase_add_test(sessions, a_waiting_call_that_does_not_want_to_wait_for_its_worker_is_refused);
    tcase_add_test(sessions, a_call_may_ask_for_another_affinity_than_its_session);
    tcase_add_test(sessions, a_call_that_asks_for_a_hint_does_not_move_a_strict_session);
    tcase_add_test(sessions, a_nested_call_does_not_move_its_session);
    tcase_add_test(sessions, a_worker_with_a_strict_session_is_not_idle);
    tcase_add_test(sessions, a_worker_is_idle_once_its_strict_session_has_ended);
    tcase_add_test(sessions, a_worker_is_idle_once_its_session_is_not_strict_any_more);
    tcase_add_test(sessions, a_strict_session_is_lost_with_its_worker_once_and_then_begins_anew);
    tcase_add_test(sessions, all_calls_that_wait_for_a_worker_are_lost_with_it);
    tcase_add_test(sessions, calls_that_had_not_started_on_the_lost_worker_are_not_run_elsewhere);
    tcase_add_test(sessions, a_strict_call_that_ran_is_not_run_again_elsewhere);
    tcase_add_test(sessions, a_strict_session_is_lost_when_its_worker_is_replaced);
    tcase_add_test(sessions, a_session_begins_once_on_each_worker);
    tcase_add_test(sessions, a_session_begins_on_whoever_sits_where_a_worker_was);
    tcase_add_test(sessions, all_workers_of_a_session_hear_of_its_end);
    tcase_add_test(sessions, a_worker_that_came_later_does_not_hear_of_the_end);
    tcase_add_test(sessions, the_end_is_not_told_when_a_session_of_that_id_is_there_again);
    tcase_add_test(content, calls_about_the_same_go_to_the_same_worker);
    tcase_add_test(content, what_is_too_much_for_one_worker_goes_to_the_next);
    tcase_add_test(content, a_worker_that_has_loaded_it_goes_before_the_hash);
    tcase_add_test(content, a_worker_that_has_loaded_it_but_no_free_slot_is_passed_over);
    suite_add_tcase(suite, sessions);
    suite_add_tcase(suite, content);
    return run_suite(suite);
}
