#include "base/json.h"
#include "base/log.h"

#include "run.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Standard error goes to a file of its own in the test's process. */
static int captured;

static void capture(void)
{
    FILE *file = tmpfile();
    captured = fileno(file);
    dup2(captured, STDERR_FILENO);
    log_set_level(LOG_INFO);
}

static char written[1 << 20];

static struct bytes what_was_written(void)
{
    ssize_t len = pread(captured, written, sizeof(written), 0);
    ck_assert_int_ge(len, 0);
    return bytes_from(written, (size_t)len);
}

/* The one line that was written, checked, without its newline. */
static struct bytes the_line(void)
{
    struct bytes line = what_was_written();
    ck_assert_uint_gt(line.len, 0);
    ck_assert_uint_le(line.len, 8192);
    ck_assert_ptr_eq(memchr(line.data, '\n', line.len), line.data + line.len - 1);
    line.len--;
    struct json_error error = {0, ""};
    ck_assert_msg(json_check(line, 1, NULL, &error), "%s at byte %zu of %.*s", error.reason,
                  error.offset, (int)line.len, line.data);
    return line;
}

static struct bytes field_of(struct bytes line, const char *name)
{
    struct json_cursor cursor = {0};
    struct bytes key;
    struct json_value value;
    while (json_next(line, &cursor, &key, &value)) {
        if (bytes_equal(key, bytes_of(name)))
            return value.raw;
    }
    return bytes_of(NULL);
}

static void assert_field(struct bytes line, const char *name, const char *wanted)
{
    struct bytes got = field_of(line, name);
    ck_assert_msg(bytes_equal(got, bytes_of(wanted)), "%s is <%.*s>", name, (int)got.len, got.data);
}

START_TEST(line_has_level_event_and_fields)
{
    log_event(LOG_WARNING, "worker ready", LOG_STR("worker", "w-1"), LOG_INT("pid", -42), LOG_END);
    struct bytes line = the_line();
    assert_field(line, "level", "\"warning\"");
    assert_field(line, "event", "\"worker ready\"");
    assert_field(line, "worker", "\"w-1\"");
    assert_field(line, "pid", "-42");
}
END_TEST

START_TEST(event_without_fields_is_a_line_too)
{
    log_event(LOG_INFO, "started", LOG_END);
    assert_field(the_line(), "event", "\"started\"");
}
END_TEST

START_TEST(time_is_utc_with_milliseconds)
{
    log_event(LOG_INFO, "started", LOG_END);
    struct bytes time = field_of(the_line(), "time");
    static const char shape[] = "\"0000-00-00T00:00:00.000Z\"";
    ck_assert_uint_eq(time.len, strlen(shape));
    for (size_t i = 0; i < time.len; i++) {
        if (shape[i] == '0')
            ck_assert(time.data[i] >= '0' && time.data[i] <= '9');
        else
            ck_assert_int_eq(time.data[i], shape[i]);
    }
}
END_TEST

START_TEST(hostile_content_stays_inside_its_string)
{
    log_event(LOG_ERROR, "failed", LOG_STR("a", "\"},\n{\"level\":\"none"),
              LOG_STR("b\"\n", "\\\x01\x7f\xff\xc3"), LOG_STR("c", "\xe2\x82\xac"), LOG_END);
    struct bytes line = the_line();
    assert_field(line, "a", "\"\\\"},\\n{\\\"level\\\":\\\"none\"");
    assert_field(line, "b\\\"\\n", "\"\\\\\\u0001\x7f\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_field(line, "c", "\"\xe2\x82\xac\"");
}
END_TEST

START_TEST(missing_string_is_null)
{
    log_event(LOG_INFO, "odd", LOG_STR("worker", NULL), LOG_END);
    assert_field(the_line(), "worker", "null");
}
END_TEST

START_TEST(long_value_is_cut_and_later_fields_remain)
{
    char *text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    log_event(LOG_INFO, "long", LOG_STR("text", text), LOG_INT("pid", 7), LOG_END);
    struct bytes line = the_line();
    struct bytes cut = field_of(line, "text");
    ck_assert_uint_gt(cut.len, 2000);
    ck_assert_mem_eq(cut.data + cut.len - 4, "…\"", 4);
    assert_field(line, "pid", "7");
    free(text);
}
END_TEST

