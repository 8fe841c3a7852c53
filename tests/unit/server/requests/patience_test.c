/* Time limits and urgency in headers. */
#include "server/requests/patience.h"

#include "../../base/run.h"

#define DAY_US UINT64_C(86400000000)

START_TEST(seconds_may_have_decimals)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"2.5", 2500000},       {"1", 1000000},        {"0.000001", 1},
                {"0.0000001", 1},       {"0.1234567", 123457}, {"86400", DAY_US},
                {"86400.0", DAY_US},    {"007", 7000000},      {"0.10000000000000", 100000},
                {"59.999999", 59999999}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        uint64_t us = 0;
        ck_assert_msg(patience_read_seconds(bytes_of(good[i].text), &us), "%s", good[i].text);
        ck_assert_msg(us == good[i].us, "%s gave %llu", good[i].text, (unsigned long long)us);
    }
}
END_TEST

START_TEST(what_is_no_number_of_seconds_is_refused)
{
    static const char *const wrong[] = {"",    "0",     "0.0",          "-1",    "+1",  "1.",
                                        ".5",  "1e3",   "1,5",          "1 ",    " 1",  "1s",
                                        "abc", "86401", "86400.000001", "1.2.3", "nan", "1000000"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint64_t us = 77;
        ck_assert_msg(!patience_read_seconds(bytes_of(wrong[i]), &us), "%s", wrong[i]);
        ck_assert_uint_eq(us, 77);
    }
}
END_TEST

START_TEST(grpc_timeouts_have_six_units)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"100m", 100000},
                {"1S", 1000000},
                {"2M", 120000000},
                {"1H", 3600000000},
                {"5u", 5},
                {"1n", 1},
                {"1001n", 2},
                {"24H", DAY_US},
                {"25H", DAY_US},
                {"99999999H", DAY_US},
                {"99999999S", DAY_US},
                {"00000001m", 1000}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        uint64_t us = 0;
        ck_assert_msg(patience_read_grpc(bytes_of(good[i].text), &us), "%s", good[i].text);
        ck_assert_msg(us == good[i].us, "%s gave %llu", good[i].text, (unsigned long long)us);
    }
}
END_TEST

START_TEST(what_is_no_grpc_timeout_is_refused)
{
    static const char *const wrong[] = {"",    "m",   "100",  "0m",         "1.5S", "-1S",
                                        "1s",  "1h",  "1 m",  "123456789m", "1mm",  "m1",
                                        "1S ", "abc", "000S", "+1S"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        uint64_t us = 77;
        ck_assert_msg(!patience_read_grpc(bytes_of(wrong[i]), &us), "%s", wrong[i]);
        ck_assert_uint_eq(us, 77);
    }
}
END_TEST

START_TEST(urgency_is_one_member_of_a_dictionary)
{
    static const struct {
        const char *text;
        unsigned urgency;
    } good[] = {{"u=0", 0},          {"u=7", 7},     {"u=1, i", 1},        {"i, u=2", 2},
                {"i=?0,\tu=5;x", 5}, {"u=1,u=6", 6}, {"foo=\"x\", u=4", 4}};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        unsigned urgency = 9;
        ck_assert_msg(patience_read_urgency(bytes_of(good[i].text), &urgency), "%s", good[i].text);
        ck_assert_msg(urgency == good[i].urgency, "%s gave %u", good[i].text, urgency);
    }
}
END_TEST

START_TEST(urgency_that_makes_no_sense_is_ignored)
{
    static const char *const none[] = {"",     "i",    "u=8", "u=-1", "u=1.5",    "u=a",
                                       "u=?1", "u",    "u=",  "U=1",  "u=1, u=8", "urgent=1",
                                       "u =1", "high", ",,,", "u=11", "u=\"1\""};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        unsigned urgency = 9;
        ck_assert_msg(!patience_read_urgency(bytes_of(none[i]), &urgency), "%s", none[i]);
        ck_assert_uint_eq(urgency, 9);
    }
    unsigned urgency = 9;
    ck_assert(!patience_read_urgency((struct bytes){0}, &urgency));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("patience");
    tcase_add_test(tests, seconds_may_have_decimals);
    tcase_add_test(tests, what_is_no_number_of_seconds_is_refused);
    tcase_add_test(tests, grpc_timeouts_have_six_units);
    tcase_add_test(tests, what_is_no_grpc_timeout_is_refused);
    tcase_add_test(tests, urgency_is_one_member_of_a_dictionary);
    tcase_add_test(tests, urgency_that_makes_no_sense_is_ignored);
    return run_case(tests, "patience");
}
