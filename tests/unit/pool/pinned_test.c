/* Calls that no worker but one may run: what is told of them while they wait, and that a worker
 * which is to go serves them first. */
#include "fake.h"

#include "../base/run.h"
#include "pool/affinity.h"
#include "pool/inside.h"

static struct fake fake;
static struct session_store *store;

static uint64_t now(void)
{
    return fake_now_us;
}

static void never_ahead(struct pool_options *options)
{
    options->ahead_budget_us = 0;
    options->queue_limit = 3;
    options->queue_timeout_us = options->timeout_us;
    options->min_workers = options->max_workers = 1;
}

static void ahead(struct pool_options *options)
{
    never_ahead(options);
    options->ahead_budget_us = 1000;
}

static void begin(void (*adjust)(struct pool_options *options))
{
    struct session_options options = session_defaults();
    options.now_us = now;
    fake_init(&fake, adjust);
    fake_attach(&fake);
    store = session_store_new(&options);
    session_store_add(store, fake.pool, pool_end_session);
}

static void set_up(void)
{
    begin(never_ahead);
}

static void set_up_ahead(void)
{
    begin(ahead);
}

static void tear_down(void)
{
    session_store_stop(store);
    fake_deinit(&fake);
    session_store_free(&store);
}

static struct call *make_for(struct bytes session, enum affinity affinity)
{
    struct call *call = fake_make(&fake, fake.slow);
    session_open(store, &(struct session_wish){.id = session}, &call->session);
    call->affinity = affinity;
    return call;
}

static struct call *make(enum affinity affinity)
{
    return make_for(BYTES("a"), affinity);
}

static struct call *submit(void)
{
    return fake_send(&fake, make(AFFINITY_STRICT_QUEUE));
}

/* The n-th invocation is answered, and this call with it. */
static void finish(unsigned invoke, struct call *call)
{
    ck_assert_ptr_eq(fake.invokes[invoke].call, call);
    fake_answer(&fake, invoke, 100);
    fake_expect(&fake, call, CALL_END_RESULT, EXECUTED_YES);
}

/* The first worker is to go: it drains, for its replacement is there. */
static void replace(void)
{
    ck_assert(pool_recycle(fake.pool, BYTES("default-1")));
    fake_attach(&fake);
    ck_assert_uint_eq(fake_look(&fake).workers[WORKER_DRAINING], 1);
}

/* --- while they wait --- */

START_TEST(the_oldest_is_looked_for_among_them_too)
{
    submit();
    submit();
    fake_now_us += 5000;
    submit();
    fake_now_us += 2000;
    ck_assert_uint_eq(fake_look(&fake).queue_oldest_us, 7000);
}
END_TEST

START_TEST(retry_after_counts_them_by_the_pace_of_their_worker)
{
    struct call *first = submit();
    submit();
    submit();
    fake_now_us += 1200000;
    finish(0, first);
    submit();
    submit(); /* three wait, 1.2 s each: 3.6 s */
    struct call *refused = submit();
    ck_assert_int_eq(refused->outcome.end, CALL_END_SATURATED);
    ck_assert_uint_eq(refused->outcome.retry_after_s, 4);
    fake_expect(&fake, refused, CALL_END_SATURATED, EXECUTED_NO);
}
END_TEST

START_TEST(a_deadline_that_cannot_be_met_behind_them_is_refused_at_once)
{
    struct call *first = submit();
    submit();
    submit();
    fake_now_us += 1000000;
    finish(0, first); /* one waits, 1 s and a sixteenth, and the tool takes 100 us */
    struct call *hopeless = make(AFFINITY_STRICT_QUEUE), *tight = make(AFFINITY_STRICT_QUEUE);
    hopeless->timeout_us = 1062500;
    tight->timeout_us = 1062700;
    fake_expect(&fake, fake_send(&fake, hopeless), CALL_END_UNREACHABLE, EXECUTED_NO);
    ck_assert_int_eq(fake_send(&fake, tight)->state, CALL_QUEUED);
}
END_TEST

START_TEST(no_call_is_sent_ahead_of_a_nested_one_that_waits_for_the_slot)
{
    fake_measure(&fake, fake.slow, 10);
    struct call *running = submit(), *nested = make(AFFINITY_STRICT_QUEUE);
    nested->depth = 1;
    fake_send(&fake, nested);
    fake_now_us++;
    struct call *later = fake_submit(&fake, fake.slow);
    ck_assert_int_eq(later->state, CALL_QUEUED);
    finish(1, running);
    finish(2, nested);
    finish(3, later);
}
END_TEST

/* --- their worker is to go --- */

START_TEST(a_worker_serves_those_that_wait_for_it_before_it_leaves)
{
    struct call *calls[] = {submit(), submit(), submit()};
    replace();
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(fake.stop_count, 0);
        finish(i, calls[i]);
        ck_assert_uint_eq(fake.invokes[i].worker.number, fake.starts[0].number);
    }
    ck_assert_uint_eq(fake.stop_count, 1);
    ck_assert_uint_eq(fake.stops[0].number, fake.starts[0].number);
}
END_TEST

START_TEST(it_serves_them_while_others_wait_for_any_worker)
{
    struct call *first = submit(), *pinned = submit();
    replace();
    struct call *busy = fake_submit(&fake, fake.slow), *other = fake_submit(&fake, fake.slow);
    ck_assert_uint_eq(fake.invokes[1].worker.number, fake.starts[1].number);
    finish(0, first);
    ck_assert_int_eq(other->state, CALL_QUEUED);
    finish(2, pinned);
    ck_assert_uint_eq(fake.stop_count, 1);
    finish(1, busy);
    finish(3, other);
}
END_TEST

