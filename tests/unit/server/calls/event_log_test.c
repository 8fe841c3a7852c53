/* The events of a stream: numbers, text, readers that leave and come back, and what is owed. */
#include "server/calls/event_log.h"

#include "../../base/run.h"
#include "pool/call.h"

#include <stdio.h>

static struct event_log event_log;
static struct event_reader reader, other;
static char text[16384];

static void init(size_t keep)
{
    event_log_init(&event_log);
    event_log.keep = keep;
    list_init(&reader.place);
    list_init(&other.place);
}

static void tear_down(void)
{
    event_log_unfollow(&event_log, &reader);
    event_log_unfollow(&event_log, &other);
    event_log_deinit(&event_log);
}

static void add(enum event_kind kind, const char *data)
{
    event_log_add(&event_log, kind, bytes_of(data));
}

/* All there is, read in pieces of that size. */
static const char *read_by(struct event_reader *by, enum event_format format, size_t piece)
{
    size_t len = 0, count;
    while ((count = event_log_read(&event_log, by, format, text + len, piece)) > 0)
        len += count;
    text[len] = '\0';
    return text;
}

static const char *read_all(void)
{
    return read_by(&reader, EVENT_NDJSON, 1000);
}

static const char *read_other(void)
{
    return read_by(&other, EVENT_NDJSON, 1000);
}

START_TEST(events_are_numbered_from_one)
{
    init(0);
    event_log_follow(&event_log, &reader, 0);
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
    init(0);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_CHUNK, "{\"a\":\n [1,\r\n2]}");
    ck_assert_str_eq(read_by(&reader, EVENT_SSE, 1000),
                     "id: 1\nevent: chunk\ndata: {\"a\":  [1,  2]}\n\n");
}
END_TEST

START_TEST(text_is_the_same_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < 100; piece++) {
        init(0);
        event_log_follow(&event_log, &reader, 0);
        add(EVENT_CHUNK, "\"first\"");
        add(EVENT_PROGRESS, "{\"done\":1}");
        ck_assert_str_eq(read_by(&reader, EVENT_SSE, piece),
                         "id: 1\nevent: chunk\ndata: \"first\"\n\n"
                         "id: 2\nevent: progress\ndata: {\"done\":1}\n\n");
        tear_down();
    }
}
END_TEST

START_TEST(what_was_read_is_held_as_far_as_there_is_room)
{
    init(1000);
    event_log_follow(&event_log, &reader, 0);
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
    init(1000);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_CHUNK, "1");
    add(EVENT_CHUNK, "2");
    read_all();
    event_log_unfollow(&event_log, &reader);
    add(EVENT_CHUNK, "3");
    event_log_follow(&event_log, &reader, 1);
    ck_assert_str_eq(read_all(), "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n"
                                 "{\"id\":3,\"event\":\"chunk\",\"data\":3}\n");
}
END_TEST

START_TEST(a_gap_says_what_a_reader_has_missed)
{
    init(0);
    for (unsigned i = 0; i < 5; i++)
        add(EVENT_CHUNK, "1");
    event_log_follow(&event_log, &reader, 2);
    add(EVENT_CHUNK, "6");
    ck_assert_str_eq(read_all(), "{\"id\":5,\"event\":\"gap\",\"data\":{\"from\":3,\"to\":5}}\n"
                                 "{\"id\":6,\"event\":\"chunk\",\"data\":6}\n");
}
END_TEST

START_TEST(a_reader_that_is_ahead_waits)
{
    init(1000);
    add(EVENT_CHUNK, "1");
    event_log_follow(&event_log, &reader, 7);
    ck_assert_str_eq(read_all(), "");
    ck_assert(!event_log_waits(&event_log, &reader));
}
END_TEST

START_TEST(each_value_is_paid_for_once_when_it_was_read)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    init(10000);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_START, "{}");
    add(EVENT_CHUNK, "1");
    add(EVENT_LOG, "2");
    ck_assert_uint_eq(event_log.owed, 0);
    read_all();
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    event_log_follow(&event_log, &other, 0);
    read_other();
    ck_assert_uint_eq(event_log.owed, 2 * COST);
}
END_TEST

START_TEST(what_nobody_waits_for_is_paid_at_once)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    init(0);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_CHUNK, "1");
    event_log_unfollow(&event_log, &reader);
    ck_assert_uint_eq(event_log.owed, COST);
    add(EVENT_CHUNK, "2");
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    ck_assert_uint_eq(event_log.bytes, 0);
}
END_TEST

/* --- several readers --- */

START_TEST(each_reader_gets_all_of_it)
{
    init(1000);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_CHUNK, "1");
    read_all();
    event_log_follow(&event_log, &other, 0);
    add(EVENT_CHUNK, "2");
    ck_assert_str_eq(read_other(), "{\"id\":1,\"event\":\"chunk\",\"data\":1}\n"
                                   "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n");
    ck_assert_str_eq(read_all(), "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n");
}
END_TEST