START_TEST(many_long_values_still_make_a_line)
{
    static const char *const pieces[] = {"\x01", "\"", "x", "\xe2\x82\xac", "\xff"};
    char text[3 * 9000 + 1] = "";
    const char *piece = pieces[_i];
    for (size_t at = 0; at + strlen(piece) < sizeof(text); at += strlen(piece))
        memcpy(text + at, piece, strlen(piece) + 1);
    struct log_field fields[64];
    for (size_t i = 0; i < 63; i++)
        fields[i] = LOG_STR(i % 2 ? text : "text", text);
    fields[63] = LOG_END;
    log_write(LOG_INFO, text, fields);
    assert_field(the_line(), "truncated", "true");
}
END_TEST

START_TEST(many_numbers_still_make_a_line)
{
    struct log_field fields[1001];
    for (size_t i = 0; i < 1000; i++)
        fields[i] = LOG_INT("number", INT64_MIN);
    fields[1000] = LOG_END;
    log_write(LOG_INFO, "numbers", fields);
    assert_field(the_line(), "truncated", "true");
}
END_TEST

START_TEST(lines_below_the_level_are_dropped)
{
    log_set_level(LOG_ERROR);
    log_event(LOG_WARNING, "quiet", LOG_END);
    ck_assert_uint_eq(what_was_written().len, 0);
    log_event(LOG_ERROR, "loud", LOG_END);
    assert_field(the_line(), "event", "\"loud\"");
}
END_TEST

START_TEST(level_none_drops_everything)
{
    log_set_level(LOG_NONE);
    ck_assert(!log_enabled(LOG_ERROR));
    ck_assert(!log_enabled(LOG_NONE));
}
END_TEST

START_TEST(level_names_are_parsed)
{
    static const char *const names[] = {"debug", "info", "warning", "error", "none"};
    enum log_level level;
    for (int i = 0; i < 5; i++) {
        ck_assert(log_level_parse(names[i], &level));
        ck_assert_int_eq(level, i);
    }
    ck_assert(!log_level_parse("Info", &level));
    ck_assert(!log_level_parse("", &level));
    ck_assert(!log_level_parse(NULL, &level));
}
END_TEST

START_TEST(errno_is_left_alone)
{
    close(STDERR_FILENO);
    errno = ENOENT;
    log_event(LOG_INFO, "lost", LOG_END);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

static void *write_lines(void *context)
{
    (void)context;
    for (int i = 0; i < 200; i++)
        log_event(LOG_INFO, "line of a thread", LOG_STR("text", "\"some\" text"), LOG_END);
    return NULL;
}

START_TEST(lines_of_several_threads_do_not_mix)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_lines, NULL);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct bytes rest = what_was_written();
    int lines = 0;
    for (; rest.len > 0; lines++) {
        const char *end = memchr(rest.data, '\n', rest.len);
        ck_assert_ptr_nonnull(end);
        size_t len = (size_t)(end - rest.data);
        ck_assert(json_check(bytes_from(rest.data, len), 1, NULL, NULL));
        rest = bytes_skip(rest, len + 1);
    }
    ck_assert_int_eq(lines, 800);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("log");
    tcase_add_checked_fixture(tests, capture, NULL);
    tcase_add_test(tests, line_has_level_event_and_fields);
    tcase_add_test(tests, event_without_fields_is_a_line_too);
    tcase_add_test(tests, time_is_utc_with_milliseconds);
    tcase_add_test(tests, hostile_content_stays_inside_its_string);
    tcase_add_test(tests, missing_string_is_null);
    tcase_add_test(tests, long_value_is_cut_and_later_fields_remain);
    tcase_add_loop_test(tests, many_long_values_still_make_a_line, 0, 5);
    tcase_add_test(tests, many_numbers_still_make_a_line);
    tcase_add_test(tests, lines_below_the_level_are_dropped);
    tcase_add_test(tests, level_none_drops_everything);
    tcase_add_test(tests, level_names_are_parsed);
    tcase_add_test(tests, errno_is_left_alone);
    tcase_add_test(tests, lines_of_several_threads_do_not_mix);
    return run_case(tests, "log");
}
