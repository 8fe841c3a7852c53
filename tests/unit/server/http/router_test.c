#include "server/http/router.h"

#include "../../base/run.h"

#include <signal.h>

static const struct route table[] = {
    {.method = "GET", .pattern = "/"},
    {.method = "POST", .pattern = "/execute"},
    {.method = "GET", .pattern = "/tools"},
    {.method = "POST", .pattern = "/tools"},
    {.method = "GET", .pattern = "/tools/{name}"},
    {.method = "DELETE", .pattern = "/tools/{name}"},
    {.method = "GET", .pattern = "/sessions/{id}/variables/{name}"},
    {.method = "GET", .pattern = "/sessions/{id}/variables"},
    {.method = "POST", .pattern = "/calls/{id}/tool_results/{n}"},
    {.method = "GET", .pattern = "/calls/{id}/events"},
};
enum { ROWS = sizeof(table) / sizeof(table[0]) };

static struct router *router;
static struct arena *arena;

static void set_up(void)
{
    router = router_new(table, ROWS);
    arena = arena_new(0);
}

static void tear_down(void)
{
    router_free(&router);
    arena_unref(&arena);
}

static int row_of(const char *method, const char *path)
{
    const struct route *route = NULL;
    struct bytes allow = {0};
    enum route_verdict verdict =
        router_find(router, bytes_of(method), bytes_of(path), &route, &allow);
    return verdict == ROUTE_FOUND ? (int)router_index(router, route) : -(int)verdict;
}

static void assert_allow(const char *method, const char *path, enum route_verdict wanted,
                         const char *text)
{
    const struct route *route = NULL;
    struct bytes allow = {0};
    ck_assert_int_eq(router_find(router, bytes_of(method), bytes_of(path), &route, &allow), wanted);
    ck_assert_msg(bytes_equal(allow, bytes_of(text)), "allow is %.*s", (int)allow.len, allow.data);
}

static void assert_param(const char *path, unsigned index, struct bytes wanted)
{
    const struct route *route = NULL;
    struct bytes allow;
    ck_assert_int_eq(router_find(router, BYTES("GET"), bytes_of(path), &route, &allow),
                     ROUTE_FOUND);
    struct bytes text = route_param(route, bytes_of(path), index, arena);
    ck_assert_msg(bytes_equal(text, wanted), "param is %.*s", (int)text.len, text.data);
}

START_TEST(method_and_path_choose_the_row)
{
    ck_assert_int_eq(row_of("GET", "/"), 0);
    ck_assert_int_eq(row_of("POST", "/execute"), 1);
    ck_assert_int_eq(row_of("GET", "/tools"), 2);
    ck_assert_int_eq(row_of("POST", "/tools"), 3);
    ck_assert_int_eq(row_of("DELETE", "/tools/x"), 5);
    ck_assert_int_eq(row_of("GET", "/sessions/1/variables/v"), 6);
    ck_assert_int_eq(row_of("GET", "/sessions/1/variables"), 7);
    ck_assert_int_eq(row_of("GET", "/calls/9/events"), 9);
}
END_TEST

START_TEST(head_goes_where_get_goes)
{
    ck_assert_int_eq(row_of("HEAD", "/tools"), 2);
    ck_assert_int_eq(row_of("HEAD", "/execute"), -ROUTE_UNKNOWN_METHOD);
}
END_TEST

START_TEST(unknown_paths_are_unknown)
{
    const char *paths[] = {"",
                           "x",
                           "*",
                           "/execut",
                           "/execute/",
                           "/execute2",
                           "/tools/",
                           "/tools/a/b",
                           "//",
                           "/sessions//variables",
                           "/calls/9/event",
                           "/Tools"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        ck_assert_msg(row_of("GET", paths[i]) == -ROUTE_UNKNOWN_PATH, "%s", paths[i]);
}
END_TEST

START_TEST(wrong_method_names_the_right_ones)
{
    assert_allow("PUT", "/tools", ROUTE_UNKNOWN_METHOD, "GET, HEAD, POST, OPTIONS");
    assert_allow("GET", "/execute", ROUTE_UNKNOWN_METHOD, "POST, OPTIONS");
    assert_allow("PATCH", "/tools/x", ROUTE_UNKNOWN_METHOD, "GET, HEAD, DELETE, OPTIONS");
    assert_allow("get", "/tools/x", ROUTE_UNKNOWN_METHOD, "GET, HEAD, DELETE, OPTIONS");
}
END_TEST

START_TEST(options_is_answered_for_known_paths)
{
    assert_allow("OPTIONS", "/tools", ROUTE_OPTIONS, "GET, HEAD, POST, OPTIONS");
    ck_assert_int_eq(row_of("OPTIONS", "/nowhere"), -ROUTE_UNKNOWN_PATH);
}
END_TEST

START_TEST(placeholders_give_decoded_text)
{
    assert_param("/tools/predict", 0, BYTES("predict"));
    assert_param("/tools/a%20b%2Fc%2e", 0, BYTES("a b/c."));
    assert_param("/tools/%00", 0, bytes_from("", 1));
    assert_param("/sessions/s-1/variables/%E2%82%ac", 0, BYTES("s-1"));
    assert_param("/sessions/s-1/variables/%E2%82%ac", 1, BYTES("\xe2\x82\xac"));
}
END_TEST

START_TEST(bad_escapes_in_a_placeholder_are_refused)
{
    const char *paths[] = {"/tools/%", "/tools/%4", "/tools/%zz", "/tools/a%2", "/tools/%%20"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        ck_assert_msg(row_of("GET", paths[i]) == -ROUTE_BAD_ENCODING, "%s", paths[i]);
}
END_TEST

START_TEST(escapes_do_not_spell_literals)
{
    ck_assert_int_eq(row_of("GET", "/%74ools"), -ROUTE_UNKNOWN_PATH);
}
END_TEST

START_TEST(requests_without_a_route_have_the_row_behind_the_last)
{
    ck_assert_uint_eq(router_index(router, NULL), ROWS);
    ck_assert_uint_eq(router_count(router), ROWS);
}
END_TEST

START_TEST(half_a_segment_cannot_be_a_placeholder)
{
    static const struct route bad[] = {{.method = "GET", .pattern = "/a-{b}"}};
    router_new(bad, 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("router");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, method_and_path_choose_the_row);
    tcase_add_test(tests, head_goes_where_get_goes);
    tcase_add_test(tests, unknown_paths_are_unknown);
    tcase_add_test(tests, wrong_method_names_the_right_ones);
    tcase_add_test(tests, options_is_answered_for_known_paths);
    tcase_add_test(tests, placeholders_give_decoded_text);
    tcase_add_test(tests, bad_escapes_in_a_placeholder_are_refused);
    tcase_add_test(tests, escapes_do_not_spell_literals);
    tcase_add_test(tests, requests_without_a_route_have_the_row_behind_the_last);
    tcase_add_test_raise_signal(tests, half_a_segment_cannot_be_a_placeholder, SIGABRT);
    return run_case(tests, "router");
}
