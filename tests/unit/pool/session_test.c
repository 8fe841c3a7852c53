/* The store of sessions: ids, lifetimes, quotas. */
#include "pool/session.h"

#include "../base/run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t now_us = 1000000;
static struct session_store *store;

static uint64_t now(void)
{
    return now_us;
}

static void set_up(void)
{
    const struct session_options options = {
        .limit = 3, .ttl_us = 100, .memory_limit = 1000, .now_us = now};
    store = session_store_new(&options);
}

static void tear_down(void)
{
    session_store_free(&store);
}

/* Opens one and lets go of it. */
static enum session_verdict open_as(const char *id)
{
    struct session *session = NULL;
    const struct session_wish wish = {.id = bytes_of(id)};
    enum session_verdict verdict = session_open(store, &wish, &session);
    session_unref(&session);
    return verdict;
}

static bool is_there(const char *id)
{
    struct session *session = session_find(store, bytes_of(id));
    bool there = session != NULL;
    session_unref(&session);
    return there;
}

static struct session_counts counts(void)
{
    struct session_counts counts;
    session_count(store, &counts);
    return counts;
}

/* --- beginnings --- */

START_TEST(a_session_without_an_id_gets_one_that_nobody_else_has)
{
    struct session *one, *other;
    ck_assert_int_eq(session_open(store, &(struct session_wish){0}, &one), SESSION_MADE);
    ck_assert_int_eq(session_open(store, &(struct session_wish){0}, &other), SESSION_MADE);
    ck_assert_uint_eq(one->id.len, 24);
    ck_assert(bytes_starts_with(one->id, BYTES("s-")));
    ck_assert(!bytes_equal(one->id, other->id));
    for (size_t i = 0; i < one->id.len; i++)
        ck_assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                         one->id.data[i]));
    session_unref(&one);
    session_unref(&other);
}
END_TEST

/* Snakepit 52. */
START_TEST(opening_a_session_again_gives_the_same_one_as_it_is)
{
    struct session *one, *again;
    struct session_wish wish = {.id = BYTES("a"), .ttl_us = 50, .affinity = AFFINITY_STRICT_QUEUE};
    ck_assert_int_eq(session_open(store, &wish, &one), SESSION_MADE);
    wish.ttl_us = 60;
    wish.affinity = AFFINITY_HINT;
    ck_assert_int_eq(session_open(store, &wish, &again), SESSION_THERE);
    ck_assert_ptr_eq(one, again);
    ck_assert_uint_eq(one->ttl_us, 50);
    ck_assert_int_eq(one->affinity, AFFINITY_STRICT_QUEUE);
    session_unref(&one);
    session_unref(&again);
}
END_TEST

START_TEST(sessions_are_found_however_many_there_are)
{
    enum { MANY = 3000 };
    char id[16];
    const struct session_options options = {
        .limit = MANY, .ttl_us = 100, .memory_limit = 0, .now_us = now};
    session_store_free(&store);
    store = session_store_new(&options);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "n%d", i);
        ck_assert_int_eq(open_as(id), SESSION_MADE);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "n%d", i);
        ck_assert(is_there(id));
        ck_assert(i % 2 || session_delete(store, bytes_of(id)));
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "n%d", i);
        ck_assert(is_there(id) == (i % 2 == 1));
    }
    ck_assert_uint_eq(counts().current, MANY / 2);
}
END_TEST

/* --- limits --- */

/* Snakepit 53. */
START_TEST(one_session_too_many_is_refused_until_another_ends)
{
    ck_assert_int_eq(open_as("a"), SESSION_MADE);
    ck_assert_int_eq(open_as("b"), SESSION_MADE);
    ck_assert_int_eq(open_as("c"), SESSION_MADE);
    ck_assert_int_eq(open_as("d"), SESSION_FULL);
    ck_assert_int_eq(open_as("a"), SESSION_THERE);
    ck_assert(session_delete(store, BYTES("b")));
    ck_assert_int_eq(open_as("d"), SESSION_MADE);
    ck_assert_uint_eq(counts().refused, 1);
}
END_TEST

START_TEST(expired_sessions_make_room_without_a_sweep)
{
    open_as("a");
    open_as("b");
    open_as("c");
    now_us += 100;
    ck_assert_int_eq(open_as("d"), SESSION_MADE);
    ck_assert_uint_eq(counts().current, 1);
}
END_TEST

START_TEST(what_sessions_keep_is_limited_in_all)
{
    static char large[600];
    struct session *one = NULL, *other = NULL;
    struct session_wish wish = {.metadata = {large, sizeof large}};
    ck_assert_int_eq(session_open(store, &wish, &one), SESSION_MADE);
    ck_assert_int_eq(session_open(store, &wish, &other), SESSION_MEMORY);
    ck_assert_ptr_null(other);
    ck_assert_int_eq(session_open(store, &(struct session_wish){0}, &other), SESSION_MADE);
    ck_assert(!session_change(other, &wish));
    ck_assert(session_change(one, &(struct session_wish){.metadata = BYTES("{}")}));
    ck_assert_uint_eq(counts().memory, 2);
    ck_assert(session_change(other, &wish));
    ck_assert_uint_eq(counts().memory, 602);
    session_unref(&one);
    session_unref(&other);
    now_us += 100;
    session_sweep(store);
    ck_assert_uint_eq(counts().memory, 0);
}
END_TEST

START_TEST(who_is_refused_hears_when_a_session_may_end)
{
    struct session *session;
    session_open(store, &(struct session_wish){.ttl_us = 2500000}, &session);
    session_unref(&session);
    ck_assert_uint_eq(counts().retry_after_s, 3);
}
END_TEST

/* --- lifetimes --- */

