/* How it starts: flags, environment, adapters of all shapes, and what it says when it cannot. */
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void start_with(const char *const *args, const char *const *env)
{
    gateway = gateway_start(args, env);
    client = client_new(gateway_port(gateway), false);
}

static void stop(void)
{
    client_free(&client);
    gateway_stop(&gateway);
}

static size_t worker_count(void)
{
    struct answer answer = client_get(client, "/workers");
    json_t *workers = json_object_get(answer_json(&answer, "application/json"), "workers");
    size_t count = json_array_size(workers);
    answer_deinit(&answer);
    return count;
}

/* --- it cannot --- */

/* Lines of the log that are not mere information. */
static size_t complaints(const char *log, char *out, size_t size)
{
    size_t count = 0;
    char *copy = strdup(log), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        json_t *entry = json_loads(line, 0, NULL);
        const char *level = member_text(entry, "level");
        if (*line && strcmp(level, "debug") != 0 && strcmp(level, "info") != 0) {
            snprintf(out, size, "%s", line);
            count++;
        }
        json_decref(entry);
    }
    free(copy);
    return count;
}

/* It ends by itself with a code that is not 0, one line that has `word` in it, and nothing left. */
static void expect_refusal(const char *const *args, const char *const *env, const char *word)
{
    gateway = gateway_launch(args, env);
    int status = gateway_wait(gateway, 60);
    char *log = gateway_log(gateway), line[2048] = "";
    size_t count = complaints(log, line, sizeof(line));
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 0,
                  "%s: wait status %#x, log: %.2000s", word, status, log);
    ck_assert_msg(count == 1, "%s: %zu lines instead of one: %.2000s", word, count, log);
    ck_assert_msg(strstr(line, word) != NULL, "%s is not in: %s", word, log);
    free(log);
    gateway_expect_no_process(gateway, 1);
    gateway_free(&gateway);
}

/* Snakepit 51. */
START_TEST(a_bad_command_line_is_refused)
{
    expect_refusal(ARGS("serve", "--frobnicate"), NULL, "frobnicate");
    expect_refusal(ARGS("serve", "--workers", "many"), NULL, "workers");
    expect_refusal(ARGS("serve", "--workers", "-1"), NULL, "workers");
    expect_refusal(ARGS("serve", "--workers", "0x4"), NULL, "workers");
    expect_refusal(ARGS("serve", "--workers"), NULL, "workers");
    expect_refusal(ARGS("serve", "--listen", "127.0.0.1"), NULL, "listen");
    expect_refusal(ARGS("serve", "--listen", "127.0.0.1:99999"), NULL, "listen");
    expect_refusal(ARGS("serve", "--listen", "127.0.0.1:http!"), NULL, "listen");
    expect_refusal(ARGS("serve", "--log-level", "loud"), NULL, "log-level");
    expect_refusal(ARGS("serve", "--adapter", ""), NULL, "adapter");
    expect_refusal(ARGS("serve", "extra"), NULL, "extra");
    expect_refusal(ARGS("swerve"), NULL, "swerve");
}
END_TEST

START_TEST(a_bad_environment_is_refused_by_the_name_of_the_variable)
{
    expect_refusal(ARGS("serve"), ARGS("SNAKEPIT_WORKERS=many"), "SNAKEPIT_WORKERS");
    expect_refusal(ARGS("serve"), ARGS("SNAKEPIT_LISTEN=nowhere"), "SNAKEPIT_LISTEN");
}
END_TEST

START_TEST(without_a_command_it_says_how_to_use_it)
{
    gateway = gateway_launch(NULL, NULL);
    int status = gateway_wait(gateway, 60);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    char *log = gateway_log(gateway);
    ck_assert_msg(strstr(log, "serve") != NULL, "%s", log);
    free(log);
    gateway_free(&gateway);
}
END_TEST

static void expect_output(const char *const *args, const char *word)
{
    gateway = gateway_launch(args, NULL);
    int status = gateway_wait(gateway, 60);
    char *output = gateway_output(gateway), *log = gateway_log(gateway);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", status);
    ck_assert_msg(strstr(output, word) != NULL, "%s is not in: %s", word, output);
    ck_assert_str_eq(log, "");
    free(output);
    free(log);
    gateway_free(&gateway);
}

START_TEST(help_and_version_go_to_standard_output)
{
    expect_output(ARGS("--help"), "serve");
    expect_output(ARGS("serve", "--help"), "--workers");
    expect_output(ARGS("serve", "--help"), "SNAKEPIT_");
    expect_output(ARGS("--version"), "0.1.0");
}
END_TEST

/* Snakepit 51. */
START_TEST(a_taken_port_is_refused)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char listen_on[64];
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", ntohs(address.sin_port));
    expect_refusal(ARGS("serve", "--listen", listen_on), NULL, strrchr(listen_on, ':') + 1);
    close(fd);
}
END_TEST

