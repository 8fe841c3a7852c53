/* Calls that kill their workers: requests known for it, second tries, the circuit breaker. */
#include "look.h"

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

static void expect_breaker(const char *state)
{
    struct answer answer;
    ck_assert_str_eq(member_text(json_object_get(look(&answer), "breaker"), "state"), state);
    answer_deinit(&answer);
}

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
    struct answer answer = client_send(client, &(struct request){.method = "DELETE", .path = path});
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
    crash_with(7, 422, "poison_request");
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

/* SIGKILL does not tell who sent it: this one counts as coming from elsewhere. */
START_TEST(a_request_is_not_blamed_for_a_worker_killed_with_sigkill)
{
    start("1");
    ck_assert_int_eq(pool_number("poison_after"), 3);
    ck_assert_int_eq(pool_number("poison_ttl_ms"), 3600000);
    for (int i = 0; i < 4; i++) {
        struct answer answer = client_execute(client, "crash", "{\"how\":\"kill\"}");
        json_t *problem = expect_problem(&answer, 502, "worker_crash");
        ck_assert_str_eq(member_text(json_object_get(problem, "crash"), "classification"),
                         "killed");
        answer_deinit(&answer);
        succeed();
    }
    ck_assert_int_eq(clear_poison(""), 0);
    stop();
}
END_TEST

/* Five losses open it; Retry-After says how long; then one success closes it. Snakepit 67. */
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
    TCase *tcase = tcase_create("crash");
    ADD_ONCE(tcase, a_request_that_kills_is_refused_listed_and_cleared);
    ADD_ONCE(tcase, a_request_is_not_blamed_for_a_worker_killed_with_sigkill);
    ADD_ONCE(tcase, an_idempotent_call_gets_a_second_worker);
    ADD_ONCE(tcase, the_circuit_breaker_is_seen_and_closes_again);
    return run_tcases((TCase *[]){tcase, NULL});
}
