/* The same requests in both protocols, from a client that is not ours. */
#include "site.h"

#include "../../base/run.h"

#include <curl/curl.h>

static const long versions[] = {CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE};
enum { VERSIONS = sizeof(versions) / sizeof(versions[0]), PARALLEL = 50 };

static size_t keep(char *data, size_t size, size_t count, void *context)
{
    buffer_add(context, bytes_from(data, size * count));
    return size * count;
}

static CURL *request(int version, const char *path, struct buffer *body)
{
    char url[128];
    snprintf(url, sizeof(url), "http://localhost:%u%s", (unsigned)site.port, path);
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, versions[version]);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    /* curl 7.88 fails when it uses a connection with prior knowledge again (its issue 10634). */
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, (long)(version != 0));
    return curl;
}

static long run(CURL *curl)
{
    long status = 0;
    ck_assert_int_eq(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static void assert_get(int version, const char *path, long status, const char *text)
{
    struct buffer body = {0};
    CURL *curl = request(version, path, &body);
    ck_assert_int_eq(run(curl), status);
    if (text)
        ck_assert(bytes_equal(buffer_bytes(&body), bytes_of(text)));
    buffer_deinit(&body);
    curl_easy_cleanup(curl);
}

START_TEST(answers_at_once_later_and_not_found)
{
    assert_get(_i, "/now", 200, "now");
    assert_get(_i, "/later?10", 200, "later");
    assert_get(_i, "/nowhere", 404, NULL);
}
END_TEST

START_TEST(connection_is_used_again)
{
    struct buffer body = {0};
    CURL *curl = request(0, "/later", &body);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_int_eq(run(curl), 200);
    long connects = -1;
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
    ck_assert_int_eq(connects, 0);
    ck_assert_uint_eq(body.len, 20 * strlen("later"));
    buffer_deinit(&body);
    curl_easy_cleanup(curl);
}
END_TEST

START_TEST(big_answer_arrives_whole)
{
    struct buffer body = {0};
    CURL *curl = request(_i, "/big", &body);
    ck_assert_int_eq(run(curl), 200);
    ck_assert_uint_eq(body.len, SITE_BIG);
    ck_assert_mem_eq(body.data, site.big, SITE_BIG);
    buffer_deinit(&body);
    curl_easy_cleanup(curl);
}
END_TEST

/* Curl asks for a 100 before bodies above 1 MiB. */
static void post(int version, const char *path, size_t len, long status)
{
    struct buffer body = {0};
    CURL *curl = request(version, path, &body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, site.big);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    ck_assert_int_eq(run(curl), status);
    if (status == 200)
        ck_assert(bytes_equal(buffer_bytes(&body), bytes_from(site.big, len)));
    buffer_deinit(&body);
    curl_easy_cleanup(curl);
}

START_TEST(bodies_are_echoed_up_to_the_limit)
{
    post(_i, "/echo", 0, 200);
    post(_i, "/echo", 100000, 200);
    post(_i, "/echo", SITE_BIG, 200);
    post(_i, "/small", SITE_SMALL_LIMIT, 200);
    post(_i, "/small", SITE_SMALL_LIMIT + 1, 413);
    post(_i, "/small", SITE_BIG, 413);
}
END_TEST

START_TEST(parallel_requests_get_their_own_answers)
{
    struct buffer bodies[PARALLEL] = {0};
    CURL *curls[PARALLEL];
    CURLM *multi = curl_multi_init();
    for (int i = 0; i < PARALLEL; i++) {
        curls[i] = request(_i, "/echo", &bodies[i]);
        curl_easy_setopt(curls[i], CURLOPT_POSTFIELDS, site.big + 1000 * i);
        curl_easy_setopt(curls[i], CURLOPT_POSTFIELDSIZE, 1000L * i);
        curl_multi_add_handle(multi, curls[i]);
    }
    for (int running = 1; running > 0;) {
        ck_assert_int_eq(curl_multi_perform(multi, &running), CURLM_OK);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
    }
    for (int i = 0; i < PARALLEL; i++) {
        ck_assert(bytes_equal(buffer_bytes(&bodies[i]),
                              bytes_from(site.big + 1000 * i, 1000 * (size_t)i)));
        curl_multi_remove_handle(multi, curls[i]);
        curl_easy_cleanup(curls[i]);
        buffer_deinit(&bodies[i]);
    }
    curl_multi_cleanup(multi);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("curl");
    tcase_add_checked_fixture(tests, site_set_up, site_tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, answers_at_once_later_and_not_found, 0, VERSIONS);
    tcase_add_test(tests, connection_is_used_again);
    tcase_add_loop_test(tests, big_answer_arrives_whole, 0, VERSIONS);
    tcase_add_loop_test(tests, bodies_are_echoed_up_to_the_limit, 0, VERSIONS);
    tcase_add_loop_test(tests, parallel_requests_get_their_own_answers, 0, VERSIONS);
    return run_case(tests, "curl");
}