START_TEST(a_second_gateway_on_the_same_port_is_refused)
{
    start_with(NULL, NULL);
    struct gateway *first = gateway;
    char listen_on[64];
    snprintf(listen_on, sizeof(listen_on), "127.0.0.1:%d", gateway_port(first));
    struct gateway *second = gateway_launch(ARGS("serve", "--listen", listen_on), NULL);
    int status = gateway_wait(second, 30);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 0, "wait status %#x", status);
    gateway_free(&second);
    gateway = first;
    struct answer answer = client_execute(client, "echo", "{}");
    expect_result(&answer);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* Snakepit 51. */
START_TEST(an_adapter_that_cannot_be_imported_is_refused)
{
    static const struct {
        const char *adapter;
        const char *word;
    } cases[] = {{"no_such_module.Adapter", "no_such_module"},
                 {"broken.Adapter", "the cable is unplugged"},
                 {"ledger.NoSuchClass", "NoSuchClass"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        expect_refusal(ARGS("serve", "--listen", "127.0.0.1:0", "--workers", "3", "--adapter",
                            cases[i].adapter),
                       NULL, cases[i].word);
}
END_TEST

START_TEST(a_preload_that_cannot_be_imported_is_refused)
{
    expect_refusal(ARGS("serve", "--listen", "127.0.0.1:0", "--preload", "json,no_such_module"),
                   NULL, "no_such_module");
}
END_TEST

/* --- it can --- */

/* Snakepit 27. */
START_TEST(the_ready_line_says_where_and_how_many)
{
    start_with(ARGS("--workers", "3"), NULL);
    char *log = gateway_log(gateway), *rest = log;
    size_t ready = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        json_t *entry = json_loads(line, 0, NULL);
        ck_assert_msg(!*line || json_is_object(entry), "not JSON: %s", line);
        if (strcmp(member_text(entry, "event"), "ready") == 0) {
            ready++;
            ck_assert_int_eq(json_integer_value(json_object_get(entry, "workers")), 3);
            ck_assert(json_is_number(json_object_get(entry, "ready_ms")));
        }
        json_decref(entry);
    }
    ck_assert_uint_eq(ready, 1);
    free(log);
    /* Ready means ready: no call waits, no probe says no. */
    struct answer answer = client_get(client, "/readyz");
    ck_assert_int_eq(answer.status, 200);
    answer_deinit(&answer);
    stop();
}
END_TEST

START_TEST(the_number_of_workers_is_as_told)
{
    for (int count = 1; count <= 8; count *= 2) {
        char text[16];
        snprintf(text, sizeof(text), "%d", count);
        start_with(ARGS("--workers", text), NULL);
        ck_assert_uint_eq(worker_count(), count);
        stop();
    }
}
END_TEST

START_TEST(the_environment_configures_too_and_flags_win)
{
    start_with(ARGS("--workers", "2"), ARGS("SNAKEPIT_WORKERS=5", "SNAKEPIT_ADAPTER=ledger.Ledger",
                                            "SNAKEPIT_PRELOAD=colorsys"));
    ck_assert_uint_eq(worker_count(), 2);
    struct answer answer = client_post(client, "/tools/modules", "{\"names\":[\"colorsys\"]}");
    ck_assert_msg(answer.status == 200 && strstr(answer.body, "true"), "%s", answer.body);
    answer_deinit(&answer);
    stop();
}
END_TEST

START_TEST(preloaded_modules_are_loaded_in_every_worker)
{
    start_with(
        ARGS("--workers", "2", "--adapter", "ledger.Ledger", "--preload", "colorsys,xml.dom"),
        NULL);
    for (int i = 0; i < 8; i++) {
        struct answer answer = client_post(client, "/tools/modules",
                                           "{\"names\":[\"colorsys\",\"xml.dom\",\"telnetlib\"]}");
        ck_assert_int_eq(answer.status, 200);
        json_t *loaded = answer_json(&answer, "application/json");
        ck_assert(json_is_true(json_object_get(loaded, "colorsys")));
        ck_assert(json_is_true(json_object_get(loaded, "xml.dom")));
        ck_assert(json_is_false(json_object_get(loaded, "telnetlib")));
        answer_deinit(&answer);
    }
    stop();
}
END_TEST

START_TEST(a_plain_class_is_an_adapter)
{
    start_with(ARGS("--workers", "1", "--adapter", "plain_class.Calculator"), NULL);
    for (int total = 5; total <= 20; total += 5) {
        struct answer answer = client_execute(client, "accumulate", "{\"amount\":5}");
        ck_assert_int_eq(json_integer_value(expect_result(&answer)), total);
        answer_deinit(&answer);
    }
    struct answer answer = client_execute(client, "_hidden", "{}");
    ck_assert_int_eq(answer.status / 100, 4);
    answer_deinit(&answer);
    stop();
}
END_TEST

START_TEST(a_module_of_functions_is_an_adapter)
{
    start_with(ARGS("--workers", "1", "--adapter", "functions"), NULL);
    struct answer answer = client_execute(client, "greet", "{\"name\":\"Ada\"}");
    ck_assert_str_eq(json_string_value(expect_result(&answer)), "Hello, Ada!");
    answer_deinit(&answer);
    answer = client_get(client, "/tools");
    json_t *tools = json_object_get(answer_json(&answer, "application/json"), "tools");
    ck_assert_msg(json_array_size(tools) == 1, "%s", answer.body);
    answer_deinit(&answer);
    stop();
}
END_TEST

/* No PYTHONPATH: like somebody who has just written my_tools.py. */
START_TEST(an_adapter_in_the_current_folder_is_found)
{
    char folder[] = "/tmp/gwtest-cwd-XXXXXX", file[64], binary[4096];
    const char *relative = getenv("SNAKEPIT_BIN") ?: "build/snakepit";
    ck_assert_ptr_nonnull(realpath(relative, binary));
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/my_tools.py", folder);
    FILE *out = fopen(file, "we");
    fputs("def shout(text: str) -> str:\n    return text.upper()\n", out);
    fclose(out);
    ck_assert_int_eq(chdir(folder), 0);
    setenv("SNAKEPIT_BIN", binary, 1);
    start_with(ARGS("--workers", "1", "--adapter", "my_tools"), ARGS("PYTHONPATH="));
    struct answer answer = client_execute(client, "shout", "{\"text\":\"hello\"}");
    ck_assert_str_eq(json_string_value(expect_result(&answer)), "HELLO");
    answer_deinit(&answer);
    stop();
    unlink(file);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder); /* Python may have left a __pycache__: no matter */
}
END_TEST

