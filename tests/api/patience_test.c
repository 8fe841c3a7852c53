/* Calls that end early: time limits, urgency, clients that leave, cancelling. */
#include "ledger.h"
#include "look.h"

/* What a worker may take to let go, with other tests on the same processors. The figures themselves
 * are printed. */
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

/* The body of a call of "hold" or one of its like; `more` are further members, with a comma before
 * each. */
static const char *holding(const char *tool, const char *word, double seconds, const char *more)
{
    static char body[512];
    snprintf(body, sizeof(body),
             "{\"tool\":\"%s\",\"args\":{\"path\":\"%s\",\"word\":\"%s\",\"seconds\":%f}%s}", tool,
             ledger_path, word, seconds, more);
    return body;
}

static struct pending *hold_later(bool http2, const char *word, double seconds, const char *more,
                                  const char *const *headers)
{
    return client_send_later(gateway_port(gateway), http2,
                             &(struct request){.path = "/execute",
                                               .body = holding("hold", word, seconds, more),
                                               .headers = headers});
}

/* Appends the word when its turn comes. */
static struct pending *line_later(const char *word, const char *more, const char *const *headers)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"tool\":\"line\",\"args\":{\"path\":\"%s\",\"word\":\"%s\"}%s}",
             ledger_path, word, more);
    return client_send_later(
        gateway_port(gateway), false,
        &(struct request){.path = "/execute", .body = body, .headers = headers});
}

static void expect_success(struct pending **pending)
{
    struct answer answer = pending_wait(pending);
    expect_result(&answer);
    answer_deinit(&answer);
}

/* --- the run limit --- */

static const char *const tools[] = {"hold", "spin", "rest"};

/* A sleep, a loop and a coroutine: each is stopped, its `finally` runs, and the same process takes
 * the next call at once. Snakepit 40. */
START_TEST(the_run_limit_interrupts_the_tool_and_frees_its_worker)
{
    start("1");
    struct answer first = client_execute(client, "echo", "{}");
    expect_result(&first);
    for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
        char finally[32];
        double begin = now_seconds();
        struct answer answer = client_post(
            client, "/execute", holding(tools[i], tools[i], 600, ",\"run_timeout_ms\":200"));
        double answered = now_seconds();
        json_t *problem = expect_problem(&answer, 504, "worker_timeout");
        ck_assert_str_eq(member_text(problem, "executed"), "maybe");
        ck_assert_str_eq(member_text(problem, "category"), "timeout");
        ck_assert(json_is_false(json_object_get(problem, "retryable")));
        ck_assert_int_eq(json_integer_value(json_object_get(problem, "attempts")), 1);
        answer_deinit(&answer);
        answer = client_execute(client, "echo", "{}");
        expect_result(&answer);
        double free_again = now_seconds();
        ck_assert_str_eq(member_text(json_object_get(first.json, "meta"), "worker"),
                         member_text(json_object_get(answer.json, "meta"), "worker"));
        answer_deinit(&answer);
        snprintf(finally, sizeof(finally), "%s finally", tools[i]);
        ledger_wait(finally);
        printf("%s: limit 200 ms, answered after %.1f ms, worker free %.1f ms later\n", tools[i],
               1000 * (answered - begin), 1000 * (free_again - answered));
        ck_assert(answered - begin >= 0.2);
    }
    ck_assert(!ledger_has("ended"));
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    answer_deinit(&first);
    stop();
}
END_TEST

/* --- headers --- */

static const struct {
    const char *headers[3];
    const char *more;
    int ms;
    const char *code;
} limits[] = {
    {{"Request-Timeout: 0.15"}, "", 150, "deadline_exceeded"},
    {{"Grpc-Timeout: 150m"}, "", 150, "deadline_exceeded"},
    {{NULL}, ",\"timeout_ms\":150", 150, "deadline_exceeded"},
    {{"Request-Timeout: 9", "Grpc-Timeout: 150000u"},
     ",\"timeout_ms\":8000",
     150,
     "deadline_exceeded"},
    {{"Request-Timeout: 0.15", "Grpc-Timeout: 8S"},
     ",\"timeout_ms\":9000",
     150,
     "deadline_exceeded"},
    {{"Request-Timeout: 9", "Grpc-Timeout: 8S"}, ",\"timeout_ms\":150", 150, "deadline_exceeded"},
    {{"Request-Timeout: 9"}, ",\"run_timeout_ms\":150", 150, "worker_timeout"},
};

START_TEST(of_several_time_limits_the_smallest_wins)
{
    start("1");
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        double begin = now_seconds();
        struct answer answer =
            client_send(client, &(struct request){.path = "/execute",
                                                  .body = holding("hold", "x", 20, limits[i].more),
                                                  .headers = limits[i].headers});
        double took = now_seconds() - begin;
        expect_problem(&answer, 504, limits[i].code);
        ck_assert_msg(took >= limits[i].ms / 1000.0 && took < 8, "row %zu took %f s", i, took);
        answer_deinit(&answer);
    }
    struct answer answer = client_send(
        client, &(struct request){.path = "/tools/sleep",
                                  .body = "{\"seconds\":20}",
                                  .content_type = "application/json",
                                  .headers = (const char *const[]){"request-timeout: 0.1", NULL}});
    expect_problem(&answer, 504, "deadline_exceeded");
    answer_deinit(&answer);
    stop();
}
END_TEST

