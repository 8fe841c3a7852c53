/* What an operator sees and does while the gateway runs: sizes, reloads, recycling. */
#include "look.h"

#include <pthread.h>
#include <stdatomic.h>

/* Time that scaling may take here, where other tests run beside it; the bar of 500 ms is held by
 * the figure that is printed. */
enum { SCALED_SECONDS = 5, LOAD_THREADS = 6 };

static void start(const char *workers)
{
    gateway = gateway_start((const char *const[]){"--workers", workers, NULL}, NULL);
    client = client_new(gateway_port(gateway), false);
}

static void stop(void)
{
    client_free(&client);
    gateway_stop(&gateway);
}

static struct answer send_to(const char *method, const char *path, const char *body)
{
    return client_send(client, &(struct request){.method = method,
                                                 .path = path,
                                                 .body = body,
                                                 .content_type = body ? "application/json" : NULL});
}

/* --- load: threads that call without a pause, and want every call to succeed --- */

struct load {
    pthread_t threads[LOAD_THREADS];
    atomic_bool stop;
    atomic_uint done, failed;
    char failure[512]; /* of one call, written once by whoever was first to fail */
};

static void *run_load(void *context)
{
    struct load *load = context;
    struct client *own = client_new(gateway_port(gateway), false);
    while (!load->stop) {
        struct answer answer = client_post(own, "/execute",
                                           "{\"tool\":\"sleep\",\"args\":{\"ms\":2},"
                                           "\"idempotent\":false}");
        if (answer.status != 200 && load->failed++ == 0)
            snprintf(load->failure, sizeof(load->failure), "%ld %s %s", answer.status, answer.error,
                     answer.body ? answer.body : "");
        load->done++;
        answer_deinit(&answer);
    }
    client_free(&own);
    return NULL;
}

static void load_start(struct load *load)
{
    memset(load, 0, sizeof(*load));
    for (int i = 0; i < LOAD_THREADS; i++)
        ck_assert_int_eq(pthread_create(&load->threads[i], NULL, run_load, load), 0);
}

static void load_stop(struct load *load)
{
    load->stop = true;
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_join(load->threads[i], NULL);
}

static void expect_all_done(const struct load *load)
{
    ck_assert_msg(load->failed == 0, "%u of %u calls failed: %s", load->failed, load->done,
                  load->failure);
    ck_assert_uint_gt(load->done, 10);
}

/* --- looking --- */

/* Snakepit 34, 36. */
START_TEST(a_pool_and_a_worker_are_shown_as_in_the_lists)
{
    static const char *const members[] = {"min", "max", "wanted", "workers.ready"};
    start("2");
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
        ck_assert_int_eq(pool_number(members[i]), 2);
    struct answer one, all = client_get(client, "/pools");
    json_t *listed = json_object_get(answer_json(&all, "application/json"), "pools");
    ck_assert_msg(json_equal(look(&one), json_array_get(listed, 0)), "%s %s", one.body, all.body);
    ck_assert_ptr_null(json_object_get(json_object_get(one.json, "workers"), "vacant"));
    answer_deinit(&one);
    answer_deinit(&all);
    one = client_get(client, "/workers/default-2");
    ck_assert_int_eq(one.status, 200);
    ck_assert_str_eq(member_text(answer_json(&one, "application/json"), "id"), "default-2");
    ck_assert_str_eq(member_text(one.json, "state"), "ready");
    answer_deinit(&one);
    one = client_get(client, "/calls");
    ck_assert_uint_eq(
        json_array_size(json_object_get(answer_json(&one, "application/json"), "calls")), 0);
    answer_deinit(&one);
    stop();
}
END_TEST

/* Snakepit 5. */
START_TEST(what_is_not_there_is_404)
{
    static const struct {
        const char *method, *path, *code;
    } rows[] = {
        {"GET", "/pools/other", "pool_not_found"},
        {"PATCH", "/pools/other", "pool_not_found"},
        {"POST", "/pools/other/reload", "pool_not_found"},
        {"GET", "/pools/other/poison", "pool_not_found"},
        {"DELETE", "/pools/other/poison", "pool_not_found"},
        {"GET", "/workers/default-99", "worker_not_found"},
        {"GET", "/workers/%00", "worker_not_found"},
        {"POST", "/workers/default-99/recycle", "worker_not_found"},
        {"GET", "/calls/c", "call_not_found"},
        {"DELETE", "/calls/c", "call_not_found"},
    };
    start("1");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct answer answer = send_to(rows[i].method, rows[i].path, NULL);
        expect_problem(&answer, 404, rows[i].code);
        answer_deinit(&answer);
    }
    stop();
}
END_TEST

