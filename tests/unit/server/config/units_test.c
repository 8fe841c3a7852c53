#include "server/config/units.h"

#include "../../base/run.h"

#include <string.h>

static void expect_us(const char *text, uint64_t plain_us, uint64_t us)
{
    uint64_t got = 0;
    ck_assert_msg(units_read_duration(bytes_of(text), plain_us, &got), "%s", text);
    ck_assert_msg(got == us, "%s: %llu", text, (unsigned long long)got);
}

static void expect_size(const char *text, uint64_t size)
{
    uint64_t got = 0;
    ck_assert_msg(units_read_size(bytes_of(text), 1, &got), "%s", text);
    ck_assert_msg(got == size, "%s: %llu", text, (unsigned long long)got);
}

/* Snakepit 93. */
START_TEST(durations_are_read_with_their_unit)
{
    expect_us("250ms", 1000, 250000);
    expect_us("30s", 1000, 30000000);
    expect_us("30 seconds", 1000, 30000000);
    expect_us("5m", 1000, 300000000);
    expect_us("5 min", 1000, 300000000);
    expect_us("6h", 1000, UINT64_C(21600000000));
    expect_us("1d", 1000, UINT64_C(86400000000));
    expect_us("7us", 1000, 7);
    expect_us("1.5s", 1000, 1500000);
    expect_us("0.000001s", 1000, 1);
}
END_TEST

START_TEST(units_of_time_have_their_names_in_singular_and_plural)
{
    static const char *const seconds[] = {"1 s", "1 sec", "1 second", "1 SECONDS", "1secs"};
    static const char *const hours[] = {"1 h", "1 hr", "1 hour", "1 hours", "60 minutes"};
    for (unsigned i = 0; i < 5; i++) {
        expect_us(seconds[i], 0, 1000000);
        expect_us(hours[i], 0, UINT64_C(3600000000));
    }
    expect_us("1 minute", 0, 60000000);
    expect_us("1 day", 0, UINT64_C(86400000000));
    expect_us("1w", 0, UINT64_C(604800000000));
    expect_us("2 weeks", 0, UINT64_C(1209600000000));
    expect_us("3 milliseconds", 0, 3000);
}
END_TEST

START_TEST(durations_may_have_several_parts)
{
    expect_us("1h30m", 1000, UINT64_C(5400000000));
    expect_us("1h 30m", 0, UINT64_C(5400000000));
    expect_us("1 day 2 hours 3.5s", 0, UINT64_C(93603500000));
    expect_us("1m1ms1us", 0, 60001001);
}
END_TEST

START_TEST(a_number_alone_counts_what_the_caller_says)
{
    expect_us("250", 1000, 250000);
    expect_us("250", 1, 250);
    expect_us("0", 0, 0);
    uint64_t got;
    ck_assert(!units_read_duration(BYTES("250"), 0, &got));
    ck_assert(!units_read_duration(BYTES("0.5"), 0, &got));
}
END_TEST

START_TEST(sizes_are_of_1024_unless_the_unit_is_of_1000)
{
    expect_size("17", 17);
    expect_size("17B", 17);
    expect_size("512k", 512 << 10);
    expect_size("512K", 512 << 10);
    expect_size("64MiB", 64 << 20);
    expect_size("64 mib", 64 << 20);
    expect_size("64Mi", 64 << 20);
    expect_size("64M", 64 << 20);
    expect_size("64MB", 64000000);
    expect_size("1GB", 1000000000);
    expect_size("1.5GiB", UINT64_C(1610612736));
    expect_size("0.5k", 512);
    expect_size("2TiB", UINT64_C(2) << 40);
}
END_TEST

START_TEST(what_is_no_quantity_is_refused)
{
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        "1x",
                                        "ms",
                                        "1 000",
                                        "1,5s",
                                        "1.s",
                                        ".5s",
                                        "1e3",
                                        "0x10",
                                        " 1s",
                                        "1s ",
                                        "1.2.3s",
                                        "∞",
                                        "5m30",
                                        "5m0",
                                        "30m1h",
                                        "1m1m",
                                        "1h  30m",
                                        "1h,30m",
                                        "1h-30m",
                                        "30 1h",
                                        "1h ",
                                        "1msx",
                                        "1.",
                                        "99999999999999999999",
                                        "0.0000000001s"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint64_t got;
        ck_assert_msg(!units_read_duration(bytes_of(wrong[i]), 1000, &got), "%s", wrong[i]);
        ck_assert_msg(!units_read_size(bytes_of(wrong[i]), 1, &got), "%s", wrong[i]);
        ck_assert_msg(!units_read_number(bytes_of(wrong[i]), &got), "%s", wrong[i]);
        ck_assert_msg(!units_read_percent(bytes_of(wrong[i]), &got), "%s", wrong[i]);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    uint64_t got;
    ck_assert(units_read_number(BYTES("18446744073709551615"), &got) && got == UINT64_MAX);
    ck_assert(!units_read_number(BYTES("18446744073709551616"), &got));
    ck_assert(!units_read_duration(BYTES("18446744073709551615d"), 1, &got));
    ck_assert(!units_read_size(BYTES("18446744073709551615.9B"), 1, &got) || got == UINT64_MAX);
    ck_assert(!units_read_size(BYTES("17592186044416MiB"), 1, &got));
}
END_TEST

START_TEST(percentages_may_have_their_sign)
{
    uint64_t got = 0;
    ck_assert(units_read_percent(BYTES("10%"), &got) && got == 10);
    ck_assert(units_read_percent(BYTES("15"), &got) && got == 15);
    ck_assert(!units_read_percent(BYTES("%"), &got));
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
    static const uint64_t values[] = {0,
                                      1,
                                      999,
                                      1000,
                                      1500000,
                                      60000000,
                                      90000000,
                                      1 << 10,
                                      64 << 20,
                                      1000000,
                                      10000000,
                                      123456789,
                                      UINT64_C(86400000000),
                                      UINT64_C(3) << 40,
                                      UINT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char text[UNITS_TEXT_MAX];
        uint64_t got = 0;
        units_write_duration(values[i], text);
        ck_assert_msg(units_read_duration(bytes_of(text), 0, &got) && got == values[i], "%s", text);
        units_write_size(values[i], text);
        ck_assert_msg(units_read_size(bytes_of(text), 1, &got) && got == values[i], "%s", text);
    }
    char text[UNITS_TEXT_MAX];
    units_write_duration(90000000, text);
    ck_assert_str_eq(text, "90s");
    units_write_size(64 << 20, text);
    ck_assert_str_eq(text, "64MiB");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("units");
    tcase_add_test(tests, durations_are_read_with_their_unit);
    tcase_add_test(tests, units_of_time_have_their_names_in_singular_and_plural);
    tcase_add_test(tests, durations_may_have_several_parts);
    tcase_add_test(tests, a_number_alone_counts_what_the_caller_says);
    tcase_add_test(tests, sizes_are_of_1024_unless_the_unit_is_of_1000);
    tcase_add_test(tests, what_is_no_quantity_is_refused);
    tcase_add_test(tests, what_does_not_fit_is_refused);
    tcase_add_test(tests, percentages_may_have_their_sign);
    tcase_add_test(tests, what_is_written_is_read_back);
    return run_case(tests, "units");
}
