/* Lists of hosts, and which a request may name. */
#include "server/http/hosts.h"

#include "../../base/run.h"

START_TEST(addresses_and_localhost_always_may)
{
    static const char *const good[] = {"",          ":80",         "127.0.0.1:8080",
                                       "10.1.2.3",  "[::1]",       "[fe80::1]:8080",
                                       "localhost", "LOCALHOST:1", "app.localhost:8080"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(hosts_serve("", bytes_of(good[i])), "%s", good[i]);
}
END_TEST

START_TEST(other_names_may_not)
{
    static const char *const bad[] = {
        "evil.example",           "evil.example:8080", "x",
        "127.0.0.1.evil.example", "1.2.3.4x",          "localhost.evil.example",
        "evillocalhost",          "localhost:80:80",   "a@127.0.0.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!hosts_serve("", bytes_of(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(a_name_in_the_list_may_with_any_port_or_with_its_own)
{
    static const char list[] = "api.example, Other.example:8080,web.example:80";
    ck_assert(hosts_serve(list, BYTES("API.example:1")));
    ck_assert(hosts_serve(list, BYTES("other.example:8080")));
    ck_assert(hosts_serve(list, BYTES("web.example")));
    ck_assert(!hosts_serve(list, BYTES("other.example:8081")));
    ck_assert(!hosts_serve(list, BYTES("other.example")));
    ck_assert(!hosts_serve(list, BYTES("an.api.example")));
    ck_assert(!hosts_serve(list, BYTES("api.example.evil.example")));
}
END_TEST

START_TEST(a_star_stands_for_all_below_a_domain_or_for_all)
{
    ck_assert(hosts_serve("*.example", BYTES("a.b.EXAMPLE:8080")));
    ck_assert(!hosts_serve("*.example", BYTES("example")));
    ck_assert(!hosts_serve("*.example", BYTES("evilexample")));
    ck_assert(hosts_serve("api.example, *", BYTES("evil.example:8080")));
}
END_TEST

START_TEST(a_list_has_nothing_that_it_does_not_say)
{
    ck_assert(!hosts_have(NULL, BYTES("a"), BYTES("80")));
    ck_assert(!hosts_have(" ,,", BYTES(""), BYTES("80")));
    ck_assert(!hosts_have("*", BYTES("a"), BYTES("80")));
    ck_assert(!hosts_have("b", BYTES("127.0.0.1"), BYTES("80")));
    ck_assert(hosts_have("b,[::1]:80", BYTES("[::1]"), BYTES("80")));
    ck_assert(!hosts_have("[::1]:80", BYTES("[::1]"), BYTES("81")));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("hosts");
    tcase_add_test(tests, addresses_and_localhost_always_may);
    tcase_add_test(tests, other_names_may_not);
    tcase_add_test(tests, a_name_in_the_list_may_with_any_port_or_with_its_own);
    tcase_add_test(tests, a_star_stands_for_all_below_a_domain_or_for_all);
    tcase_add_test(tests, a_list_has_nothing_that_it_does_not_say);
    return run_case(tests, "hosts");
}