/* Snakepit 53. */
START_TEST(a_session_that_nobody_uses_expires)
{
    open_as("a");
    now_us += 99;
    session_sweep(store);
    ck_assert_uint_eq(counts().current, 1);
    now_us += 1;
    session_sweep(store);
    ck_assert_uint_eq(counts().current, 0);
    ck_assert_uint_eq(counts().expired, 1);
}
END_TEST

START_TEST(an_expired_session_is_not_found_before_the_sweep_either)
{
    open_as("a");
    now_us += 100;
    ck_assert(!is_there("a"));
    ck_assert(!session_delete(store, BYTES("a")));
    ck_assert_uint_eq(counts().expired, 1);
}
END_TEST

/* Snakepit 53. */
START_TEST(a_use_prolongs_a_session)
{
    open_as("a");
    for (unsigned i = 0; i < 5; i++) {
        now_us += 99;
        session_sweep(store);
        ck_assert(is_there("a"));
    }
}
END_TEST

START_TEST(a_session_does_not_expire_while_it_is_used_and_lives_on_from_the_end_of_the_use)
{
    struct session *session;
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &session);
    now_us += 1000;
    session_sweep(store);
    ck_assert(is_there("a"));
    now_us += 1000;
    session_unref(&session);
    now_us += 99;
    session_sweep(store);
    ck_assert_uint_eq(counts().current, 1);
    now_us += 1;
    session_sweep(store);
    ck_assert_uint_eq(counts().current, 0);
}
END_TEST

START_TEST(a_changed_lifetime_counts_at_once)
{
    struct session *session;
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &session);
    ck_assert(session_change(session, &(struct session_wish){.ttl_us = 10}));
    session_unref(&session);
    open_as("b");
    now_us += 10;
    session_sweep(store);
    ck_assert(!is_there("a"));
    ck_assert(is_there("b"));
}
END_TEST

START_TEST(a_deleted_session_is_gone_for_all_but_those_that_use_it)
{
    struct session *session;
    struct session_view view;
    session_open(store, &(struct session_wish){.id = BYTES("a")}, &session);
    ck_assert(session_delete(store, BYTES("a")));
    ck_assert(!session_delete(store, BYTES("a")));
    ck_assert(!is_there("a"));
    ck_assert(session_change(session, &(struct session_wish){.metadata = BYTES("{}")}));
    ck_assert_uint_eq(counts().memory, 0);
    session_look(session, &view);
    ck_assert_str_eq(view.id, "a");
    ck_assert_int_eq(open_as("a"), SESSION_MADE);
    session_unref(&session);
    ck_assert(is_there("a"));
    ck_assert_uint_eq(counts().deleted, 1);
}
END_TEST

/* --- looking --- */

START_TEST(sessions_are_listed_by_pages_oldest_first)
{
    struct session_view views[2];
    open_as("a");
    open_as("b");
    open_as("c");
    ck_assert_uint_eq(session_list(store, 0, views, 2), 2);
    ck_assert_str_eq(views[0].id, "a");
    ck_assert_str_eq(views[1].id, "b");
    uint64_t after = views[1].number;
    ck_assert(session_delete(store, BYTES("b")));
    ck_assert_uint_eq(session_list(store, after, views, 2), 1);
    ck_assert_str_eq(views[0].id, "c");
    ck_assert_uint_eq(session_list(store, views[0].number, views, 2), 0);
}
END_TEST

START_TEST(a_view_shows_what_was_wished_for)
{
    struct session *session;
    struct session_view view;
    const struct session_wish wish = {.id = BYTES("a"),
                                      .pool = BYTES("p"),
                                      .ttl_us = 70,
                                      .metadata = BYTES("{\"x\":1}"),
                                      .affinity = AFFINITY_STRICT_FAIL_FAST};
    session_open(store, &wish, &session);
    now_us += 5;
    session_look(session, &view);
    ck_assert_str_eq(view.pool, "p");
    ck_assert_uint_eq(view.ttl_us, 70);
    ck_assert_uint_eq(view.idle_us, 5);
    ck_assert_str_eq(affinity_name(view.affinity), "strict_fail_fast");
    ck_assert(bytes_equal(view.metadata, wish.metadata));
    free((void *)(uintptr_t)view.metadata.data);
    session_unref(&session);
}
END_TEST

int main(void)
{
    TCase *sessions = tcase_create("sessions");
    tcase_add_checked_fixture(sessions, set_up, tear_down);
    tcase_add_test(sessions, a_session_without_an_id_gets_one_that_nobody_else_has);
    tcase_add_test(sessions, opening_a_session_again_gives_the_same_one_as_it_is);
    tcase_add_test(sessions, sessions_are_found_however_many_there_are);
    tcase_add_test(sessions, one_session_too_many_is_refused_until_another_ends);
    tcase_add_test(sessions, expired_sessions_make_room_without_a_sweep);
    tcase_add_test(sessions, what_sessions_keep_is_limited_in_all);
    tcase_add_test(sessions, who_is_refused_hears_when_a_session_may_end);
    tcase_add_test(sessions, a_session_that_nobody_uses_expires);
    tcase_add_test(sessions, an_expired_session_is_not_found_before_the_sweep_either);
    tcase_add_test(sessions, a_use_prolongs_a_session);
    tcase_add_test(sessions,
                   a_session_does_not_expire_while_it_is_used_and_lives_on_from_the_end_of_the_use);
    tcase_add_test(sessions, a_changed_lifetime_counts_at_once);
    tcase_add_test(sessions, a_deleted_session_is_gone_for_all_but_those_that_use_it);
    tcase_add_test(sessions, sessions_are_listed_by_pages_oldest_first);
    tcase_add_test(sessions, a_view_shows_what_was_wished_for);
    return run_case(sessions, "sessions");
}
