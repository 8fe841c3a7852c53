/* How things end: workers that die, clients that leave, the gateway told to go or killed. Each test
 * has a gateway of its own. */
#include "ledger.h"
#include "look.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* That what should be gone is gone within a second is for `make chaos` to judge. */
enum { MAX_WORKERS = 16, PATIENCE_SECONDS = 60 };

static void start(const char *workers)
{
    gateway = gateway_start(
        (const char *const[]){"--workers", workers, "--adapter", "ledger.Ledger", NULL}, NULL);
    client = client_new(gateway_port(gateway), false);
    ledger_open(gateway);
}

static void start_demo(const char *workers)
{
    gateway = gateway_start((const char *const[]){"--workers", workers, NULL}, NULL);
    client = client_new(gateway_port(gateway), false);
}

static void stop(void)
{
    client_free(&client);
    gateway_stop(&gateway);
}

/* A call of a ledger tool that writes `word` and then takes `seconds`. */
static struct pending *write_later(bool http2, const char *word, double seconds)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"tool\":\"write\",\"args\":{\"path\":\"%s\",\"line\":\"%s\",\"seconds\":%f}}",
             ledger_path, word, seconds);
    return client_send_later(gateway_port(gateway), http2,
                             &(struct request){.path = "/execute", .body = body});
}

static struct pending *two_lines_later(double seconds)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"tool\":\"two_lines\",\"args\":{\"path\":\"%s\",\"seconds\":%f}}", ledger_path,
             seconds);
    return client_send_later(gateway_port(gateway), false,
                             &(struct request){.path = "/execute", .body = body});
}

/* Process ids of the workers in the list that are ready; how many. */
static size_t ready_workers(pid_t *out_pids)
{
    struct answer answer = client_get(client, "/workers");
    json_t *workers = json_object_get(answer_json(&answer, "application/json"), "workers");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(workers) && count < MAX_WORKERS; i++) {
        json_t *worker = json_array_get(workers, i);
        pid_t pid = (pid_t)json_integer_value(json_object_get(worker, "pid"));
        const char *state = member_text(worker, "state");
        if (pid > 0 && (strcmp(state, "ready") == 0 || strcmp(state, "busy") == 0))
            out_pids[count++] = pid;
    }
    answer_deinit(&answer);
    return count;
}

static void wait_for_workers(size_t count)
{
    pid_t pids[MAX_WORKERS];
    for (double end = now_seconds() + PATIENCE_SECONDS; ready_workers(pids) != count; sleep_ms(10))
        ck_assert_msg(now_seconds() < end, "not %zu workers again", count);
}

/* --- workers that die --- */

static const struct {
    const char *args;
    const char *signal; /* or NULL: an exit code */
    int exit_code;
} crashes[] = {
    {"{}", "SIGSEGV", 0},
    {"{\"how\":\"segfault\"}", "SIGSEGV", 0},
    {"{\"how\":\"abort\"}", "SIGABRT", 0},
    {"{\"how\":\"kill\"}", "SIGKILL", 0},
    {"{\"how\":\"exit\",\"code\":7}", NULL, 7},
    {"{\"how\":\"exit\",\"code\":0}", NULL, 0},
};

/* Snakepit 38. */
START_TEST(a_crash_is_a_typed_502_and_the_worker_is_replaced)
{
    start_demo("1");
    struct client *http2 = client_new(gateway_port(gateway), true);
    for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++) {
        pid_t before = 0, after = 0;
        wait_for_workers(1);
        ready_workers(&before);
        struct answer answer = client_execute(i % 2 ? http2 : client, "crash", crashes[i].args);
        json_t *problem = expect_problem(&answer, 502, "worker_crash");
        ck_assert_str_eq(member_text(problem, "category"), "worker");
        ck_assert_str_ne(member_text(problem, "executed"), "no");
        ck_assert_str_eq(member_text(problem, "tool"), "crash");
        json_t *crash = json_object_get(problem, "crash");
        ck_assert_str_ne(member_text(crash, "classification"), "");
        if (crashes[i].signal)
            ck_assert_str_eq(member_text(crash, "signal"), crashes[i].signal);
        else
            ck_assert_int_eq(json_integer_value(json_object_get(crash, "exit_code")),
                             crashes[i].exit_code);
        answer_deinit(&answer);
        answer = client_execute(client, "add", "{\"a\":1}"); /* waits for the replacement */
        expect_result(&answer);
        answer_deinit(&answer);
        ready_workers(&after);
        ck_assert_int_ne(before, after);
        ck_assert_int_ne(kill(before, 0), 0);
    }
    client_free(&http2);
    stop();
}
END_TEST

