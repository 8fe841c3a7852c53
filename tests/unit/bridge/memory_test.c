#include "bridge/memory.h"

#include "../base/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[40];

static void set_up(void)
{
    snprintf(root, sizeof root, "/tmp/memory-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

/* Folders and files in the order they were made, so that they can be removed the other way round.
 */
static char made[8][120];
static unsigned count;

static const char *below(const char *name)
{
    static char path[120];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void note(const char *path)
{
    snprintf(made[count++], sizeof made[0], "%s", path);
}

static void make_folder(const char *name)
{
    ck_assert_int_eq(mkdir(below(name), 0700), 0);
    note(below(name));
}

static void make_file(const char *name, const char *text)
{
    FILE *file = fopen(below(name), "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    note(below(name));
}

static void tear_down(void)
{
    while (count)
        remove(made[--count]);
    rmdir(root);
}

/* Snakepit 32. */
START_TEST(memory_is_known_of_what_lives_alone)
{
    ck_assert_uint_gt(memory_resident(getpid()), 100000);
    ck_assert_uint_gt(memory_proportional(getpid()), 10000);
    ck_assert_uint_eq(memory_resident(4194303), 0);
    ck_assert_uint_eq(memory_proportional(4194303), 0);
}
END_TEST

START_TEST(kills_of_a_group_of_version_2_are_counted)
{
    make_file("cgroup", "0::/mine\n");
    make_folder("mine");
    make_file("mine/memory.events", "low 0\noom 5\noom_kill 3\n");
    ck_assert_uint_eq(memory_oom_kills(root, root), 3);
}
END_TEST

START_TEST(kills_of_a_group_of_version_1_are_counted)
{
    make_file("cgroup", "9:name=systemd:/\n4:memory:/mine\n0::/\n");
    make_folder("memory");
    make_folder("memory/mine");
    make_file("memory/mine/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
    ck_assert_uint_eq(memory_oom_kills(root, root), 7);
}
END_TEST

START_TEST(a_group_that_is_mounted_as_the_root_is_found)
{
    make_file("cgroup", "0::/docker/abc\n");
    make_file("memory.events", "oom_kill 2\n");
    ck_assert_uint_eq(memory_oom_kills(root, root), 2);
}
END_TEST

START_TEST(where_nothing_is_known_nobody_was_killed)
{
    ck_assert_uint_eq(memory_oom_kills(root, root), 0);
    make_file("cgroup", "junk\n:\n0::/\n");
    ck_assert_uint_eq(memory_oom_kills(root, root), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("memory");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, memory_is_known_of_what_lives_alone);
    tcase_add_test(tests, kills_of_a_group_of_version_2_are_counted);
    tcase_add_test(tests, kills_of_a_group_of_version_1_are_counted);
    tcase_add_test(tests, a_group_that_is_mounted_as_the_root_is_found);
    tcase_add_test(tests, where_nothing_is_known_nobody_was_killed);
    return run_case(tests, "memory");
}
