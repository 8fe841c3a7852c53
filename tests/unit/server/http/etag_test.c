/* Entity tags in conditional requests. */
#include "server/http/etag.h"

#include "../../base/run.h"

static enum etag_verdict strong(const char *header, const char *etag)
{
    return etag_match(bytes_of(header), bytes_of(etag), false);
}

static enum etag_verdict weak(const char *header, const char *etag)
{
    return etag_match(bytes_of(header), bytes_of(etag), true);
}

START_TEST(a_tag_matches_wherever_it_is_in_the_list)
{
    static const char *const headers[] = {"\"2\"", "\"1\", \"2\"", "\"2\",\"3\"",
                                          "\"a,b\" ,\t\"2\""};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        ck_assert_int_eq(strong(headers[i], "\"2\""), ETAG_MATCHES);
        ck_assert_int_eq(strong(headers[i], "\"22\""), ETAG_DIFFERS);
        ck_assert_int_eq(strong(headers[i], ""), ETAG_DIFFERS);
    }
}
END_TEST

START_TEST(a_weak_tag_matches_where_that_is_enough)
{
    ck_assert_int_eq(weak("W/\"2\"", "\"2\""), ETAG_MATCHES);
    ck_assert_int_eq(weak("\"1\", W/\"2\"", "\"2\""), ETAG_MATCHES);
    ck_assert_int_eq(strong("W/\"2\"", "\"2\""), ETAG_DIFFERS);
}
END_TEST

START_TEST(a_star_matches_whatever_is_there)
{
    ck_assert_int_eq(strong("*", "\"2\""), ETAG_MATCHES);
    ck_assert_int_eq(strong("*", ""), ETAG_DIFFERS);
}
END_TEST

START_TEST(what_is_no_list_of_tags_is_malformed)
{
    static const char *const headers[] = {"",        "2",        "\"2",    "\"2\" \"3\"", "\"2\",",
                                          "w/\"2\"", "*, \"2\"", ",\"2\"", "W/2",         "\"2\"x"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        ck_assert_msg(weak(headers[i], "\"2\"") == ETAG_MALFORMED, "%s", headers[i]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("etag");
    tcase_add_test(tests, a_tag_matches_wherever_it_is_in_the_list);
    tcase_add_test(tests, a_weak_tag_matches_where_that_is_enough);
    tcase_add_test(tests, a_star_matches_whatever_is_there);
    tcase_add_test(tests, what_is_no_list_of_tags_is_malformed);
    return run_case(tests, "etag");
}