START_TEST(a_worker_killed_from_outside_is_replaced)
{
    start("2");
    pid_t pids[MAX_WORKERS];
    for (int round = 0; round < 5; round++) {
        wait_for_workers(2);
        ready_workers(pids);
        kill(pids[round % 2], SIGKILL);
        struct answer answer = client_post(client, "/tools/modules", "{\"names\":[]}");
        ck_assert_msg(answer.status == 200 || answer.status == 502, "%ld", answer.status);
        answer_deinit(&answer);
        while (kill(pids[round % 2], 0) == 0)
            sleep_ms(5);
    }
    wait_for_workers(2);
    stop();
}
END_TEST

START_TEST(idle_workers_killed_from_outside_again_and_again_are_no_crash_loop)
{
    pid_t pids[MAX_WORKERS];
    start("1");
    double begin = now_seconds();
    for (int round = 0; round < 8; round++) {
        wait_for_workers(1);
        ready_workers(pids);
        kill(pids[0], SIGKILL);
        while (kill(pids[0], 0) == 0)
            sleep_ms(5);
    }
    wait_for_workers(1);
    /* In a loop, they would be waited for 50, 100, 200 ms and so on: more than 12 s. */
    ck_assert_msg(now_seconds() - begin < 12, "it took %f s", now_seconds() - begin);
    stop();
}
END_TEST

