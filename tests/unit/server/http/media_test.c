/* Media types, and what Accept prefers. */
#include "server/http/media.h"

#include "../../base/run.h"

START_TEST(json_has_many_names)
{
    static const char *const json[] = {"application/json",
                                       "Application/JSON",
                                       "application/json; charset=utf-8",
                                       "application/problem+json",
                                       "application/merge-patch+json",
                                       " application/json ;x=y"};
    static const char *const other[] = {"",
                                        "application/jsonx",
                                        "text/json5",
                                        "+json",
                                        "json",
                                        "x+json",
                                        "text/plain; application/json",
                                        "application/x-www-form-urlencoded"};
    for (size_t i = 0; i < sizeof(json) / sizeof(*json); i++)
        ck_assert_msg(media_is_json(bytes_of(json[i])), "%s", json[i]);
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
        ck_assert_msg(!media_is_json(bytes_of(other[i])), "%s", other[i]);
}
END_TEST

START_TEST(accept_prefers_by_quality)
{
    static const struct {
        const char *accept;
        bool prefers;
    } cases[] = {{"", false},
                 {"*/*", false},
                 {"a/b", true},
                 {"A/B", true},
                 {"c/d", false},
                 {"a/b, c/d", true},
                 {"a/b;q=0.5, c/d", false},
                 {"a/b;q=0.5, c/d;q=0.5", true},
                 {"a/b;q=0.6;x=y , c/d;q=0.5", true},
                 {"a/b;q=0", false},
                 {"a/b;q=0.001", true},
                 {"a/bc, c/d;q=0.1", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(media_prefers(bytes_of(cases[i].accept), "a/b", "c/d") == cases[i].prefers,
                      "%s", cases[i].accept);
}
END_TEST

START_TEST(accept_allows_by_name_and_by_wildcard)
{
    static const struct {
        const char *accept;
        bool accepts;
    } cases[] = {{"a/b", true},
                 {"A/B", true},
                 {"*/*", true},
                 {"a/*", true},
                 {"c/d, a/b", true},
                 {"c/d", false},
                 {"c/*", false},
                 {"a/b;q=0", false},
                 {"a/b;q=0.001", true},
                 {"a/*;q=0.1", true},
                 {"a/bc", false},
                 {"a", false},
                 {"c/d, */*;q=0.1", true},
                 {"*/*;q=0", false},
                 {",,", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        ck_assert_msg(media_accepts(bytes_of(cases[i].accept), "a/b") == cases[i].accepts, "%s",
                      cases[i].accept);
}
END_TEST

START_TEST(pieces_are_cut_and_trimmed)
{
    struct bytes rest = BYTES(" a ,\tb,, c");
    ck_assert(bytes_equal(media_cut(&rest, ','), BYTES("a")));
    ck_assert(bytes_equal(media_cut(&rest, ','), BYTES("b")));
    ck_assert(bytes_equal(media_cut(&rest, ','), BYTES("")));
    ck_assert(bytes_equal(media_cut(&rest, ','), BYTES("c")));
    ck_assert_uint_eq(rest.len, 0);
    ck_assert(bytes_equal(media_cut(&rest, ','), BYTES("")));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("media");
    tcase_add_test(tests, json_has_many_names);
    tcase_add_test(tests, accept_prefers_by_quality);
    tcase_add_test(tests, accept_allows_by_name_and_by_wildcard);
    tcase_add_test(tests, pieces_are_cut_and_trimmed);
    return run_case(tests, "media");
}
