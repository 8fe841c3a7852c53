/* Percent-encoding, and queries. */
#include "server/http/percent.h"

#include "../../base/run.h"

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_unref(&arena);
}

START_TEST(a_percent_sign_needs_two_digits)
{
    static const char *const good[] = {"", "a", "%00", "%fF", "a%20b%20"};
    static const char *const bad[] = {"%", "%4", "%%41", "%4g", "%G4", "a%", "%41%", "% 1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(percent_is_good(bytes_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!percent_is_good(bytes_of(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(decoding_gives_every_byte)
{
    struct bytes decoded = percent_decode(BYTES("a%00%ff%2F%2fz"), arena);
    ck_assert(bytes_equal(decoded, BYTES("a\0\xff//z")));
}
END_TEST

START_TEST(what_needs_no_decoding_is_borrowed)
{
    struct bytes text = BYTES("a+b");
    ck_assert_ptr_eq(percent_decode(text, arena).data, text.data);
}
END_TEST

START_TEST(a_segment_keeps_what_is_unreserved_and_encodes_the_rest)
{
    struct buffer text = {0};
    percent_add(&text, BYTES("aZ9-._~ /?#%\x80"));
    ck_assert(bytes_equal(buffer_bytes(&text), BYTES("aZ9-._~%20%2F%3F%23%25%80")));
    buffer_deinit(&text);
}
END_TEST

static void expect(struct bytes *query, const char *name, const char *value)
{
    struct bytes got_name, got_value;
    ck_assert(percent_next(query, arena, &got_name, &got_value));
    ck_assert(bytes_equal(got_name, bytes_of(name)));
    ck_assert(bytes_equal(got_value, bytes_of(value)));
}

START_TEST(a_query_is_read_part_by_part)
{
    struct bytes query = BYTES("a=1&b+c=d%20e+f%2B&g&h=&=i&&j=k=l"), name, value;
    expect(&query, "a", "1");
    expect(&query, "b c", "d e f+");
    expect(&query, "g", "");
    expect(&query, "h", "");
    expect(&query, "", "i");
    expect(&query, "", "");
    expect(&query, "j", "k=l");
    ck_assert(!percent_next(&query, arena, &name, &value));
    ck_assert_uint_eq(query.len, 0);
}
END_TEST

START_TEST(a_part_that_is_not_good_stays)
{
    struct bytes query = BYTES("a=1&b=%x"), name, value;
    expect(&query, "a", "1");
    ck_assert(!percent_next(&query, arena, &name, &value));
    ck_assert(bytes_equal(query, BYTES("b=%x")));
    query = BYTES("%=1");
    ck_assert(!percent_next(&query, arena, &name, &value));
    ck_assert_uint_gt(query.len, 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("percent");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_percent_sign_needs_two_digits);
    tcase_add_test(tests, decoding_gives_every_byte);
    tcase_add_test(tests, what_needs_no_decoding_is_borrowed);
    tcase_add_test(tests, a_segment_keeps_what_is_unreserved_and_encodes_the_rest);
    tcase_add_test(tests, a_query_is_read_part_by_part);
    tcase_add_test(tests, a_part_that_is_not_good_stays);
    return run_case(tests, "percent");
}