START_TEST(a_crash_leaves_other_calls_alone)
{
    start_demo("2");
    struct pending *slow = client_send_later(
        gateway_port(gateway), true,
        &(struct request){.path = "/execute",
                          .body = "{\"tool\":\"sleep\",\"args\":{\"seconds\":1.5}}"});
    sleep_ms(300);
    struct answer answer = client_execute(client, "crash", "{}");
    expect_problem(&answer, 502, "worker_crash");
    answer_deinit(&answer);
    answer = pending_wait(&slow);
    expect_result(&answer);
    ck_assert_int_eq(
        json_integer_value(json_object_get(json_object_get(answer.json, "meta"), "attempts")), 1);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* One worker: calls wait behind the one that crashes, and all of them are answered by its
 * replacement. */
START_TEST(calls_queued_behind_a_crash_are_answered)
{
    enum { WAITING = 10 };
    start_demo("1");
    struct pending *first = client_send_later(
        gateway_port(gateway), false,
        &(struct request){.path = "/execute",
                          .body = "{\"tool\":\"sleep\",\"args\":{\"seconds\":0.5}}"});
    sleep_ms(200);
    struct pending *crash =
        client_send_later(gateway_port(gateway), false,
                          &(struct request){.path = "/execute", .body = "{\"tool\":\"crash\"}"});
    sleep_ms(100);
    struct pending *waiting[WAITING];
    for (int i = 0; i < WAITING; i++) {
        char body[96];
        snprintf(body, sizeof(body), "{\"tool\":\"echo\",\"args\":{\"me\":%d}}", i);
        waiting[i] = client_send_later(gateway_port(gateway), i % 2 == 0,
                                       &(struct request){.path = "/execute", .body = body});
    }
    struct answer answer = pending_wait(&first);
    expect_result(&answer);
    answer_deinit(&answer);
    answer = pending_wait(&crash);
    expect_problem(&answer, 502, "worker_crash");
    answer_deinit(&answer);
    for (int i = 0; i < WAITING; i++) {
        answer = pending_wait(&waiting[i]);
        ck_assert_int_eq(json_integer_value(json_object_get(expect_result(&answer), "me")), i);
        answer_deinit(&answer);
    }
    stop();
}
END_TEST

/* --- clients that leave --- */

/* Snakepit 10. */
START_TEST(a_queued_call_whose_client_left_never_runs)
{
    start("1");
    struct pending *running = write_later(false, "running", 60);
    ledger_wait("running");
    struct pending *left[6];
    for (int i = 0; i < 6; i++)
        left[i] = write_later(i % 2 == 1, "left", 0);
    wait_for_number("queue.depth", 6);
    for (int i = 0; i < 6; i++)
        pending_leave(&left[i]);
    struct pending *stays = write_later(true, "stayed", 0);
    wait_for_number("queue.depth", 1);
    pending_leave(&running);
    struct answer answer = pending_wait(&stays);
    expect_result(&answer);
    answer_deinit(&answer);
    ck_assert(ledger_has("stayed"));
    ck_assert_msg(!ledger_has("left"), "a call ran although its client had left");
    stop();
}
END_TEST

/* Snakepit 10. */
START_TEST(a_client_that_leaves_its_running_call_costs_no_worker)
{
    start("1");
    struct pending *running = write_later(_i == 1, "running", 3);
    ledger_wait("running");
    pending_leave(&running);
    struct pending *next = write_later(false, "next", 0);
    struct answer answer = pending_wait(&next);
    expect_result(&answer);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* --- queue limits --- */

START_TEST(a_call_that_waits_too_long_is_told_so)
{
    start("1");
    struct pending *running = write_later(false, "running", 2);
    ledger_wait("running");
    struct answer answer =
        client_post(client, "/execute",
                    "{\"tool\":\"modules\",\"args\":{\"names\":[]},\"queue_timeout_ms\":150}");
    json_t *problem = expect_problem(&answer, 503, "queue_timeout");
    ck_assert_str_eq(member_text(problem, "executed"), "no");
    ck_assert(json_is_true(json_object_get(problem, "retryable")));
    answer_deinit(&answer);
    answer = pending_wait(&running);
    expect_result(&answer);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* Closes the connections on which a refusal has come; returns how many, and keeps the last. */
static size_t take_refusals(int *fds, int count, char **refusal)
{
    size_t refused = 0;
    for (int i = 0; i < count; i++) {
        char *text = fds[i] < 0 ? NULL : raw_read(fds[i], "pool_saturated", 0.001);
        if (text && strstr(text, "pool_saturated")) {
            refused++;
            close(fds[i]);
            fds[i] = -1;
            char *last = *refusal;
            *refusal = text;
            text = last;
        }
        free(text);
    }
    return refused;
}

/* Snakepit 6. */
START_TEST(a_full_queue_refuses_with_retry_after)
{
    enum { CALLS = 1060, LIMIT = 1000 };
    static const char call[] =
        "POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n"
        "{\"tool\":\"sleep\",\"args\":{\"seconds\":60.0}}";
    start_demo("1");
    static int fds[CALLS];
    for (int i = 0; i < CALLS; i++) {
        fds[i] = raw_connect(gateway_port(gateway));
        raw_write(fds[i], call, sizeof(call) - 1);
    }
    char *refusal = NULL;
    wait_for_number("counters.ends.pool_saturated", CALLS - LIMIT - 1); /* one runs */
    size_t refused = 0;
    for (double end = now_seconds() + PATIENCE_SECONDS;
         refused < CALLS - LIMIT - 1 && now_seconds() < end;)
        refused += take_refusals(fds, CALLS, &refusal);
    ck_assert_msg(refused >= CALLS - LIMIT - 1 && refused <= CALLS - LIMIT, "%zu were refused",
                  refused);
    ck_assert_msg(strncmp(refusal, "HTTP/1.1 503 ", 13) == 0, "%s", refusal);
    ck_assert_msg(strcasestr(refusal, "\r\nretry-after: ") != NULL, "%s", refusal);
    free(refusal);
    for (int i = 0; i < CALLS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    wait_for_number("queue.depth", 0); /* the other thousand leave the queue with their clients */
    struct answer answer = client_execute(client, "echo", "{}");
    expect_result(&answer);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* --- the gateway is told to go --- */

/* Snakepit 37. */
START_TEST(a_stop_lets_the_running_call_finish)
{
    start("1");
    struct answer answer = client_get(client, "/readyz"); /* a connection from before */
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
    struct pending *running = two_lines_later(2);
    ledger_wait("begun");
    gateway_note_files(gateway);
    gateway_signal(gateway, _i == 0 ? SIGTERM : SIGINT);
    sleep_ms(300);
    answer = client_get(client, "/readyz");
    if (answer.status != 0) /* the listener may be closed already */
        expect_problem(&answer, 503, "shutting_down");
    answer_deinit(&answer);
    answer = client_post(client, "/tools/modules", "{\"names\":[]}");
    if (answer.status != 0)
        ck_assert_str_eq(member_text(expect_problem(&answer, 503, "shutting_down"), "executed"),
                         "no");
    answer_deinit(&answer);
    answer = pending_wait(&running);
    ck_assert_str_eq(json_string_value(expect_result(&answer)), "ended");
    answer_deinit(&answer);
    int status = gateway_wait(gateway, PATIENCE_SECONDS);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", status);
    ck_assert(ledger_has("ended"));
    gateway_expect_no_process(gateway, PATIENCE_SECONDS);
    gateway_expect_no_files(gateway);
    client_free(&client);
    gateway_free(&gateway);
}
END_TEST

START_TEST(a_stop_with_idle_connections_is_quick)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    start_demo("2");
    int idle[50];
    for (int i = 0; i < 50; i++) {
        idle[i] = raw_connect(gateway_port(gateway));
        if (i % 2)
            raw_write(idle[i], request, sizeof(request) - 1);
    }
    struct client *http2 = client_new(gateway_port(gateway), true);
    struct answer answer = client_get(http2, "/livez");
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
    double begin = now_seconds();
    gateway_signal(gateway, SIGTERM);
    int status = gateway_wait(gateway, PATIENCE_SECONDS);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", status);
    ck_assert_msg(now_seconds() - begin < 25, "it took the whole drain_timeout");
    gateway_expect_no_process(gateway, PATIENCE_SECONDS);
    for (int i = 0; i < 50; i++)
        close(idle[i]);
    client_free(&http2);
    client_free(&client);
    gateway_free(&gateway);
}
END_TEST

START_TEST(a_second_stop_does_not_wait)
{
    start("1");
    struct pending *running = two_lines_later(120);
    ledger_wait("begun");
    gateway_note_files(gateway);
    gateway_signal(gateway, SIGTERM);
    sleep_ms(300);
    gateway_signal(gateway, SIGTERM);
    gateway_wait(gateway, 24); /* less than drain_timeout */
    gateway_expect_no_process(gateway, PATIENCE_SECONDS);
    gateway_expect_no_files(gateway);
    struct answer answer = pending_wait(&running);
    ck_assert_int_ne(answer.status, 200);
    answer_deinit(&answer);
    client_free(&client);
    gateway_free(&gateway);
}
END_TEST

/* --- the gateway is killed --- */

static void kill_and_expect_nothing(void)
{
    gateway_note_files(gateway);
    pid_t pids[MAX_WORKERS];
    size_t before = gateway_processes(gateway, pids, MAX_WORKERS);
    ck_assert_uint_ge(before, 1);
    gateway_signal(gateway, SIGKILL);
    gateway_wait(gateway, PATIENCE_SECONDS);
    gateway_expect_no_process(gateway, PATIENCE_SECONDS);
    gateway_expect_no_files(gateway);
    client_free(&client);
    gateway_free(&gateway);
}

START_TEST(a_killed_gateway_leaves_nothing)
{
    start_demo("4");
    wait_for_workers(4);
    kill_and_expect_nothing();
}
END_TEST

START_TEST(a_gateway_killed_while_calls_run_leaves_nothing)
{
    start("2");
    struct pending *running = write_later(false, "running", 60);
    ledger_wait("running");
    kill_and_expect_nothing();
    struct answer answer = pending_wait(&running);
    ck_assert_int_eq(answer.status, 0);
    answer_deinit(&answer);
}
END_TEST

/* Killed at any moment of its start: from before the zygote to after the workers. Snakepit 29. */
START_TEST(a_gateway_killed_while_it_starts_leaves_nothing)
{
    for (unsigned ms = 0; ms < 500; ms += 25) {
        gateway = gateway_launch(
            (const char *const[]){"serve", "--listen", "127.0.0.1:0", "--workers", "3", NULL},
            NULL);
        sleep_ms(ms);
        gateway_note_files(gateway);
        gateway_signal(gateway, SIGKILL);
        gateway_wait(gateway, PATIENCE_SECONDS);
        gateway_expect_no_process(gateway, PATIENCE_SECONDS);
        gateway_free(&gateway);
    }
}
END_TEST

/* Snakepit 24, 41. */
START_TEST(a_gateway_stopped_while_it_starts_exits_cleanly)
{
    for (unsigned ms = 50; ms < 500; ms += 50) {
        gateway = gateway_launch(
            (const char *const[]){"serve", "--listen", "127.0.0.1:0", "--workers", "3", NULL},
            NULL);
        sleep_ms(ms);
        bool early = !gateway_minds_signals(gateway); /* not even in main, on a busy machine */
        gateway_signal(gateway, SIGTERM);
        int status = gateway_wait(gateway, PATIENCE_SECONDS);
        ck_assert_msg((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                          (early && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM),
                      "after %u ms: wait status %#x; its log:\n%s", ms, status,
                      gateway_log(gateway));
        gateway_expect_no_process(gateway, PATIENCE_SECONDS);
        gateway_free(&gateway);
    }
}
END_TEST

static pid_t start_grandchild(void)
{
    struct answer answer = client_post(client, "/tools/grandchild", "{}");
    ck_assert_msg(answer.status == 200, "%ld %s", answer.status, answer.body);
    pid_t pid = atoi(answer.body);
    ck_assert_int_eq(kill(pid, 0), 0);
    answer_deinit(&answer);
    return pid;
}

/* Snakepit 28. */
START_TEST(processes_that_workers_started_end_with_a_stop)
{
    start("1");
    start_grandchild();
    stop(); /* says that nothing is left */
}
END_TEST

/* Snakepit 44. */
START_TEST(processes_that_workers_started_end_with_a_kill)
{
    start("1");
    start_grandchild();
    kill_and_expect_nothing();
}
END_TEST

/* Snakepit 28. */
START_TEST(processes_that_a_dead_worker_started_end)
{
    start("1");
    pid_t worker, grandchild = start_grandchild();
    ck_assert_uint_eq(ready_workers(&worker), 1);
    kill(worker, SIGKILL);
    for (double end = now_seconds() + PATIENCE_SECONDS; kill(grandchild, 0) == 0; sleep_ms(10))
        ck_assert_msg(now_seconds() < end, "it outlives the worker that started it");
    stop();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ends");
    ADD_ONCE(tcase, a_crash_is_a_typed_502_and_the_worker_is_replaced);
    ADD_ONCE(tcase, a_worker_killed_from_outside_is_replaced);
    ADD_ONCE(tcase, idle_workers_killed_from_outside_again_and_again_are_no_crash_loop);
    ADD_ONCE(tcase, a_crash_leaves_other_calls_alone);
    ADD_ONCE(tcase, calls_queued_behind_a_crash_are_answered);
    ADD_ONCE(tcase, a_queued_call_whose_client_left_never_runs);
    ADD_BOTH(tcase, a_client_that_leaves_its_running_call_costs_no_worker);
    ADD_ONCE(tcase, a_call_that_waits_too_long_is_told_so);
    ADD_ONCE(tcase, a_full_queue_refuses_with_retry_after);
    ADD_BOTH(tcase, a_stop_lets_the_running_call_finish);
    ADD_ONCE(tcase, a_stop_with_idle_connections_is_quick);
    ADD_ONCE(tcase, a_second_stop_does_not_wait);
    ADD_ONCE(tcase, a_killed_gateway_leaves_nothing);
    ADD_ONCE(tcase, a_gateway_killed_while_calls_run_leaves_nothing);
    ADD_ONCE(tcase, a_gateway_killed_while_it_starts_leaves_nothing);
    ADD_ONCE(tcase, a_gateway_stopped_while_it_starts_exits_cleanly);
    ADD_ONCE(tcase, processes_that_workers_started_end_with_a_stop);
    ADD_ONCE(tcase, processes_that_workers_started_end_with_a_kill);
    ADD_ONCE(tcase, processes_that_a_dead_worker_started_end);
    return run_tcases((TCase *[]){tcase, NULL});
}