START_TEST(a_new_call_of_the_session_is_not_for_it)
{
    struct call *first = submit(), *pinned = submit();
    replace();
    fake_expect(&fake, submit(), CALL_END_SESSION_LOST, EXECUTED_NO);
    finish(0, first);
    finish(1, pinned);
}
END_TEST

START_TEST(the_session_that_has_gone_elsewhere_stays_there)
{
    struct call *first = submit(), *pinned = submit();
    replace();
    fake_expect(&fake, submit(), CALL_END_SESSION_LOST, EXECUTED_NO);
    struct call *anew = submit();
    ck_assert_uint_eq(fake.invokes[1].worker.number, fake.starts[1].number);
    finish(0, first);
    finish(1, anew);
    finish(2, pinned);
    struct call *next = submit();
    ck_assert_uint_eq(fake.invokes[3].worker.number, fake.starts[1].number);
    finish(3, next);
}
END_TEST

START_TEST(a_call_whose_session_went_elsewhere_holds_up_nobody)
{
    struct call *first = submit(), *stray = submit();
    fake_now_us++;
    struct call *pinned = submit();
    session_delete(store, BYTES("a")); /* who is in keeps it */
    replace();
    struct call *hint = fake_make(&fake, fake.slow);
    hint->session = session_ref(stray->session);
    hint->affinity = AFFINITY_HINT;
    fake_send(&fake, hint); /* to the other worker, and the session with it */
    ck_assert_uint_eq(fake.invokes[1].worker.number, fake.starts[1].number);
    finish(0, first);
    fake_pass(&fake, 1000000); /* the next review */
    ck_assert_uint_eq(fake.stop_count, 1);
    finish(1, hint);
    finish(2, stray);
    finish(3, pinned);
    ck_assert_uint_eq(fake.invokes[2].worker.number, fake.starts[1].number);
}
END_TEST

START_TEST(it_leaves_when_those_that_wait_for_it_give_up)
{
    struct call *first = submit(), *pinned = submit();
    replace();
    pool_cancel(fake.pool, pinned);
    fake_expect(&fake, pinned, CALL_END_CANCELLED, EXECUTED_NO);
    finish(0, first);
    ck_assert_uint_eq(fake.stop_count, 1);
}
END_TEST

START_TEST(when_it_dies_they_are_lost_after_all)
{
    struct call *first = submit(), *pinned = submit();
    replace();
    fake_crash(&fake, 0);
    fake_expect(&fake, pinned, CALL_END_SESSION_LOST, EXECUTED_NO);
    fake_expect(&fake, first, CALL_END_CRASH, EXECUTED_MAYBE);
}
END_TEST

/* --- their worker dies --- */

static const struct call *watched; /* of a session that the worker has */
static unsigned awaited;           /* looks at the clock at which such a call would wait for it */

/* The pool looks in the midst of a death too: when it gives up what waited. */
static uint64_t now_watching(void)
{
    struct worker *only;
    if (watched)
        awaited += affinity_judge(fake.pool, watched, &only) == AFFINITY_ONE;
    return fake_now_us;
}

static void watching(struct pool_options *options)
{
    never_ahead(options);
    options->now_us = now_watching;
}

static void set_up_watching(void)
{
    watched = NULL;
    begin(watching);
}

/* A session may become a strict one meanwhile, and one of its calls may not have started. */
START_TEST(while_its_death_is_settled_no_call_begins_to_wait_for_it)
{
    struct call *other = make_for(BYTES("b"), AFFINITY_STRICT_QUEUE);
    finish(0, fake_send(&fake, other));
    struct call *unsent = make_for(BYTES("b"), AFFINITY_STRICT_QUEUE);
    struct call *running = submit(), *pinned = submit();
    watched = unsent;
    fake_crash(&fake, 1);
    watched = NULL;
    ck_assert_uint_eq(awaited, 1); /* before it was settled */
    fake_expect(&fake, pinned, CALL_END_SESSION_LOST, EXECUTED_NO);
    fake_expect(&fake, running, CALL_END_CRASH, EXECUTED_MAYBE);
    session_unref(&unsent->session);
    call_unref(&unsent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pinned");
    TCase *tests = tcase_create("pinned"), *sent = tcase_create("ahead");
    TCase *dying = tcase_create("dying");
    tcase_add_checked_fixture(dying, set_up_watching, tear_down);
    tcase_add_test(dying, while_its_death_is_settled_no_call_begins_to_wait_for_it);
    suite_add_tcase(suite, dying);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(sent, set_up_ahead, tear_down);
    tcase_add_test(sent, no_call_is_sent_ahead_of_a_nested_one_that_waits_for_the_slot);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, sent);
    tcase_add_test(tests, the_oldest_is_looked_for_among_them_too);
    tcase_add_test(tests, retry_after_counts_them_by_the_pace_of_their_worker);
    tcase_add_test(tests, a_deadline_that_cannot_be_met_behind_them_is_refused_at_once);
    tcase_add_test(tests, a_worker_serves_those_that_wait_for_it_before_it_leaves);
    tcase_add_test(tests, it_serves_them_while_others_wait_for_any_worker);
    tcase_add_test(tests, a_new_call_of_the_session_is_not_for_it);
    tcase_add_test(tests, the_session_that_has_gone_elsewhere_stays_there);
    tcase_add_test(tests, a_call_whose_session_went_elsewhere_holds_up_nobody);
    tcase_add_test(tests, it_leaves_when_those_that_wait_for_it_give_up);
    tcase_add_test(tests, when_it_dies_they_are_lost_after_all);
    return run_suite(suite);
}
