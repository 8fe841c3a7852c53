#include "server/http/sniff.h"

#include "../../base/run.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

START_TEST(every_part_of_the_preface_asks_for_more)
{
    for (size_t len = 0; len < SNIFF_PREFACE_LEN; len++)
        ck_assert_int_eq(sniff(bytes_from(preface, len)), SNIFF_MORE);
}
END_TEST

START_TEST(whole_preface_is_http2_whatever_follows)
{
    ck_assert_int_eq(sniff(bytes_of(preface)), SNIFF_HTTP2);
    ck_assert_int_eq(sniff(BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxyz")), SNIFF_HTTP2);
}
END_TEST

START_TEST(a_wrong_byte_anywhere_is_http1)
{
    for (size_t at = 1; at < SNIFF_PREFACE_LEN; at++) {
        char bytes[SNIFF_PREFACE_LEN];
        memcpy(bytes, preface, sizeof(bytes));
        bytes[at] ^= 1;
        ck_assert_int_eq(sniff(bytes_from(bytes, at + 1)), SNIFF_HTTP1);
    }
}
END_TEST

START_TEST(one_letter_decides_for_most_methods)
{
    ck_assert_int_eq(sniff(BYTES("G")), SNIFF_HTTP1);
    ck_assert_int_eq(sniff(BYTES("P")), SNIFF_MORE);
    ck_assert_int_eq(sniff(BYTES("PR")), SNIFF_MORE);
    ck_assert_int_eq(sniff(BYTES("PRO")), SNIFF_HTTP1);
    ck_assert_int_eq(sniff(BYTES("get")), SNIFF_HTTP1);
}
END_TEST

START_TEST(what_starts_with_no_letter_is_junk)
{
    ck_assert_int_eq(sniff(BYTES("\x16\x03\x01")), SNIFF_JUNK);
    ck_assert_int_eq(sniff(BYTES("\r\nGET")), SNIFF_JUNK);
    ck_assert_int_eq(sniff(bytes_from("", 1)), SNIFF_JUNK);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("sniff");
    tcase_add_test(tests, every_part_of_the_preface_asks_for_more);
    tcase_add_test(tests, whole_preface_is_http2_whatever_follows);
    tcase_add_test(tests, a_wrong_byte_anywhere_is_http1);
    tcase_add_test(tests, one_letter_decides_for_most_methods);
    tcase_add_test(tests, what_starts_with_no_letter_is_junk);
    return run_case(tests, "sniff");
}