START_TEST(a_malformed_time_limit_is_named)
{
    static const char *const wrong[][2] = {
        {"Request-Timeout: soon", "request-timeout"}, {"Request-Timeout: -1", "request-timeout"},
        {"Request-Timeout: 0", "request-timeout"},    {"Request-Timeout: 90000", "request-timeout"},
        {"Grpc-Timeout: 100", "grpc-timeout"},        {"Grpc-Timeout: 1s", "grpc-timeout"},
        {"Grpc-Timeout: 0m", "grpc-timeout"},
    };
    static const char *const paths[][2] = {{"/execute", "{\"tool\":\"echo\"}"},
                                           {"/tools/echo", "{}"}};
    start("1");
    for (size_t i = 0; i < 2 * sizeof(wrong) / sizeof(*wrong); i++) {
        struct answer answer = client_send(
            client, &(struct request){.path = paths[i % 2][0],
                                      .body = paths[i % 2][1],
                                      .content_type = "application/json",
                                      .headers = (const char *const[]){wrong[i / 2][0], NULL}});
        json_t *problem = expect_problem(&answer, 400, "invalid_request");
        ck_assert_msg(strstr(member_text(problem, "detail"), wrong[i / 2][1]) != NULL, "%s: %s",
                      wrong[i / 2][0], member_text(problem, "detail"));
        answer_deinit(&answer);
    }
    stop();
}
END_TEST

/* --- the queue --- */

START_TEST(urgent_calls_go_first)
{
    enum { LINES = 6 };
    static const struct {
        const char *word, *more, *headers[2];
    } lines[LINES] = {
        {"seven", ",\"priority\":7", {NULL}},
        {"three", "", {NULL}},
        {"five", "", {"Priority: u=5, i"}},
        {"one", "", {"Priority: u=1"}},
        {"zero", ",\"priority\":0", {"Priority: u=7"}}, /* the envelope goes before the header */
        {"four", ",\"priority\":4", {NULL}},
    };
    start("1");
    struct pending *first = hold_later(false, "held", 0.6, "", NULL), *pending[LINES];
    ledger_wait("held begun");
    for (int i = 0; i < LINES; i++) {
        pending[i] = line_later(lines[i].word, lines[i].more, lines[i].headers);
        wait_for_number("queue.depth", i + 1);
    }
    expect_success(&first);
    for (int i = 0; i < LINES; i++)
        expect_success(&pending[i]);
    ck_assert_str_eq(ledger_text(), "held begun\nheld ended\nheld finally\n"
                                    "zero\none\nthree\nfour\nfive\nseven\n");
    stop();
}
END_TEST

/* Snakepit 22. */
START_TEST(waiting_counts_against_the_time_in_all)
{
    start("1");
    struct pending *running = hold_later(false, "held", 1, "", NULL);
    ledger_wait("held begun");
    struct answer answer =
        client_post(client, "/execute", holding("hold", "late", 0, ",\"timeout_ms\":150"));
    json_t *problem = expect_problem(&answer, 504, "deadline_exceeded");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    ck_assert(json_is_true(json_object_get(problem, "retryable")));
    answer_deinit(&answer);
    answer =
        client_post(client, "/execute", holding("hold", "late", 0, ",\"queue_timeout_ms\":50"));
    problem = expect_problem(&answer, 503, "queue_timeout");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    answer_deinit(&answer);
    expect_success(&running);
    struct pending *last = hold_later(true, "last", 0, "", NULL);
    expect_success(&last);
    ck_assert(!ledger_has("late"));
    stop();
}
END_TEST

/* Calls of 200 ms wait in a row; one that brings less time than they need is refused, not queued.
 */
START_TEST(a_hopeless_call_is_refused_at_once)
{
    enum { CALLS = 20 };
    struct pending *pending[CALLS];
    start("1");
    for (int i = 0; i < CALLS; i++)
        pending[i] = hold_later(i % 2, "held", 0.2, "", NULL);
    while (pool_number("counters.starts") == 0 || !ledger_has("ended"))
        sleep_ms(5);
    for (int ended = 0; ended < 3; sleep_ms(5)) {
        ended = 0;
        for (const char *at = ledger_text(); (at = strstr(at, "ended")) != NULL; at++)
            ended++;
    }
    double begin = now_seconds();
    struct answer answer =
        client_post(client, "/execute", holding("hold", "hopeless", 0, ",\"timeout_ms\":300"));
    double took = now_seconds() - begin;
    json_t *problem = expect_problem(&answer, 503, "deadline_unreachable");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    ck_assert(json_is_true(json_object_get(problem, "retryable")));
    printf("refused after %.2f ms, retry-after %s\n", 1000 * took,
           answer_header(&answer, "retry-after"));
    answer_deinit(&answer);
    for (int i = 0; i < CALLS; i++)
        expect_success(&pending[i]);
    ck_assert(!ledger_has("hopeless"));
    stop();
}
END_TEST

