/* The events of a stream: numbers, text, readers that leave and come back, and what is owed. */
#include "server/event_log.h"

#include "../base/run.h"
#include "pool/call.h"

#include <stdio.h>

static struct event_log event_log;
static char text[16384];

static void tear_down(void)
{
    event_log_deinit(&event_log);
}

static void add(enum event_kind kind, const char *data)
{
    event_log_add(&event_log, kind, bytes_of(data));
}

/* All there is, read in pieces of that size. */
static const char *read_by(enum event_format format, size_t piece)
{
    size_t len = 0, count;
    while ((count = event_log_read(&event_log, format, text + len, piece)) > 0)
        len += count;
    text[len] = '\0';
    return text;
}

static const char *read_all(void)
{
    return read_by(EVENT_NDJSON, 1000);
}

START_TEST(events_are_numbered_from_one)
{
    event_log_init(&event_log, 0);
    event_log_follow(&event_log, 0);
    add(EVENT_START, "{}");
    add(EVENT_CHUNK, "1");
    add(EVENT_DONE, "{\"result\":null}");
    ck_assert_str_eq(read_all(), "{\"id\":1,\"event\":\"start\",\"data\":{}}\n"
                                 "{\"id\":2,\"event\":\"chunk\",\"data\":1}\n"
                                 "{\"id\":3,\"event\":\"done\",\"data\":{\"result\":null}}\n");
}
END_TEST

START_TEST(server_sent_events_have_an_id_a_name_and_one_line_of_data)
{
    event_log_init(&event_log, 0);
    event_log_follow(&event_log, 0);
    add(EVENT_CHUNK, "{\"a\":\n [1,\r\n2]}");
    ck_assert_str_eq(read_by(EVENT_SSE, 1000), "id: 1\nevent: chunk\ndata: {\"a\":  [1,  2]}\n\n");
}
END_TEST

START_TEST(text_is_the_same_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < 100; piece++) {
        event_log_init(&event_log, 0);
        event_log_follow(&event_log, 0);
        add(EVENT_CHUNK, "\"first\"");
        add(EVENT_PROGRESS, "{\"done\":1}");
        ck_assert_str_eq(read_by(EVENT_SSE, piece),
                         "id: 1\nevent: chunk\ndata: \"first\"\n\n"
                         "id: 2\nevent: progress\ndata: {\"done\":1}\n\n");
        event_log_deinit(&event_log);
    }
}
END_TEST

START_TEST(what_was_read_is_held_as_far_as_there_is_room)
{
    event_log_init(&event_log, 1000);
    event_log_follow(&event_log, 0);
    for (unsigned i = 0; i < 100; i++)
        add(EVENT_CHUNK, "\"0123456789\"");
    ck_assert_uint_gt(event_log.bytes, 1000);
    read_all();
    ck_assert_uint_le(event_log.bytes, 1000);
    ck_assert_uint_gt(event_log.bytes, 500);
}
END_TEST

START_TEST(a_reader_that_comes_back_gets_the_rest)
{
    event_log_init(&event_log, 1000);
    event_log_follow(&event_log, 0);
    add(EVENT_CHUNK, "1");
    add(EVENT_CHUNK, "2");
    read_all();
    event_log_unfollow(&event_log);
    add(EVENT_CHUNK, "3");
    event_log_follow(&event_log, 1);
    ck_assert_str_eq(read_all(), "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n"
                                 "{\"id\":3,\"event\":\"chunk\",\"data\":3}\n");
}
END_TEST

START_TEST(a_gap_says_what_a_reader_has_missed)
{
    event_log_init(&event_log, 0);
    for (unsigned i = 0; i < 5; i++)
        add(EVENT_CHUNK, "1");
    event_log_follow(&event_log, 2);
    add(EVENT_CHUNK, "6");
    ck_assert_str_eq(read_all(), "{\"id\":5,\"event\":\"gap\",\"data\":{\"from\":3,\"to\":5}}\n"
                                 "{\"id\":6,\"event\":\"chunk\",\"data\":6}\n");
}
END_TEST

START_TEST(a_reader_that_is_ahead_waits)
{
    event_log_init(&event_log, 1000);
    add(EVENT_CHUNK, "1");
    event_log_follow(&event_log, 7);
    ck_assert_str_eq(read_all(), "");
    ck_assert(!event_log_waits(&event_log));
}
END_TEST

START_TEST(each_value_is_paid_for_once_when_it_was_read)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    event_log_init(&event_log, 10000);
    event_log_follow(&event_log, 0);
    add(EVENT_START, "{}");
    add(EVENT_CHUNK, "1");
    add(EVENT_LOG, "2");
    ck_assert_uint_eq(event_log.owed, 0);
    read_all();
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    event_log_follow(&event_log, 0);
    read_all();
    ck_assert_uint_eq(event_log.owed, 2 * COST);
}
END_TEST

START_TEST(what_nobody_waits_for_is_paid_at_once)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    event_log_init(&event_log, 0);
    event_log_follow(&event_log, 0);
    add(EVENT_CHUNK, "1");
    event_log_unfollow(&event_log);
    ck_assert_uint_eq(event_log.owed, COST);
    add(EVENT_CHUNK, "2");
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    ck_assert_uint_eq(event_log.bytes, 0);
}
END_TEST

START_TEST(readers_that_take_turns_do_not_make_the_log_grow)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    event_log_init(&event_log, 0);
    event_log_follow(&event_log, 0);
    add(EVENT_CHUNK, "1");
    add(EVENT_CHUNK, "2");
    for (unsigned i = 0; i < 100; i++)
        event_log_follow(&event_log, 0);
    ck_assert_uint_eq(event_log.owed, 0);
    event_log_follow(&event_log, 1);
    ck_assert_uint_eq(event_log.owed, COST);
    ck_assert_str_eq(read_all(), "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n");
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    ck_assert_uint_eq(event_log.bytes, 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("event_log");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, events_are_numbered_from_one);
    tcase_add_test(tests, server_sent_events_have_an_id_a_name_and_one_line_of_data);
    tcase_add_test(tests, text_is_the_same_in_pieces_of_any_size);
    tcase_add_test(tests, what_was_read_is_held_as_far_as_there_is_room);
    tcase_add_test(tests, a_reader_that_comes_back_gets_the_rest);
    tcase_add_test(tests, a_gap_says_what_a_reader_has_missed);
    tcase_add_test(tests, a_reader_that_is_ahead_waits);
    tcase_add_test(tests, each_value_is_paid_for_once_when_it_was_read);
    tcase_add_test(tests, what_nobody_waits_for_is_paid_at_once);
    tcase_add_test(tests, readers_that_take_turns_do_not_make_the_log_grow);
    return run_case(tests, "event_log");
}
