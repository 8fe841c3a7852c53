#include "bridge/environment.h"

#include "../base/run.h"

#include <stdlib.h>
#include <string.h>

static char **made;

static void make(const char *const *ours, const char *const *extra)
{
    made = environment_make(&(struct environment_source){
        .ours = ours, .extra = extra, .package_path = "/sdk", .control_fd = 3, .threads = 1});
}

static void tear_down(void)
{
    environment_free(&made);
}

/* The value, or NULL; aborts when a name comes twice. */
static const char *value(const char *name)
{
    const char *found = NULL;
    for (char **at = made; *at; at++) {
        if (strncmp(*at, name, strlen(name)) == 0 && (*at)[strlen(name)] == '=') {
            ck_assert_ptr_null(found);
            found = *at + strlen(name) + 1;
        }
    }
    return found;
}

START_TEST(what_is_on_the_list_passes_and_nothing_else)
{
    const char *ours[] = {"PATH=/bin",   "LC_ALL=C",        "EDITOR=vi",
                          "PATHOLOGY=1", "SNAKEPIT_PORT=1", NULL};
    make(ours, NULL);
    ck_assert_str_eq(value("PATH"), "/bin");
    ck_assert_str_eq(value("LC_ALL"), "C");
    ck_assert_ptr_null(value("EDITOR"));
    ck_assert_ptr_null(value("PATHOLOGY"));
    ck_assert_ptr_null(value("SNAKEPIT_PORT"));
    ck_assert_str_eq(value("SNAKEPIT_CONTROL_FD"), "3");
}
END_TEST

START_TEST(secrets_never_pass)
{
    const char *ours[] = {"HF_TOKEN=a",      "HF_HOME=/hf",     "AWS_SECRET_ACCESS_KEY=b",
                          "PYTHON_TOKEN=c",  "CUDA_API_KEY=d",  "NVIDIA_Password=e",
                          "HF_credential=f", "LC_TIME=token=g", NULL};
    make(ours, NULL);
    ck_assert_str_eq(value("HF_HOME"), "/hf");
    ck_assert_str_eq(value("LC_TIME"), "token=g");
    for (unsigned i = 0; i < 7; i++) {
        char name[40] = "";
        if (i != 1) {
            memcpy(name, ours[i], strcspn(ours[i], "="));
            ck_assert_msg(!value(name), "%s passed", name);
        }
    }
}
END_TEST

/* Snakepit 31. */
START_TEST(what_is_configured_passes_whatever_it_is_and_wins)
{
    const char *ours[] = {"LANG=C", "PATH=/bin", NULL};
    const char *extra[] = {"LANG=de", "MODEL_TOKEN=x", "OMP_NUM_THREADS=4", "SNAKEPIT_CONTROL_FD=9",
                           NULL};
    make(ours, extra);
    ck_assert_str_eq(value("LANG"), "de");
    ck_assert_str_eq(value("MODEL_TOKEN"), "x");
    ck_assert_str_eq(value("OMP_NUM_THREADS"), "4");
    ck_assert_str_eq(value("SNAKEPIT_CONTROL_FD"), "3");
}
END_TEST

START_TEST(the_package_comes_first_on_pythons_path)
{
    const char *ours[] = {"PYTHONPATH=/mine", NULL};
    make(ours, NULL);
    ck_assert_str_eq(value("PYTHONPATH"), "/sdk:/mine");
    environment_free(&made);
    make(ours, (const char *[]){"PYTHONPATH=/theirs", NULL});
    ck_assert_str_eq(value("PYTHONPATH"), "/sdk:/theirs");
    environment_free(&made);
    make(NULL, NULL);
    ck_assert_str_eq(value("PYTHONPATH"), "/sdk");
}
END_TEST

/* Snakepit 31. */
START_TEST(numeric_libraries_get_one_thread_unless_told_otherwise)
{
    const char *ours[] = {"MKL_NUM_THREADS=2", NULL};
    make(ours, NULL);
    ck_assert_str_eq(value("MKL_NUM_THREADS"), "2");
    ck_assert_str_eq(value("OPENBLAS_NUM_THREADS"), "1");
}
END_TEST

/* Each of a few workers of several slots has its share of the processors. */
START_TEST(numeric_libraries_get_as_many_threads_as_they_may_have)
{
    made = environment_make(&(struct environment_source){.package_path = "/sdk", .threads = 12});
    ck_assert_str_eq(value("OMP_NUM_THREADS"), "12");
    ck_assert_str_eq(value("VECLIB_MAXIMUM_THREADS"), "12");
}
END_TEST

START_TEST(what_a_worker_starts_bears_the_mark_of_the_run)
{
    const char *ours[] = {"_SNAKEPIT_RUN=of another", NULL};
    made = environment_make(&(struct environment_source){
        .ours = ours, .package_path = "/sdk", .mark = "--snakepit-run=a:b:1:2", .threads = 1});
    ck_assert_str_eq(value("_SNAKEPIT_RUN"), "--snakepit-run=a:b:1:2");
    environment_free(&made);
    make(ours, NULL);
    ck_assert_ptr_null(value("_SNAKEPIT_RUN"));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("environment");
    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, what_is_on_the_list_passes_and_nothing_else);
    tcase_add_test(tests, secrets_never_pass);
    tcase_add_test(tests, numeric_libraries_get_as_many_threads_as_they_may_have);
    tcase_add_test(tests, what_a_worker_starts_bears_the_mark_of_the_run);
    tcase_add_test(tests, what_is_configured_passes_whatever_it_is_and_wins);
    tcase_add_test(tests, the_package_comes_first_on_pythons_path);
    tcase_add_test(tests, numeric_libraries_get_one_thread_unless_told_otherwise);
    return run_case(tests, "environment");
}
