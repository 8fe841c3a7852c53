#include "bridge/warden.h"

#include "bridge/proc.h"

#include "../base/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct run run;
static struct rundir rundir;
static struct warden *warden;
static char folder[] = "/tmp/snakepit-warden-XXXXXX";

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    setenv("XDG_RUNTIME_DIR", folder, 1);
    ck_assert(rundir_make(&rundir));
    run_init(&run, "test-of-warden");
}

static void tear_down(void)
{
    warden_stop(&warden);
    rundir_remove(&rundir);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* A process group that does nothing. Before the warden: it would keep the warden's pipe open. */
static pid_t start_group(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            pause();
    }
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(setpgid(pid, pid), 0);
    return pid;
}

static int signal_that_ended(pid_t pid)
{
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

START_TEST(as_many_groups_as_there_can_be_are_killed_to_the_last)
{
    pid_t first = start_group(), last = start_group();
    ck_assert_ptr_nonnull(warden = warden_start(&run, &rundir));
    for (unsigned i = 1; i < WARDEN_GROUPS; i++)
        warden_watch(warden, first);
    warden_watch(warden, last);
    warden_stop(&warden);
    ck_assert_int_eq(signal_that_ended(first), SIGKILL);
    ck_assert_int_eq(signal_that_ended(last), SIGKILL);
}
END_TEST

/* Snakepit 48. */
START_TEST(a_forgotten_group_is_left_alone_and_its_place_is_free_again)
{
    pid_t forgotten = start_group(), watched = start_group();
    ck_assert_ptr_nonnull(warden = warden_start(&run, &rundir));
    for (unsigned i = 0; i < 2 * WARDEN_GROUPS; i++) {
        warden_watch(warden, forgotten);
        warden_forget(warden, forgotten);
    }
    warden_watch(warden, watched);
    warden_stop(&warden);
    ck_assert_int_eq(signal_that_ended(watched), SIGKILL);
    ck_assert_int_eq(waitpid(forgotten, NULL, WNOHANG), 0);
    ck_assert_int_eq(kill(forgotten, SIGUSR1), 0);
    ck_assert_int_eq(signal_that_ended(forgotten), SIGUSR1);
}
END_TEST

/* This program again, under the command line of a worker. */
static pid_t start_marked(unsigned after_ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec nap = {.tv_nsec = after_ms * 1000000L};
        nanosleep(&nap, NULL);
        execl("/proc/self/exe", "python3", "-m", "snakepit_bridge", run.mark, NULL);
        _exit(127);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

START_TEST(a_process_that_was_being_started_is_killed_though_its_group_is_not_known)
{
    pid_t pid = start_marked(50);
    ck_assert_ptr_nonnull(warden = warden_start(&run, &rundir));
    warden_expect(warden, true);
    warden_stop(&warden);
    ck_assert_int_eq(signal_that_ended(pid), SIGKILL);
}
END_TEST

static bool bears_the_mark(pid_t pid)
{
    char path[40], words[256] = "";
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    return memmem(words, proc_read(path, words, sizeof words), run.mark, strlen(run.mark));
}

/* What a tool has started in a session of its own, for one. */
START_TEST(what_bears_the_mark_is_killed_though_nobody_was_being_started)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    pid_t pid = start_marked(0);
    while (!bears_the_mark(pid))
        nanosleep(&nap, NULL);
    ck_assert_ptr_nonnull(warden = warden_start(&run, &rundir));
    warden_stop(&warden);
    ck_assert_int_eq(signal_that_ended(pid), SIGKILL);
}
END_TEST

/* Made after the warden, so that there is no moment at which nobody would remove it. */
START_TEST(a_directory_that_is_made_later_is_removed)
{
    struct rundir *later = rundir_new();
    ck_assert_ptr_nonnull(later);
    ck_assert_ptr_nonnull(warden = warden_start(&run, later));
    ck_assert(rundir_make(later));
    ck_assert_int_eq(access(later->path, F_OK), 0);
    warden_stop(&warden);
    ck_assert_int_ne(access(later->path, F_OK), 0);
}
END_TEST

int main(int count, char **words)
{
    if (count == 4 && strcmp(words[2], "snakepit_bridge") == 0) {
        for (;;)
            pause();
    }
    TCase *tests = tcase_create("warden");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, as_many_groups_as_there_can_be_are_killed_to_the_last);
    tcase_add_test(tests, a_process_that_was_being_started_is_killed_though_its_group_is_not_known);
    tcase_add_test(tests, what_bears_the_mark_is_killed_though_nobody_was_being_started);
    tcase_add_test(tests, a_forgotten_group_is_left_alone_and_its_place_is_free_again);
    tcase_add_test(tests, a_directory_that_is_made_later_is_removed);
    return run_case(tests, "warden");
}
