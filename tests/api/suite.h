/* The frame of a test program: one gateway for all its tests, and every test over both protocols.
 */
#ifndef SNAKEPIT_TESTS_API_SUITE_H
#define SNAKEPIT_TESTS_API_SUITE_H

#include "client.h"
#include "gateway.h"

#include <check.h>
#include <stdlib.h>

/* Limit for one test. */
#ifndef TEST_SECONDS
#define TEST_SECONDS 300
#endif

/* Started by a program's unchecked fixture, before the tests are forked. */
static struct gateway *gateway;
/* The running test's. */
static struct client *client;

/* Makes a check test of the function test##_body(). */
#define WITH_CLIENT(test)                                                                          \
    START_TEST(test)                                                                               \
    {                                                                                              \
        client = client_new(gateway_port(gateway), _i == 1);                                       \
        test##_body();                                                                             \
        client_free(&client);                                                                      \
    }                                                                                              \
    END_TEST

/* Over HTTP/1.1 and over HTTP/2; or over HTTP/1.1 alone. */
#define ADD_BOTH(tcase, test) tcase_add_loop_test(tcase, test, 0, 2)
#define ADD_ONCE(tcase, test) tcase_add_loop_test(tcase, test, 0, 1)

static inline void stop_gateway(void)
{
    gateway_stop(&gateway);
}

/* Runs them, NULL at the end, and returns main's exit code. */
static inline int run_tcases(TCase *const *tcases)
{
    Suite *suite = suite_create(TEST_NAME);
    for (; *tcases; tcases++) {
        tcase_set_timeout(*tcases, TEST_SECONDS);
        suite_add_tcase(suite, *tcases);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