START_TEST(the_foremost_reader_paces)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    init(1000);
    event_log_follow(&event_log, &reader, 0);
    event_log_follow(&event_log, &other, 0);
    add(EVENT_CHUNK, "1");
    ck_assert_uint_eq(event_log.owed, 0);
    read_other();
    ck_assert_uint_eq(event_log.owed, COST);
    read_all();
    ck_assert_uint_eq(event_log.owed, COST);
}
END_TEST

START_TEST(who_falls_behind_is_told_of_a_gap_and_holds_nothing)
{
    init(300);
    event_log_follow(&event_log, &reader, 0);
    event_log_follow(&event_log, &other, 0);
    for (unsigned i = 0; i < 100; i++) {
        add(EVENT_CHUNK, "\"0123456789\"");
        read_all();
        ck_assert_uint_le(event_log.bytes, 300);
    }
    ck_assert_ptr_nonnull(strstr(read_other(), "\"event\":\"gap\",\"data\":{\"from\":1,"));
    ck_assert_ptr_nonnull(strstr(text, "{\"id\":100,\"event\":\"chunk\""));
    ck_assert(!event_log_waits(&event_log, &other));
}
END_TEST

START_TEST(an_event_that_is_read_in_part_is_read_to_its_end)
{
    char room[8];
    init(0);
    event_log_follow(&event_log, &reader, 0);
    event_log_follow(&event_log, &other, 0);
    add(EVENT_CHUNK, "\"first\"");
    ck_assert_uint_eq(event_log_read(&event_log, &other, EVENT_NDJSON, room, 8), 8);
    add(EVENT_CHUNK, "2");
    read_all();
    ck_assert_uint_eq(event_log.bytes, 0);
    ck_assert_str_eq(read_other(), "\"event\":\"chunk\",\"data\":\"first\"}\n"
                                   "{\"id\":2,\"event\":\"gap\",\"data\":{\"from\":2,\"to\":2}}\n");
}
END_TEST

START_TEST(when_the_foremost_reader_leaves_the_next_one_paces)
{
    init(1);
    event_log_follow(&event_log, &reader, 0);
    event_log_follow(&event_log, &other, 0);
    add(EVENT_CHUNK, "1");
    read_all();
    event_log_unfollow(&event_log, &reader);
    add(EVENT_CHUNK, "2");
    add(EVENT_CHUNK, "3");
    ck_assert_uint_eq(event_log.owed, 1 + EMISSION_OVERHEAD);
    ck_assert_str_eq(read_other(), "{\"id\":1,\"event\":\"chunk\",\"data\":1}\n"
                                   "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n"
                                   "{\"id\":3,\"event\":\"chunk\",\"data\":3}\n");
}
END_TEST

START_TEST(readers_that_come_and_go_do_not_make_the_log_grow)
{
    enum { COST = 1 + EMISSION_OVERHEAD };
    init(0);
    event_log_follow(&event_log, &reader, 0);
    add(EVENT_CHUNK, "1");
    add(EVENT_CHUNK, "2");
    for (unsigned i = 0; i < 100; i++) {
        event_log_follow(&event_log, &other, 0);
        event_log_unfollow(&event_log, &other);
    }
    ck_assert_uint_eq(event_log.owed, 0);
    event_log_follow(&event_log, &other, 1);
    ck_assert_uint_eq(event_log.owed, COST);
    ck_assert_str_eq(read_other(), "{\"id\":2,\"event\":\"chunk\",\"data\":2}\n");
    ck_assert_uint_eq(event_log.owed, 2 * COST);
    ck_assert_uint_eq(event_log.bytes, 0);
}
END_TEST

START_TEST(where_readers_come_back_the_last_event_is_held_though_it_is_large)
{
    init(10);
    add(EVENT_CHUNK, "1");
    add(EVENT_DONE, "{\"result\":\"0123456789\"}");
    event_log_follow(&event_log, &reader, 0);
    ck_assert_str_eq(read_all(),
                     "{\"id\":1,\"event\":\"gap\",\"data\":{\"from\":1,\"to\":1}}\n"
                     "{\"id\":2,\"event\":\"done\",\"data\":{\"result\":\"0123456789\"}}\n");
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
    tcase_add_test(tests, each_reader_gets_all_of_it);
    tcase_add_test(tests, the_foremost_reader_paces);
    tcase_add_test(tests, who_falls_behind_is_told_of_a_gap_and_holds_nothing);
    tcase_add_test(tests, an_event_that_is_read_in_part_is_read_to_its_end);
    tcase_add_test(tests, when_the_foremost_reader_leaves_the_next_one_paces);
    tcase_add_test(tests, readers_that_come_and_go_do_not_make_the_log_grow);
    tcase_add_test(tests, where_readers_come_back_the_last_event_is_held_though_it_is_large);
    return run_case(tests, "event_log");
}
