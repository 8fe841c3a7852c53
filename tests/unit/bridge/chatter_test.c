/* What workers print, line by line, as records of the log. */
#include "bridge/chatter.h"

#include "../base/run.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PID = 17, RATE = 3 };

static struct chatter chatter;
static int saved, ours[2];

static void set_up(void)
{
    chatter = (struct chatter){
        .source = {.pool = "p", .worker = "p-1", .stream = "stdout", .level = LOG_INFO},
        .pid = PID};
    saved = dup(2);
    ck_assert_int_eq(pipe(ours), 0);
    ck_assert_int_eq(dup2(ours[1], 2), 2);
    close(ours[1]);
}

/* Gives standard error back and returns what was logged as an array of records; each line must be
 * JSON. */
static json_t *logged(void)
{
    json_t *records = json_array();
    char *line = NULL;
    size_t size = 0;
    ck_assert_int_eq(dup2(saved, 2), 2);
    close(saved);
    FILE *file = fdopen(ours[0], "r");
    while (getline(&line, &size, file) > 0) {
        json_t *record = json_loads(line, 0, NULL);
        ck_assert_msg(record != NULL, "%s", line);
        json_array_append_new(records, record);
    }
    free(line);
    fclose(file);
    return records;
}

static void say(const char *text, uint64_t now_ms)
{
    chatter_hear(&chatter, bytes_of(text), now_ms);
}

static const char *text_of(json_t *records, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(records, i), name));
}

START_TEST(each_line_is_a_record_that_says_whose_it_is)
{
    say("one\ntwo\r\n\nthr", 0);
    say("ee\n", 0);
    json_t *records = logged();
    ck_assert_uint_eq(json_array_size(records), 3);
    ck_assert_str_eq(text_of(records, 0, "text"), "one");
    ck_assert_str_eq(text_of(records, 1, "text"), "two");
    ck_assert_str_eq(text_of(records, 2, "text"), "three");
    ck_assert_str_eq(text_of(records, 0, "event"), "worker output");
    ck_assert_str_eq(text_of(records, 0, "pool"), "p");
    ck_assert_str_eq(text_of(records, 0, "worker"), "p-1");
    ck_assert_str_eq(text_of(records, 0, "stream"), "stdout");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(records, 0), "pid")), PID);
    json_decref(records);
}
END_TEST

START_TEST(half_a_line_is_told_at_the_end)
{
    say("half", 0);
    chatter_end(&chatter, 0);
    json_t *records = logged();
    ck_assert_uint_eq(json_array_size(records), 1);
    ck_assert_str_eq(text_of(records, 0, "text"), "half");
    json_decref(records);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_json_all_the_same)
{
    char all[256];
    for (unsigned i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    for (unsigned i = 0; i < 40; i++)
        chatter_hear(&chatter, bytes_from(all, sizeof all), 0);
    chatter_end(&chatter, 0);
    json_t *records = logged();
    ck_assert_uint_gt(json_array_size(records), 40);
    json_decref(records);
}
END_TEST

START_TEST(a_long_line_is_told_in_parts_that_cut_no_character)
{
    enum { COUNT = 2 * CHATTER_LINE_BYTES };
    for (unsigned i = 0; i < COUNT; i++)
        say("\xc3\xbc", 0);
    say("!\n", 0);
    json_t *records = logged(), *record;
    size_t i, total = 0, parts = json_array_size(records);
    ck_assert_uint_gt(parts, 3);
    json_array_foreach(records, i, record)
    {
        const char *text = text_of(records, i, "text");
        ck_assert_uint_le(strlen(text), CHATTER_LINE_BYTES);
        ck_assert_ptr_null(strstr(text, "\xef\xbf\xbd"));
        ck_assert_int_eq(json_object_get(record, "continues") != NULL, i + 1 < parts);
        total += strlen(text);
    }
    ck_assert_uint_eq(total, 2 * COUNT + 1);
    json_decref(records);
}
END_TEST

START_TEST(of_a_flood_so_many_lines_a_second_are_told_and_then_how_many_were_not)
{
    chatter.source.lines_per_second = RATE;
    for (unsigned i = 0; i < 10; i++)
        say("flood\n", 5000 + i);
    say("later\n", 6000);
    for (unsigned i = 0; i < 10; i++)
        say("flood\n", 6001);
    chatter_end(&chatter, 6002);
    json_t *records = logged();
    ck_assert_uint_eq(json_array_size(records), RATE + 1 + RATE + 1);
    ck_assert_str_eq(text_of(records, RATE, "event"), "worker output dropped");
    json_t *lines = json_object_get(json_array_get(records, RATE), "lines");
    ck_assert_int_eq(json_integer_value(lines), 10 - RATE);
    ck_assert_str_eq(text_of(records, RATE + 1, "text"), "later");
    lines = json_object_get(json_array_get(records, 2 * RATE + 1), "lines");
    ck_assert_int_eq(json_integer_value(lines), 11 - RATE);
    json_decref(records);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("chatter");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, each_line_is_a_record_that_says_whose_it_is);
    tcase_add_test(tests, half_a_line_is_told_at_the_end);
    tcase_add_test(tests, bytes_that_are_no_text_are_json_all_the_same);
    tcase_add_test(tests, a_long_line_is_told_in_parts_that_cut_no_character);
    tcase_add_test(tests, of_a_flood_so_many_lines_a_second_are_told_and_then_how_many_were_not);
    return run_case(tests, "chatter");
}
