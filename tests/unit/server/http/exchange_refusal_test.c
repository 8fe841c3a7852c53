/* Requests that the exchange refuses before a handler sees them. */
#include "rehearsal.h"

static void assert_refused_allowing(const char *method, const char *path, int64_t length,
                                    size_t head, unsigned status, const char *code,
                                    const char *allow)
{
    char member[64];
    begin(method, path, length, head);
    ck_assert_uint_eq(sent.status, status);
    snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
    ck_assert_msg(strstr(body, member) != NULL, "%s", body);
    assert_header("content-type", "application/problem+json");
    if (allow)
        assert_header("allow", allow);
    exchange_body(now, BYTES("ignored"));
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 1);
    exchange_end(now);
}

static void assert_refused(const char *method, const char *path, int64_t length, size_t head,
                           unsigned status, const char *code)
{
    assert_refused_allowing(method, path, length, head, status, code, NULL);
}

START_TEST(unknown_path_is_404)
{
    assert_refused("GET", "/nowhere", 0, 50, 404, "not_found");
    ck_assert_uint_eq(recorded(5, 404), 1);
}
END_TEST

START_TEST(unknown_method_is_405_with_allow)
{
    assert_refused_allowing("DELETE", "/later", 0, 50, 405, "method_not_allowed",
                            "GET, HEAD, OPTIONS");
}
END_TEST

START_TEST(options_is_204_with_allow)
{
    begin("OPTIONS", "/now", 0, 50);
    ck_assert_uint_eq(sent.status, 204);
    assert_header("allow", "POST, OPTIONS");
    exchange_end(now);
}
END_TEST

START_TEST(announced_body_above_the_limit_is_413)
{
    assert_refused("POST", "/now", 11, 50, 413, "payload_too_large");
    ck_assert_ptr_nonnull(strstr(body, "\"limit\":10"));
    ck_assert_ptr_nonnull(strstr(body, "\"category\":\"limit\""));
}
END_TEST

START_TEST(a_body_where_none_is_expected_is_413_and_said_to_be_that)
{
    assert_refused("GET", "/acts", 1, 50, 413, "payload_too_large");
    ck_assert_ptr_nonnull(strstr(body, "this request must not have a body"));
    ck_assert_ptr_null(strstr(body, "\"limit\""));
    begin("GET", "/acts", -1, 50);
    exchange_body(now, BYTES("x"));
    ck_assert_uint_eq(sent.status, 413);
    exchange_end(now);
}
END_TEST

START_TEST(a_body_with_a_content_coding_is_415_and_told_of_identity)
{
    headers[0] = (struct header){BYTES("Content-Encoding"), BYTES("gzip")};
    assert_refused("POST", "/now", 5, 50, 415, "unsupported_media_type");
    assert_header("accept-encoding", "identity");
}
END_TEST

START_TEST(the_coding_identity_is_none_and_without_a_body_none_matters)
{
    headers[0] = (struct header){BYTES("Content-Encoding"), BYTES("Identity")};
    begin("POST", "/now", 5, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
    headers[0].value = BYTES("gzip");
    begin("POST", "/now", 0, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
}
END_TEST

START_TEST(a_page_of_another_site_may_look_and_not_act)
{
    headers[0] = (struct header){BYTES("Sec-Fetch-Site"), BYTES("cross-site")};
    begin("GET", "/named/x", 0, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
    assert_refused("POST", "/now", 5, 50, 403, "forbidden");
    answers = 0;
    assert_refused("GET", "/acts", 0, 50, 403, "forbidden");
    answers = 0;
    headers[0].value = BYTES("same-origin");
    begin("POST", "/now", 5, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
}
END_TEST

START_TEST(a_host_that_is_not_ours_is_421_whatever_is_asked)
{
    headers[0] = (struct header){BYTES("host"), BYTES("evil.example:8080")};
    assert_refused("GET", "/later", 0, 50, 421, "misdirected_request");
    ck_assert_ptr_nonnull(strstr(body, "evil.example:8080: http.hosts does not have it"));
    answers = 0;
    assert_refused("POST", "/nowhere", 0, 50, 421, "misdirected_request");
    answers = 0;
    headers[0].value = BYTES("ours.example:8080");
    begin("POST", "/now", 5, 50);
    ck_assert_uint_eq(answers, 0);
    exchange_end(now);
}
END_TEST

START_TEST(unannounced_body_above_the_limit_is_413)
{
    begin("POST", "/now", -1, 50);
    exchange_body(now, BYTES("0123456789"));
    ck_assert_uint_eq(answers, 0);
    exchange_body(now, BYTES("x"));
    ck_assert_uint_eq(sent.status, 413);
    exchange_body(now, BYTES("y"));
    exchange_body_end(now);
    ck_assert_uint_eq(answers, 1);
    exchange_end(now);
}
END_TEST

START_TEST(long_target_is_414)
{
    static const char path[] =
        "/0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789";
    assert_refused("GET", path, 0, 200, 414, "uri_too_long");
}
END_TEST

START_TEST(large_head_is_431)
{
    assert_refused("GET", "/later", 0, 501, 431, "headers_too_large");
}
END_TEST

START_TEST(bad_escape_in_a_name_is_400)
{
    assert_refused("GET", "/named/%zz", 0, 50, 400, "invalid_request");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("exchange refusal");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, unknown_path_is_404);
    tcase_add_test(tests, unknown_method_is_405_with_allow);
    tcase_add_test(tests, options_is_204_with_allow);
    tcase_add_test(tests, announced_body_above_the_limit_is_413);
    tcase_add_test(tests, unannounced_body_above_the_limit_is_413);
    tcase_add_test(tests, a_body_where_none_is_expected_is_413_and_said_to_be_that);
    tcase_add_test(tests, a_body_with_a_content_coding_is_415_and_told_of_identity);
    tcase_add_test(tests, the_coding_identity_is_none_and_without_a_body_none_matters);
    tcase_add_test(tests, a_page_of_another_site_may_look_and_not_act);
    tcase_add_test(tests, a_host_that_is_not_ours_is_421_whatever_is_asked);
    tcase_add_test(tests, long_target_is_414);
    tcase_add_test(tests, large_head_is_431);
    tcase_add_test(tests, bad_escape_in_a_name_is_400);
    return run_case(tests, "exchange refusal");
}
