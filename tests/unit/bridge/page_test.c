#include "bridge/page.h"

#include "../base/run.h"
#include "base/arena.h"
#include "bridge/frame.h"
#include "snakepit/bridge/v1/bridge.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The worker's side of a real page is written by hand here; started.py writes the same. */

static const void *page;
static char *theirs;
static struct arena *arena;
static struct started_calls started;
static unsigned entries; /* written so far */
static uint64_t at;

static void set_up(void)
{
    int fd;
    page = page_new(&fd);
    ck_assert_ptr_nonnull(page);
    theirs = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(theirs, MAP_FAILED);
    close(fd);
    arena = arena_new(0);
    entries = 0;
    at = 0;
}

static void tear_down(void)
{
    arena_unref(&arena);
    munmap(theirs, PAGE_BYTES);
    page_free(&page);
}

static void run(unsigned slot, uint64_t call_id)
{
    memcpy(theirs + PAGE_RUNNING_AT + (size_t)8 * slot, &call_id, 8);
}

static void enter(uint64_t call_id, uint64_t place, uint64_t size, uint64_t kind, uint64_t run_us)
{
    const uint64_t words[4] = {call_id, place, size | kind << 32, run_us};
    memcpy(theirs + PAGE_INDEX_AT + (size_t)(entries++ % STARTED_MAX) * 32, words, sizeof words);
}

static void keep(uint64_t call_id, enum page_kind kind, const void *data, size_t size)
{
    enter(call_id, at, size, kind, 5);
    memcpy(theirs + PAGE_RING_AT + at % PAGE_RING_BYTES, data, size);
    at += size;
}

static void keep_result(uint64_t call_id, const char *body)
{
    keep(call_id, PAGE_RESULT, body, strlen(body));
}

static void keep_failure(uint64_t call_id, uint64_t inner_id)
{
    uint8_t packed[64];
    Snakepit__Bridge__V1__Failure failure;
    snakepit__bridge__v1__failure__init(&failure);
    Snakepit__Bridge__V1__Failure *failures[] = {&failure};
    Snakepit__Bridge__V1__WorkerFrame frame = SNAKEPIT__BRIDGE__V1__WORKER_FRAME__INIT;
    failure.call_id = inner_id;
    failure.type = (char[]){"ValueError"};
    failure.started = 1;
    frame.failures = failures;
    frame.n_failures = 1;
    keep(call_id, PAGE_FRAME, packed, snakepit__bridge__v1__worker_frame__pack(&frame, packed));
}

static const struct worker_answer *only_answer(uint64_t call_id)
{
    page_read(page, NULL, arena, &started);
    ck_assert_uint_eq(started.finished_count, 1);
    ck_assert_uint_eq(started.finished[0].call_id, call_id);
    return &started.finished[0];
}

static void expect_no_answer(unsigned started_count)
{
    page_read(page, NULL, arena, &started);
    ck_assert_uint_eq(started.finished_count, 0);
    ck_assert_uint_eq(started.started_count, started_count);
}

START_TEST(a_new_page_says_that_nothing_was_started)
{
    expect_no_answer(0);
    ck_assert(started.known);
    ck_assert_uint_eq(started.running_count, 0);
}
END_TEST

START_TEST(a_worker_cannot_cut_the_page_short)
{
    int fd;
    const void *other = page_new(&fd);
    ck_assert_int_ne(ftruncate(fd, 0), 0);
    ck_assert_int_ne(ftruncate(fd, 2L * PAGE_BYTES), 0);
    close(fd);
    page_free(&other);
}
END_TEST

START_TEST(the_last_ping_that_was_answered_is_read_at_any_time)
{
    const uint64_t sequence = UINT64_MAX - 1;
    ck_assert_uint_eq(page_pong(page), 0);
    memcpy(theirs + PAGE_PONG_AT, &sequence, sizeof sequence);
    ck_assert_uint_eq(page_pong(page), sequence);
}
END_TEST

START_TEST(the_calls_in_the_slots_are_running)
{
    run(0, 11);
    run(RUNNING_MAX - 1, 12);
    expect_no_answer(0);
    ck_assert_uint_eq(started.running_count, 2);
    ck_assert_uint_eq(started.running[0], 11);
    ck_assert_uint_eq(started.running[1], 12);
}
END_TEST

START_TEST(a_call_is_shown_as_running_while_it_is_in_a_slot)
{
    ck_assert(!page_shows_running(page, 11));
    run(RUNNING_MAX - 1, 11);
    ck_assert(page_shows_running(page, 11));
    ck_assert(!page_shows_running(page, 12));
    run(RUNNING_MAX - 1, 0);
    ck_assert(!page_shows_running(page, 11));
}
END_TEST

START_TEST(a_result_is_read_as_from_a_frame)
{
    keep_result(7, "[1]");
    const struct worker_answer *answer = only_answer(7);
    ck_assert(!answer->failed && answer->started);
    ck_assert(bytes_equal(answer->body, bytes_of("[1]")));
    ck_assert_ptr_nonnull(answer->content_type.data);
    ck_assert_uint_eq(answer->content_type.len, 0);
    ck_assert_uint_eq(answer->run_us, 5);
}
END_TEST

