/* What the test programs of this folder have in common: a suite, its cases, an exit status. */
#ifndef SNAKEPIT_TESTS_UNIT_BASE_RUN_H
#define SNAKEPIT_TESTS_UNIT_BASE_RUN_H

#include <check.h>

/* Runs a suite; returns the exit status of main(). */
static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Runs the one case of a suite; returns the exit status of main(). */
static inline int run_case(TCase *tests, const char *name)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}

#endif
