/* What workers are told of the limits that they keep to. */
#include "server/config/sdk_limits.h"

#include "../../base/run.h"

#include <check.h>
#include <string.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_unref(&arena);
}

static void expect(const char *const *made, const char *const *expected)
{
    for (; *expected; made++, expected++) {
        ck_assert_ptr_nonnull(*made);
        ck_assert_str_eq(*made, *expected);
    }
    ck_assert_ptr_null(*made);
}

START_TEST(every_limit_is_in_the_environment)
{
    const struct sdk_limits limits = {.value = 1,
                                      .elements = 2,
                                      .stream_ahead = 3,
                                      .cache = 4,
                                      .cache_us = 1500000,
                                      .references = 5,
                                      .reference_us = 60000001,
                                      .telemetry = 6};
    expect(sdk_limits_environment(&limits, NULL, arena),
           (const char *const[]){
               "SNAKEPIT_VALUES_LIMIT=1", "SNAKEPIT_TOLIST_MAX_ELEMENTS=2",
               "SNAKEPIT_STREAMS_AHEAD=3", "SNAKEPIT_SESSIONS_VARIABLES_CACHE_SIZE=4",
               "SNAKEPIT_SESSIONS_VARIABLES_CACHE_TTL=1.500000", "SNAKEBRIDGE_REF_MAX=5",
               "SNAKEBRIDGE_REF_TTL_SECONDS=60.000001", "SNAKEPIT_TELEMETRY_BUFFER=6", NULL});
}
END_TEST

START_TEST(what_the_pool_gives_goes_before)
{
    const struct sdk_limits limits = sdk_limits_default();
    const char *const given[] = {"MODEL=small", "SNAKEPIT_VALUES_LIMIT=7", NULL};
    const char **made = sdk_limits_environment(&limits, given, arena);
    ck_assert_str_eq(made[0], given[0]);
    ck_assert_str_eq(made[1], given[1]);
    ck_assert_str_eq(made[2], "SNAKEPIT_VALUES_LIMIT=67108864");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("sdk_limits");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_limit_is_in_the_environment);
    tcase_add_test(tests, what_the_pool_gives_goes_before);
    return run_case(tests, "sdk_limits");
}
