/* What an operator sees and does while the gateway runs: sizes, reloads, recycling, the breaker,
 * requests that kill. */
#include "ledger.h"

#include <pthread.h>
#include <stdatomic.h>

/* Time that scaling may take here, where other tests run beside it; the bar of 500 ms is held by
 * the figure that is printed. */
enum { SCALED_SECONDS = 5, PATIENCE_SECONDS = 20, LOAD_THREADS = 6 };

static void start(const char *workers)
{
    gateway = gateway_start(
        (const char *const[]){"--workers", workers, "--adapter", "holder.Holder", NULL}, NULL);
    client = client_new(gateway_port(gateway), false);
    ledger_open(gateway);
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

/* GET /pools/default; the caller keeps the answer for as long as the document. */
static json_t *look(struct answer *out)
{
    *out = client_get(client, "/pools/default");
    ck_assert_int_eq(out->status, 200);
    return answer_json(out, "application/json");
}

/* A number in the pool's document: "breaker.opened". */
static json_int_t pool_number(const char *path)
{
    struct answer answer;
    json_t *at = look(&answer);
    char names[64], *rest = names;
    snprintf(names, sizeof(names), "%s", path);
    for (char *name; (name = strsep(&rest, ".")) != NULL;)
        at = json_object_get(at, name);
    ck_assert_msg(json_is_integer(at), "no number %s in %s", path, answer.body);
    json_int_t number = json_integer_value(at);
    answer_deinit(&answer);
    return number;
}

static double wait_for_number(const char *path, json_int_t number)
{
    double begin = now_seconds();
    for (; pool_number(path) != number; sleep_ms(2))
        ck_assert_msg(now_seconds() - begin < PATIENCE_SECONDS, "%s is never %d", path,
                      (int)number);
    return now_seconds() - begin;
}

static void expect_breaker(const char *state)
{
    struct answer answer;
    ck_assert_str_eq(member_text(json_object_get(look(&answer), "breaker"), "state"), state);
    answer_deinit(&answer);
}

/* The value of one sample of /metrics, by its whole name with labels. */
static double metric(const char *sample)
{
    struct answer answer = client_get(client, "/metrics");
    const char *at = strstr(answer.body, sample);
    ck_assert_msg(at != NULL, "there is no %s", sample);
    double value = strtod(at + strlen(sample), NULL);
    answer_deinit(&answer);
    return value;
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

START_TEST(reloading_replaces_every_worker_and_loses_no_call)
{
    enum { RELOADS = 5, WORKERS = 4 };
    struct load load;
    start("4");
    load_start(&load);
    for (int reloads = 1; reloads <= RELOADS; reloads++) {
        struct answer answer = send_to("POST", "/pools/default/reload", NULL);
        ck_assert_msg(answer.status == 202, "%ld %s", answer.status, answer.body);
        answer_deinit(&answer);
        double begin = now_seconds();
        wait_for_number("counters.recycled", (json_int_t)reloads * WORKERS);
        printf("reload %d of %d workers: %.0f ms\n", reloads, WORKERS,
               1000 * (now_seconds() - begin));
    }
    wait_for_number("workers.ready", WORKERS);
    load_stop(&load);
    printf("%d reloads under load: %u calls, %u failed\n", RELOADS, load.done, load.failed);
    expect_all_done(&load);
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    stop();
}
END_TEST

/* --- crashes --- */

static void crash_with(int code, int status, const char *expected)
{
    char args[64];
    snprintf(args, sizeof(args), "{\"how\":\"exit\",\"code\":%d}", code);
    struct answer answer = client_execute(client, "crash", args);
    expect_problem(&answer, status, expected);
    answer_deinit(&answer);
}

static void succeed(void)
{
    struct answer answer = client_execute(client, "echo", "{}");
    expect_result(&answer);
    answer_deinit(&answer);
}

/* The fingerprint of the only request that is listed; it belongs to "crash". */
static void read_fingerprint(char *out_fingerprint, size_t size)
{
    struct answer answer = client_get(client, "/pools/default/poison");
    json_t *list = json_object_get(answer_json(&answer, "application/json"), "poison");
    ck_assert_uint_eq(json_array_size(list), 1);
    json_t *entry = json_array_get(list, 0);
    ck_assert_str_eq(member_text(entry, "tool"), "crash");
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "kills")), 3);
    ck_assert_int_lt(json_integer_value(json_object_get(entry, "seconds_ago")), 20);
    snprintf(out_fingerprint, size, "%s", member_text(entry, "fingerprint"));
    ck_assert_uint_eq(strlen(out_fingerprint), 16);
    answer_deinit(&answer);
}