/* --- sizes --- */

START_TEST(sizes_that_cannot_be_are_refused_and_change_nothing)
{
    static const struct {
        const char *body;
        int status;
        const char *code, *pointer;
    } rows[] = {
        {"{\"max\":0}", 422, "invalid_arguments", "/max"},
        {"{\"max\":151}", 422, "invalid_arguments", "/max"},
        {"{\"max\":1}", 422, "invalid_arguments", "/max"}, /* below the min that stays */
        {"{\"min\":3}", 422, "invalid_arguments", "/min"},
        {"{\"min\":-1}", 422, "invalid_arguments", "/min"},
        {"{\"spare\":3}", 422, "invalid_arguments", "/spare"},
        {"{\"min\":99999999999}", 422, "invalid_arguments", "/min"},
        {"{\"min\":\"1\"}", 400, "invalid_request", "/min"},
        {"{\"min\":1.5}", 400, "invalid_request", "/min"},
        {"{\"size\":1}", 400, "invalid_request", "/size"},
        {"{\"min\":1,\"min\":1}", 400, "invalid_request", "/min"},
        {"[]", 400, "invalid_request", ""},
        {"{", 400, "invalid_json", NULL},
    };
    start("2");
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct answer answer = send_to("PATCH", "/pools/default", rows[i].body);
        json_t *errors =
            json_object_get(expect_problem(&answer, rows[i].status, rows[i].code), "errors");
        if (rows[i].pointer)
            ck_assert_str_eq(member_text(json_array_get(errors, 0), "pointer"), rows[i].pointer);
        answer_deinit(&answer);
    }
    struct answer answer = client_send(client, &(struct request){.method = "PATCH",
                                                                 .path = "/pools/default",
                                                                 .body = "{}",
                                                                 .content_type = "text/plain"});
    expect_problem(&answer, 415, "unsupported_media_type");
    answer_deinit(&answer);
    ck_assert_int_eq(pool_number("min"), 2);
    ck_assert_int_eq(pool_number("max"), 2);
    ck_assert_int_eq(pool_number("counters.starts"), 2);
    stop();
}
END_TEST

/* Sends it and expects 200; `min` and `max` then stand in the answer. */
static void resize(const char *body, json_int_t min, json_int_t max)
{
    struct answer answer = send_to("PATCH", "/pools/default", body);
    ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.body);
    json_t *pool = answer_json(&answer, "application/json");
    ck_assert_int_eq(json_integer_value(json_object_get(pool, "min")), min);
    ck_assert_int_eq(json_integer_value(json_object_get(pool, "max")), max);
    answer_deinit(&answer);
}

START_TEST(a_pool_grows_from_one_to_eight_and_shrinks_again)
{
    start("1");
    double begin = now_seconds();
    resize("{\"min\":8,\"max\":8}", 8, 8);
    wait_for_number("workers.ready", 8);
    double took = now_seconds() - begin;
    printf("PATCH to all 8 workers ready: %.0f ms\n", 1000 * took);
    ck_assert(took < SCALED_SECONDS);
    ck_assert_int_eq((int)metric("snakepit_workers{pool=\"default\",state=\"ready\"}"), 8);
    ck_assert_int_eq((int)metric("snakepit_workers_wanted{pool=\"default\"}"), 8);
    begin = now_seconds();
    resize("{\"min\":1,\"max\":1}", 1, 1);
    wait_for_number("workers.ready", 1);
    wait_for_number("workers.draining", 0);
    printf("PATCH to 1 worker again: %.0f ms\n", 1000 * (now_seconds() - begin));
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    struct answer answer = client_execute(client, "echo", "{}");
    expect_result(&answer);
    answer_deinit(&answer);
    stop();
}
END_TEST