START_TEST(an_adapter_that_starts_a_thread_is_spawned_instead_of_forked)
{
    start_with(ARGS("--workers", "2", "--adapter", "threaded"), NULL);
    ck_assert_uint_eq(worker_count(), 2);
    for (int i = 0; i < 4; i++) {
        struct answer answer = client_execute(client, "alive", "{}");
        expect_result(&answer);
        ck_assert_msg(strstr(answer.body, "import-time-thread") != NULL, "%s", answer.body);
        answer_deinit(&answer);
    }
    char *log = gateway_log(gateway);
    ck_assert_msg(strstr(log, "threaded") != NULL, "the log does not say why: %s", log);
    free(log);
    pid_t pid = 0;
    struct answer answer = client_execute(client, "alive", "{}");
    pid = (pid_t)json_integer_value(json_object_get(expect_result(&answer), "pid"));
    answer_deinit(&answer);
    kill(pid, SIGKILL);
    for (int i = 0; i < 4; i++) {
        answer = client_execute(client, "nap", "{\"seconds\":0.05}");
        ck_assert_msg(answer.status == 200 || answer.status == 502, "%ld", answer.status);
        answer_deinit(&answer);
    }
    stop();
}
END_TEST

/* Snakepit 95. */
START_TEST(a_quiet_log_level_says_nothing_when_all_is_well)
{
    gateway =
        gateway_launch(ARGS("serve", "--listen", "127.0.0.1:0", "--log-level", "error"), NULL);
    sleep_ms(1500);
    char *log = gateway_log(gateway);
    ck_assert_str_eq(log, "");
    free(log);
    gateway_stop(&gateway);
}
END_TEST

/* Snakepit 49. */
START_TEST(many_starts_and_stops_leave_nothing)
{
    for (int i = 0; i < 5; i++) {
        start_with(ARGS("--workers", "2"), NULL);
        struct answer answer = client_execute(client, "echo", "{}");
        expect_result(&answer);
        answer_deinit(&answer);
        stop();
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("start");
    ADD_ONCE(tcase, a_bad_command_line_is_refused);
    ADD_ONCE(tcase, a_bad_environment_is_refused_by_the_name_of_the_variable);
    ADD_ONCE(tcase, without_a_command_it_says_how_to_use_it);
    ADD_ONCE(tcase, help_and_version_go_to_standard_output);
    ADD_ONCE(tcase, a_taken_port_is_refused);
    ADD_ONCE(tcase, a_second_gateway_on_the_same_port_is_refused);
    ADD_ONCE(tcase, an_adapter_that_cannot_be_imported_is_refused);
    ADD_ONCE(tcase, a_preload_that_cannot_be_imported_is_refused);
    ADD_ONCE(tcase, the_ready_line_says_where_and_how_many);
    ADD_ONCE(tcase, the_number_of_workers_is_as_told);
    ADD_ONCE(tcase, the_environment_configures_too_and_flags_win);
    ADD_ONCE(tcase, preloaded_modules_are_loaded_in_every_worker);
    ADD_ONCE(tcase, a_plain_class_is_an_adapter);
    ADD_ONCE(tcase, a_module_of_functions_is_an_adapter);
    ADD_ONCE(tcase, an_adapter_in_the_current_folder_is_found);
    ADD_ONCE(tcase, an_adapter_that_starts_a_thread_is_spawned_instead_of_forked);
    ADD_ONCE(tcase, a_quiet_log_level_says_nothing_when_all_is_well);
    ADD_ONCE(tcase, many_starts_and_stops_leave_nothing);
    return run_tcases((TCase *[]){tcase, NULL});
}