/* --- nobody waits any more --- */

/* Snakepit 10. */
START_TEST(a_client_that_leaves_stops_its_tool)
{
    start("1");
    for (int round = 0; round < 5; round++) {
        char word[16], line[32];
        snprintf(word, sizeof(word), "r%d", round);
        struct pending *running = hold_later(_i == 1, word, 600, "", NULL);
        snprintf(line, sizeof(line), "%s begun", word);
        ledger_wait(line);
        double begin = now_seconds();
        pending_leave(&running);
        snprintf(line, sizeof(line), "%s finally", word);
        ledger_wait(line);
        double took = now_seconds() - begin;
        printf("HTTP/%d: stopped %.1f ms after the client had left\n", _i + 1, 1000 * took);
    }
    ck_assert(!ledger_has("ended"));
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    stop();
}
END_TEST

static long cancel_request(const char *id)
{
    char path[64];
    snprintf(path, sizeof(path), "/calls/%s", id);
    struct answer answer = client_send(client, &(struct request){.method = "DELETE", .path = path});
    long status = answer.status;
    if (status == 404)
        expect_problem(&answer, 404, "call_not_found");
    else
        ck_assert_uint_eq(answer.size, 0);
    answer_deinit(&answer);
    return status;
}

/* The call as GET /calls/{id} and GET /calls show it. */
static void expect_call(const char *id, const char *state, size_t listed)
{
    char path[64];
    snprintf(path, sizeof(path), "/calls/%s", id);
    struct answer one = client_get(client, path), all = client_get(client, "/calls");
    ck_assert_int_eq(one.status, 200);
    json_t *call = answer_json(&one, "application/json");
    json_t *calls = json_object_get(answer_json(&all, "application/json"), "calls");
    ck_assert_str_eq(member_text(call, "request_id"), id);
    ck_assert_str_eq(member_text(call, "tool"), "hold");
    ck_assert_str_eq(member_text(call, "state"), state);
    ck_assert_int_eq(json_object_get(call, "worker") != NULL, strcmp(state, "queued") != 0);
    ck_assert_uint_eq(json_array_size(calls), listed);
    ck_assert(json_is_false(json_object_get(all.json, "more")));
    answer_deinit(&one);
    answer_deinit(&all);
}

START_TEST(a_call_that_is_cancelled_is_answered_and_its_tool_stops)
{
    start("1");
    struct pending *running = hold_later(_i == 1, "running", 600, "",
                                         (const char *const[]){"x-request-id: call-a", NULL});
    ledger_wait("running begun");
    struct pending *queued =
        hold_later(_i == 0, "queued", 0, "", (const char *const[]){"x-request-id: call-b", NULL});
    wait_for_number("queue.depth", 1);
    expect_call("call-a", "running", 2);
    expect_call("call-b", "queued", 2);
    ck_assert_int_eq(cancel_request("call-b"), 204);
    struct answer answer = pending_wait(&queued);
    ck_assert_str_eq(member_text(expect_problem(&answer, 499, "cancelled"), "executed"), "no");
    answer_deinit(&answer);
    double begin = now_seconds();
    ck_assert_int_eq(cancel_request("call-a"), 204);
    answer = pending_wait(&running);
    double answered = now_seconds() - begin;
    ck_assert_str_eq(member_text(expect_problem(&answer, 499, "cancelled"), "executed"), "maybe");
    answer_deinit(&answer);
    ledger_wait("running finally");
    printf("cancelled: answered after %.1f ms, stopped after %.1f ms\n", 1000 * answered,
           1000 * (now_seconds() - begin));
    ck_assert_int_eq(cancel_request("call-a"), 404);
    ck_assert_int_eq(cancel_request("never"), 404);
    ck_assert(!ledger_has("ended") && !ledger_has("queued"));
    ck_assert_int_eq(pool_number("counters.crashes"), 0);
    stop();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("patience");
    ADD_ONCE(tcase, the_run_limit_interrupts_the_tool_and_frees_its_worker);
    ADD_ONCE(tcase, of_several_time_limits_the_smallest_wins);
    ADD_ONCE(tcase, a_malformed_time_limit_is_named);
    ADD_ONCE(tcase, urgent_calls_go_first);
    ADD_ONCE(tcase, waiting_counts_against_the_time_in_all);
    ADD_ONCE(tcase, a_hopeless_call_is_refused_at_once);
    ADD_BOTH(tcase, a_client_that_leaves_stops_its_tool);
    ADD_BOTH(tcase, a_call_that_is_cancelled_is_answered_and_its_tool_stops);
    return run_tcases((TCase *[]){tcase, NULL});
}