START_TEST(a_pool_that_may_grow_does_so_when_calls_wait)
{
    enum { CALLS = 24 };
    static const struct request call = {.path = "/execute",
                                        .body = "{\"tool\":\"sleep\",\"args\":{\"seconds\":1}}"};
    struct pending *pending[CALLS];
    start("1");
    resize("{\"max\":8}", 1, 8);
    double begin = now_seconds();
    for (int i = 0; i < CALLS; i++)
        pending[i] = client_send_later(gateway_port(gateway), i % 2, &call);
    wait_for_number("inflight", 8);
    double took = now_seconds() - begin;
    printf("a step of load to 8 calls running at once: %.0f ms\n", 1000 * took);
    ck_assert(took < SCALED_SECONDS);
    for (int i = 0; i < CALLS; i++) {
        struct answer answer = pending_wait(&pending[i]);
        expect_result(&answer);
        answer_deinit(&answer);
    }
    printf("24 calls of 1 s: %.2f s\n", now_seconds() - begin);
    stop();
}
END_TEST

/* --- recycling --- */

/* The id of the first worker that is ready and stays, or "" */
static void name_worker(char *out_id, size_t size)
{
    struct answer answer = client_get(client, "/workers");
    json_t *workers = json_object_get(answer_json(&answer, "application/json"), "workers"), *worker;
    size_t i;
    out_id[0] = '\0';
    json_array_foreach(workers, i, worker)
    {
        if (strcmp(member_text(worker, "state"), "ready") == 0 &&
            json_is_false(json_object_get(worker, "retiring")))
            snprintf(out_id, size, "%s", member_text(worker, "id"));
    }
    answer_deinit(&answer);
}

/* Snakepit 33. */
START_TEST(recycling_loses_no_call)
{
    enum { RECYCLES = 20 };
    struct load load;
    start("2");
    load_start(&load);
    for (int recycles = 0; recycles < RECYCLES; sleep_ms(50)) {
        char id[64], path[128];
        name_worker(id, sizeof(id));
        if (!id[0])
            continue;
        snprintf(path, sizeof(path), "/workers/%s/recycle", id);
        struct answer answer = send_to("POST", path, NULL);
        ck_assert_msg(answer.status == 202 || answer.status == 404, "%ld %s", answer.status,
                      answer.body);
        recycles += answer.status == 202;
        answer_deinit(&answer);
    }
    wait_for_number("counters.recycled", RECYCLES);
    load_stop(&load);
    printf("%d recycles under load: %u calls, %u failed\n", RECYCLES, load.done, load.failed);
    expect_all_done(&load);
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    ck_assert_int_eq((int)metric("snakepit_workers_recycled_total{pool=\"default\"}"), RECYCLES);
    stop();
}
END_TEST

static double reload(json_int_t recycled)
{
    double begin = now_seconds();
    struct answer answer = send_to("POST", "/pools/default/reload", NULL);
    ck_assert_msg(answer.status == 202, "%ld %s", answer.status, answer.body);
    answer_deinit(&answer);
    wait_for_number("counters.recycled", recycled);
    return now_seconds() - begin;
}

START_TEST(reloading_replaces_every_worker_and_loses_no_call)
{
    enum { RELOADS = 5, WORKERS = 4 };
    struct load load;
    start("4");
    load_start(&load);
    for (int reloads = 1; reloads <= RELOADS; reloads++)
        printf("reload %d of %d workers: %.0f ms\n", reloads, WORKERS,
               1000 * reload((json_int_t)reloads * WORKERS));
    wait_for_number("workers.ready", WORKERS);
    load_stop(&load);
    printf("%d reloads under load: %u calls, %u failed\n", RELOADS, load.done, load.failed);
    expect_all_done(&load);
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    stop();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("control");
    ADD_ONCE(tcase, a_pool_and_a_worker_are_shown_as_in_the_lists);
    ADD_ONCE(tcase, what_is_not_there_is_404);
    ADD_ONCE(tcase, sizes_that_cannot_be_are_refused_and_change_nothing);
    ADD_ONCE(tcase, a_pool_grows_from_one_to_eight_and_shrinks_again);
    ADD_ONCE(tcase, a_pool_that_may_grow_does_so_when_calls_wait);
    ADD_ONCE(tcase, recycling_loses_no_call);
    ADD_ONCE(tcase, reloading_replaces_every_worker_and_loses_no_call);
    return run_tcases((TCase *[]){tcase, NULL});
}