START_TEST(a_failure_is_read_from_a_frame_of_its_own)
{
    keep_failure(7, 7);
    const struct worker_answer *answer = only_answer(7);
    ck_assert(answer->failed && answer->started);
    ck_assert(bytes_equal(answer->failure.type, bytes_of("ValueError")));
}
END_TEST

START_TEST(a_frame_with_the_answer_to_another_call_is_no_answer)
{
    keep_failure(7, 8);
    expect_no_answer(1);
}
END_TEST

START_TEST(a_frame_that_is_none_is_no_answer)
{
    keep(7, PAGE_FRAME, "\xff\xff\xff", 3);
    keep(8, PAGE_FRAME, "", 0);
    expect_no_answer(2);
}
END_TEST

START_TEST(a_kind_that_nobody_knows_is_no_answer)
{
    keep(7, 3, "[1]", 3);
    keep(8, PAGE_NO_ANSWER, "", 0);
    expect_no_answer(2);
}
END_TEST

START_TEST(an_answer_is_not_trusted_while_its_call_is_in_its_slot)
{
    keep_result(7, "[1]");
    run(3, 7);
    expect_no_answer(1);
}
END_TEST

START_TEST(an_entry_outside_the_ring_counts_for_nothing)
{
    enter(7, 0, PAGE_ANSWER_MAX + 1, PAGE_RESULT, 0);
    enter(8, PAGE_RING_BYTES - 1, 2, PAGE_RESULT, 0);
    enter(9, UINT64_MAX, 1, PAGE_RESULT, 0);
    enter(10, UINT64_MAX / 2 + 1, 0, PAGE_RESULT, 0);
    keep_result(11, "[1]");
    only_answer(11);
    ck_assert_uint_eq(started.started_count, 1);
}
END_TEST

START_TEST(what_was_overwritten_is_no_answer)
{
    char filling[PAGE_ANSWER_MAX];
    memset(filling, '1', sizeof filling);
    keep_result(1, "[1]");
    keep_result(2, "[22]");
    at = PAGE_RING_BYTES - 3 * PAGE_ANSWER_MAX;
    for (uint64_t id = 3; id < 6; id++)
        keep(id, PAGE_RESULT, filling, sizeof filling);
    keep_result(6, "[333]"); /* over the first and half of the second */
    page_read(page, NULL, arena, &started);
    ck_assert_uint_eq(started.started_count, 6);
    ck_assert_uint_eq(started.finished_count, 4);
    ck_assert_uint_eq(started.finished[0].call_id, 3);
    ck_assert(bytes_equal(started.finished[3].body, bytes_of("[333]")));
}
END_TEST

START_TEST(what_was_about_to_be_overwritten_is_no_answer)
{
    keep_result(1, "[1]");
    run(0, 2);
    enter(2, PAGE_RING_BYTES, 1, PAGE_RESULT, 0);
    expect_no_answer(2);
}
END_TEST

START_TEST(the_index_holds_the_last_1024_calls)
{
    for (uint64_t id = 1; id <= STARTED_MAX + 2; id++)
        keep_result(id, "1");
    page_read(page, NULL, arena, &started);
    ck_assert_uint_eq(started.started_count, STARTED_MAX);
    ck_assert_uint_eq(started.finished_count, STARTED_MAX);
    ck_assert_uint_eq(started.finished[0].call_id, STARTED_MAX + 1);
    ck_assert_uint_eq(started.finished[2].call_id, 3);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("page");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_new_page_says_that_nothing_was_started);
    tcase_add_test(tests, a_worker_cannot_cut_the_page_short);
    tcase_add_test(tests, the_last_ping_that_was_answered_is_read_at_any_time);
    tcase_add_test(tests, the_calls_in_the_slots_are_running);
    tcase_add_test(tests, a_call_is_shown_as_running_while_it_is_in_a_slot);
    tcase_add_test(tests, a_result_is_read_as_from_a_frame);
    tcase_add_test(tests, a_failure_is_read_from_a_frame_of_its_own);
    tcase_add_test(tests, a_frame_with_the_answer_to_another_call_is_no_answer);
    tcase_add_test(tests, a_frame_that_is_none_is_no_answer);
    tcase_add_test(tests, a_kind_that_nobody_knows_is_no_answer);
    tcase_add_test(tests, an_answer_is_not_trusted_while_its_call_is_in_its_slot);
    tcase_add_test(tests, an_entry_outside_the_ring_counts_for_nothing);
    tcase_add_test(tests, what_was_overwritten_is_no_answer);
    tcase_add_test(tests, what_was_about_to_be_overwritten_is_no_answer);
    tcase_add_test(tests, the_index_holds_the_last_1024_calls);
    return run_case(tests, "page");
}
