#include "bridge/run.h"

#include "../base/run.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Processes that look like workers: this program again, under the command line of one. */

static struct run run;

static void set_up(void)
{
    run_init(&run, "test-of-run");
}

static pid_t start(const char *const *arguments, const char *const *environment)
{
    int ready[2];
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(ready[1], STDOUT_FILENO);
        execve("/proc/self/exe", (char *const *)(uintptr_t)arguments,
               (char *const *)(uintptr_t)environment);
        _exit(127);
    }
    close(ready[1]);
    char byte;
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static pid_t start_worker(const char *module, const char *mark)
{
    return start((const char *const[]){"python3", "-m", module, mark, NULL},
                 (const char *const[]){NULL});
}

/* What a tool has started: any program, with the mark in its environment. */
static pid_t start_grandchild(const char *mark)
{
    char variable[160];
    snprintf(variable, sizeof variable, "%s=%s", RUN_VARIABLE, mark);
    return start((const char *const[]){"sleeper", "-m", "sleep", "600", NULL},
                 (const char *const[]){"HOME=/", variable, NULL});
}

/* Whether it was killed; ends it if it was not. */
static bool is_killed(pid_t pid)
{
    int status = 0;
    struct timespec nap = {.tv_nsec = 50000000};
    nanosleep(&nap, NULL);
    if (waitpid(pid, &status, WNOHANG) == pid)
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    return false;
}

/* The run's own mark with other words in it. */
static const char *mark_of(const char *instance, const char *id, long gateway,
                           unsigned long long start)
{
    static char mark[112];
    snprintf(mark, sizeof mark, "--snakepit-run=%s:%s:%ld:%llu", instance, id, gateway, start);
    return mark;
}

static unsigned long long our_start(void)
{
    return strtoull(strrchr(run.mark, ':') + 1, NULL, 10);
}

/* Snakepit 46. */
START_TEST(a_run_has_an_id_and_a_mark)
{
    char expected[112];
    ck_assert_uint_eq(strlen(run.id), 7);
    ck_assert_uint_eq(strspn(run.id, "0123456789abcdefghijklmnopqrstuvwxyz"), 7);
    snprintf(expected, sizeof expected, "--snakepit-run=test-of-run:%s:%ld:", run.id,
             (long)getpid());
    ck_assert_int_eq(strncmp(run.mark, expected, strlen(expected)), 0);
    ck_assert_uint_gt(our_start(), 0);
    run_init(&run, NULL);
    ck_assert_str_eq(run.instance, "default");
}
END_TEST

/* Snakepit 42. */
START_TEST(a_worker_of_a_dead_gateway_is_killed)
{
    pid_t worker = start_worker("snakepit_bridge", mark_of("test-of-run", "0000000", 4194303, 7));
    ck_assert_uint_eq(run_sweep(&run), 1);
    ck_assert(is_killed(worker));
}
END_TEST

/* Snakepit 43. */
START_TEST(a_run_that_ends_kills_its_own_workers_only)
{
    pid_t own = start_worker("snakepit_bridge", run.mark);
    pid_t other = start_worker("snakepit_bridge", mark_of("test-of-run", "0000000", 4194303, 7));
    ck_assert_uint_eq(run_end(&run), 1);
    ck_assert(is_killed(own));
    ck_assert(!is_killed(other));
}
END_TEST

/* Whatever group or session it is in. */
START_TEST(what_a_worker_of_a_dead_gateway_has_started_is_killed)
{
    pid_t child = start_grandchild(mark_of("test-of-run", "0000000", 4194303, 7));
    pid_t other = start_grandchild(mark_of("test-of", "0000000", 4194303, 7));
    pid_t living = start_grandchild(mark_of("test-of-run", "0000000", getpid(), our_start()));
    ck_assert_uint_eq(run_sweep(&run), 1);
    ck_assert(is_killed(child));
    ck_assert(!is_killed(other));
    ck_assert(!is_killed(living));
}
END_TEST

START_TEST(a_run_that_ends_kills_what_its_workers_have_started)
{
    pid_t own = start_grandchild(run.mark);
    ck_assert_uint_eq(run_end(&run), 1);
    ck_assert(is_killed(own));
}
END_TEST

/* Snakepit 43. */
START_TEST(a_gateway_whose_number_was_given_away_is_dead)
{
    pid_t worker = start_worker("snakepit_bridge", mark_of("test-of-run", "0000000", getpid(), 1));
    ck_assert_uint_eq(run_sweep(&run), 1);
    ck_assert(is_killed(worker));
}
END_TEST

/* Snakepit 45. */
START_TEST(a_worker_of_a_live_gateway_is_left_alone)
{
    pid_t worker =
        start_worker("snakepit_bridge", mark_of("test-of-run", "0000000", getpid(), our_start()));
    ck_assert_uint_eq(run_sweep(&run), 0);
    ck_assert(!is_killed(worker));
}
END_TEST

/* Snakepit 42. */
START_TEST(our_own_worker_is_left_alone)
{
    pid_t worker = start_worker("snakepit_bridge", run.mark);
    ck_assert_uint_eq(run_sweep(&run), 0);
    ck_assert(!is_killed(worker));
}
END_TEST

/* Snakepit 45. */
START_TEST(a_worker_of_another_instance_is_left_alone)
{
    pid_t worker = start_worker("snakepit_bridge", mark_of("test-of", "0000000", 4194303, 7));
    pid_t longer = start_worker("snakepit_bridge", mark_of("test-of-run2", "0000000", 4194303, 7));
    ck_assert_uint_eq(run_sweep(&run), 0);
    ck_assert(!is_killed(worker));
    ck_assert(!is_killed(longer));
}
END_TEST

/* Snakepit 45. */
START_TEST(what_is_no_worker_is_left_alone)
{
    pid_t other = start_worker("editor", mark_of("test-of-run", "0000000", 4194303, 7));
    pid_t unmarked = start_worker("snakepit_bridge", "--snakepit-run=test-of-run:garbage");
    ck_assert_uint_eq(run_sweep(&run), 0);
    ck_assert(!is_killed(other));
    ck_assert(!is_killed(unmarked));
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, a_run_has_an_id_and_a_mark);
    tcase_add_test(tests, a_worker_of_a_dead_gateway_is_killed);
    tcase_add_test(tests, a_run_that_ends_kills_its_own_workers_only);
    tcase_add_test(tests, what_a_worker_of_a_dead_gateway_has_started_is_killed);
    tcase_add_test(tests, a_run_that_ends_kills_what_its_workers_have_started);
    tcase_add_test(tests, a_gateway_whose_number_was_given_away_is_dead);
    tcase_add_test(tests, a_worker_of_a_live_gateway_is_left_alone);
    tcase_add_test(tests, our_own_worker_is_left_alone);
    tcase_add_test(tests, a_worker_of_another_instance_is_left_alone);
    tcase_add_test(tests, what_is_no_worker_is_left_alone);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "-m") == 0) {
        if (write(STDOUT_FILENO, "!", 1) == 1)
            pause();
        return EXIT_SUCCESS;
    }
    TCase *tests = tcase_create("run");
    add_tests(tests);
    return run_case(tests, "run");
}
