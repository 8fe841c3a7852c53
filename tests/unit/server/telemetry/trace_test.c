/* Trace contexts: those that are good, and those that go on. */
#include "server/telemetry/trace.h"

#include "../../base/run.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define TRACE_BYTES "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
#define OWN "00-" TRACE "-b7ad6b7169203331-01"
#define SPAN_BYTES "\x01\x23\x45\x67\x89\xab\xcd\xef"

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_unref(&arena);
}

START_TEST(a_traceparent_has_four_parts_of_hexadecimal)
{
    static const char *const good[] = {OWN, "00-" TRACE "-b7ad6b7169203331-00",
                                       "01-" TRACE "-b7ad6b7169203331-ff",
                                       "cc-" TRACE "-b7ad6b7169203331-01-more"};
    static const char *const bad[] = {
        "",
        "x",
        "00-" TRACE "-b7ad6b7169203331-0",
        OWN "-more",
        OWN "1",
        "cc-" TRACE "-b7ad6b7169203331-01more",
        "ff-" TRACE "-b7ad6b7169203331-01",
        "0x-" TRACE "-b7ad6b7169203331-01",
        "00_" TRACE "-b7ad6b7169203331-01",
        "00-" TRACE "+b7ad6b7169203331-01",
        "00-" TRACE "-b7ad6b7169203331 01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00-" TRACE "-b7ad6b716920333g-01",
        "00-" TRACE "-b7ad6b7169203331-0g",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-" TRACE "-0000000000000000-01",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(trace_is_good(bytes_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!trace_is_good(bytes_of(bad[i])), "%s", bad[i]);
}
END_TEST

static void expect(const char *own, struct bytes trace_id, struct bytes span_id,
                   const char *expected)
{
    struct bytes got = trace_within(bytes_of(own), trace_id, span_id, arena);
    ck_assert_msg(bytes_equal(got, bytes_of(expected)), "%.*s", (int)got.len, got.data);
}

START_TEST(a_span_of_the_calls_trace_takes_the_calls_place)
{
    expect(OWN, BYTES(TRACE_BYTES), BYTES(SPAN_BYTES), "00-" TRACE "-0123456789abcdef-01");
}
END_TEST

START_TEST(flags_stay_and_the_version_is_ours)
{
    expect("cc-" TRACE "-b7ad6b7169203331-00-more", BYTES(TRACE_BYTES), BYTES(SPAN_BYTES),
           "00-" TRACE "-0123456789abcdef-00");
}
END_TEST

START_TEST(without_a_trace_the_span_begins_one_that_is_recorded)
{
    expect("", BYTES(TRACE_BYTES), BYTES(SPAN_BYTES), "00-" TRACE "-0123456789abcdef-01");
}
END_TEST

START_TEST(a_span_of_another_trace_does_not_count)
{
    expect(OWN, BYTES("0123456789abcdef"), BYTES(SPAN_BYTES), OWN);
}
END_TEST

START_TEST(what_is_no_span_does_not_count)
{
    static const char zeros[TRACE_ID_BYTES];
    const struct bytes trace = BYTES(TRACE_BYTES), span = BYTES(SPAN_BYTES), none = {0};
    expect(OWN, none, none, OWN);
    expect(OWN, trace, none, OWN);
    expect(OWN, none, span, OWN);
    expect(OWN, trace, bytes_from(SPAN_BYTES, SPAN_ID_BYTES - 1), OWN);
    expect(OWN, trace, trace, OWN);
    expect(OWN, trace, bytes_from(zeros, SPAN_ID_BYTES), OWN);
    expect("", bytes_from(zeros, TRACE_ID_BYTES), span, "");
    expect("", none, none, "");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("trace");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_traceparent_has_four_parts_of_hexadecimal);
    tcase_add_test(tests, a_span_of_the_calls_trace_takes_the_calls_place);
    tcase_add_test(tests, flags_stay_and_the_version_is_ours);
    tcase_add_test(tests, without_a_trace_the_span_begins_one_that_is_recorded);
    tcase_add_test(tests, a_span_of_another_trace_does_not_count);
    tcase_add_test(tests, what_is_no_span_does_not_count);
    return run_case(tests, "trace");
}