static json_int_t clear_poison(const char *query)
{
    char path[128];
    snprintf(path, sizeof(path), "/pools/default/poison%s", query);
    struct answer answer = send_to("DELETE", path, NULL);
    json_int_t cleared = -1;
    if (answer.status == 400)
        expect_problem(&answer, 400, "invalid_request");
    else
        cleared = json_integer_value(
            json_object_get(answer_json(&answer, "application/json"), "cleared"));
    answer_deinit(&answer);
    return cleared;
}

START_TEST(a_request_that_kills_is_refused_listed_and_cleared)
{
    char fingerprint[32], query[64];
    start("1");
    for (int i = 0; i < 3; i++) {
        crash_with(7, 502, "worker_crash");
        succeed();
    }
    double begin = now_seconds();
    crash_with(7, 422, "poison_request");
    ck_assert_msg(now_seconds() - begin < 0.5, "the refusal took %f s", now_seconds() - begin);
    read_fingerprint(fingerprint, sizeof(fingerprint));
    ck_assert_int_eq(pool_number("counters.crashes"), 3);
    ck_assert_int_eq(pool_number("counters.ends.poison"), 1);
    crash_with(8, 502, "worker_crash"); /* another request */
    ck_assert_int_eq(clear_poison("?fingerprint=xyz"), -1);
    ck_assert_int_eq(clear_poison("?fingerprint=0"), -1);
    ck_assert_int_eq(clear_poison("?fingerprint="), -1);
    ck_assert_int_eq(clear_poison("?finger=1234"), -1);
    ck_assert_int_eq(clear_poison("?fingerprint=12345"), 0);
    snprintf(query, sizeof(query), "?fingerprint=%s", fingerprint);
    ck_assert_int_eq(clear_poison(query), 1);
    succeed();
    crash_with(7, 502, "worker_crash"); /* it may try again */
    ck_assert_int_eq(clear_poison(""), 2);
    ck_assert_int_eq(clear_poison(""), 0);
    stop();
}
END_TEST

START_TEST(an_idempotent_call_gets_a_second_worker)
{
    start("2");
    struct answer answer = client_post(client, "/execute",
                                       "{\"tool\":\"crash\",\"idempotent\":true,"
                                       "\"args\":{\"how\":\"kill\"}}");
    json_t *problem = expect_problem(&answer, 502, "worker_crash");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "attempts")), 2);
    ck_assert(json_is_true(json_object_get(problem, "retryable")));
    ck_assert_str_eq(member_text(problem, "executed"), "maybe");
    answer_deinit(&answer);
    ck_assert_int_eq(pool_number("counters.retries"), 1);
    ck_assert_int_eq((int)metric("snakepit_calls_retried_total{pool=\"default\"}"), 1);
    answer = client_execute(client, "crash", "{\"how\":\"abort\"}");
    problem = expect_problem(&answer, 502, "worker_crash");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "attempts")), 1);
    ck_assert(json_is_false(json_object_get(problem, "retryable")));
    answer_deinit(&answer);
    ck_assert_int_eq(pool_number("counters.retries"), 1);
    stop();
}
END_TEST

/* Five losses open it; Retry-After says how long; then one success closes it. */
START_TEST(the_circuit_breaker_is_seen_and_closes_again)
{
    start("1");
    succeed();
    expect_breaker("closed");
    for (int i = 1; i <= 5; i++)
        crash_with(i, 502, "worker_crash");
    expect_breaker("open");
    ck_assert_int_eq(pool_number("breaker.opened"), 1);
    ck_assert_int_eq((int)metric("snakepit_breaker_state{pool=\"default\",state=\"open\"}"), 1);
    ck_assert_int_eq((int)metric("snakepit_breaker_state{pool=\"default\",state=\"closed\"}"), 0);
    ck_assert_int_eq((int)metric("snakepit_breaker_opened_total{pool=\"default\"}"), 1);
    struct answer answer = client_execute(client, "echo", "{}");
    json_t *problem = expect_problem(&answer, 503, "circuit_open");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    ck_assert(json_is_true(json_object_get(problem, "retryable")));
    int seconds = atoi(answer_header(&answer, "retry-after"));
    ck_assert_msg(seconds > 1 && seconds <= 30, "retry-after %d", seconds);
    answer_deinit(&answer);
    answer = client_get(client, "/readyz?verbose");
    ck_assert_msg(strstr(answer.body, "circuit breaker open") != NULL, "%s", answer.body);
    answer_deinit(&answer);
    sleep_ms((unsigned)seconds * 1000);
    succeed();
    expect_breaker("closed");
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
    ADD_ONCE(tcase, a_request_that_kills_is_refused_listed_and_cleared);
    ADD_ONCE(tcase, an_idempotent_call_gets_a_second_worker);
    ADD_ONCE(tcase, the_circuit_breaker_is_seen_and_closes_again);
    return run_tcases((TCase *[]){tcase, NULL});
}
