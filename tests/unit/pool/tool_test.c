/* Whose tool a name means. */
#include "pool/pool.h"

#include "../base/run.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static struct registry *registry;
static struct pool *first, *second;

static void announce(struct pool *pool, const char *name, const char *description)
{
    char fault[TOOL_FAULT_MAX];
    struct tool_spec spec = {.name = bytes_of(name), .description = bytes_of(description)};
    ck_assert(registry_announce(registry, pool, &spec, 1, fault));
}

enum { CHANGES = 1000 };

static struct pool *make_pool(const char *name)
{
    static struct runtime runtime;
    struct pool_options options = pool_defaults();
    options.name = name;
    return pool_new(&options, registry, &runtime, (struct observer){0});
}

static void set_up(void)
{
    log_set_level(LOG_NONE);
    registry = registry_new(CHANGES);
    first = make_pool("first");
    second = make_pool("second");
}

static void tear_down(void)
{
    pool_free(&first);
    pool_free(&second);
    registry_free(&registry);
}

static const struct pool *owner(const char *name)
{
    return registry_find(registry, bytes_of(name), NULL)->pool;
}

START_TEST(the_pool_that_was_made_first_has_the_name_whoever_announces_first)
{
    announce(second, "shared", "");
    ck_assert_ptr_eq(owner("shared"), second);
    announce(first, "shared", "");
    ck_assert_ptr_eq(owner("shared"), first);
    announce(second, "shared", "a new text");
    ck_assert_ptr_eq(owner("shared"), first);
}
END_TEST

START_TEST(the_other_pools_tool_is_found_by_its_pool)
{
    announce(first, "shared", "");
    announce(second, "shared", "");
    announce(second, "own", "");
    ck_assert_ptr_eq(registry_find(registry, BYTES("shared"), first)->pool, first);
    ck_assert_ptr_eq(registry_find(registry, BYTES("shared"), second)->pool, second);
    ck_assert_ptr_eq(owner("own"), second);
    ck_assert_ptr_null(registry_find(registry, BYTES("own"), first));
    ck_assert_ptr_null(registry_find(registry, BYTES("nothing"), NULL));
}
END_TEST

START_TEST(all_of_a_name_are_listed_in_the_order_of_their_pools)
{
    size_t count;
    announce(second, "shared", "");
    announce(second, "shared-too", "");
    announce(first, "shared", "");
    const struct tool_table *table = registry_table(registry);
    struct tool **tools = tool_table_find(table, BYTES("shared"), &count);
    ck_assert_uint_eq(table->count, 3);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_eq(tools[0]->pool, first);
    ck_assert_ptr_eq(tools[1]->pool, second);
    ck_assert_ptr_null(tool_table_find(table, BYTES("nothing"), &count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(a_tool_that_is_the_same_keeps_its_measurements)
{
    announce(second, "shared", "a");
    struct tool *before = registry_find(registry, BYTES("shared"), second);
    announce(first, "shared", "b");
    announce(second, "shared", "a");
    ck_assert_ptr_eq(registry_find(registry, BYTES("shared"), second), before);
    announce(second, "shared", "c");
    ck_assert_ptr_ne(registry_find(registry, BYTES("shared"), second), before);
    ck_assert_ptr_eq(before->pool, second);
}
END_TEST

START_TEST(many_tools_of_two_pools_are_all_found)
{
    char name[16];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "tool-%u", i);
        announce(i % 2 ? first : second, name, "");
        if (i % 3 == 0)
            announce(i % 2 ? second : first, name, "");
    }
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "tool-%u", i);
        ck_assert_ptr_eq(owner(name), i % 2 || i % 3 == 0 ? first : second);
    }
}
END_TEST

/* Snakepit 55. */
START_TEST(a_bad_name_is_refused_by_its_name)
{
    char fault[TOOL_FAULT_MAX];
    struct tool_spec spec = {.name = BYTES("no good")};
    ck_assert(!registry_announce(registry, first, &spec, 1, fault));
    ck_assert_str_eq(fault, "bad tool name: \"no good\"");
    ck_assert_uint_eq(registry_table(registry)->count, 0);
}
END_TEST

START_TEST(tools_that_change_at_each_start_are_refused_in_the_end)
{
    char fault[TOOL_FAULT_MAX], description[32];
    struct tool_spec spec = {.name = BYTES("draw")};
    for (unsigned i = 0; i <= CHANGES; i++) {
        snprintf(description, sizeof description, "%u", i);
        announce(first, "draw", description);
    }
    ck_assert(!registry_announce(registry, first, &spec, 1, fault));
    ck_assert_ptr_nonnull(strstr(fault, "changed too often"));
    ck_assert_ptr_nonnull(strstr(fault, "(registry.changes)"));
    announce(first, "draw", description);
    announce(second, "draw", "another pool's");
    announce(second, "draw", "changed");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("tool");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_pool_that_was_made_first_has_the_name_whoever_announces_first);
    tcase_add_test(tests, the_other_pools_tool_is_found_by_its_pool);
    tcase_add_test(tests, all_of_a_name_are_listed_in_the_order_of_their_pools);
    tcase_add_test(tests, a_tool_that_is_the_same_keeps_its_measurements);
    tcase_add_test(tests, many_tools_of_two_pools_are_all_found);
    tcase_add_test(tests, a_bad_name_is_refused_by_its_name);
    tcase_add_test(tests, tools_that_change_at_each_start_are_refused_in_the_end);
    return run_case(tests, "tool");
}
