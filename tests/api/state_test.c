/* What the gateway says of itself: pools, workers, probes, metrics, its description. */
#include "suite.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void start_gateway(void)
{
    gateway = gateway_start((const char *const[]){"--workers", "3", NULL}, NULL);
}

static void workers_are_listed_with_their_processes_body(void)
{
    struct answer answer = client_get(client, "/workers");
    ck_assert_int_eq(answer.status, 200);
    json_t *workers = json_object_get(answer_json(&answer, "application/json"), "workers");
    ck_assert_uint_eq(json_array_size(workers), 3);
    pid_t children[64];
    size_t count = gateway_processes(gateway, children, 64);
    ck_assert_uint_ge(count, 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *worker = json_array_get(workers, i);
        ck_assert_str_ne(member_text(worker, "id"), "");
        ck_assert_str_eq(member_text(worker, "pool"), "default");
        ck_assert_str_ne(member_text(worker, "state"), "");
        pid_t pid = (pid_t)json_integer_value(json_object_get(worker, "pid"));
        size_t at = 0;
        while (at < count && children[at] != pid)
            at++;
        ck_assert_msg(at < count, "worker %d is no process of the gateway", pid);
    }
    answer_deinit(&answer);
}
WITH_CLIENT(workers_are_listed_with_their_processes)

static void the_worker_of_an_answer_is_one_of_the_list_body(void)
{
    struct answer call = client_execute(client, "echo", "{}");
    expect_result(&call);
    struct answer answer = client_get(client, "/workers");
    char quoted[128];
    snprintf(quoted, sizeof(quoted), "\"%s\"",
             member_text(json_object_get(call.json, "meta"), "worker"));
    ck_assert_msg(strstr(answer.body, quoted) != NULL, "%s in %s", quoted, answer.body);
    answer_deinit(&call);
    answer_deinit(&answer);
}
WITH_CLIENT(the_worker_of_an_answer_is_one_of_the_list)

static void the_default_pool_is_listed_body(void)
{
    struct answer answer = client_get(client, "/pools");
    ck_assert_int_eq(answer.status, 200);
    json_t *pools = json_object_get(answer_json(&answer, "application/json"), "pools");
    ck_assert_uint_eq(json_array_size(pools), 1);
    ck_assert_str_eq(member_text(json_array_get(pools, 0), "name"), "default");
    answer_deinit(&answer);
}
WITH_CLIENT(the_default_pool_is_listed)

static void probes_say_yes_body(void)
{
    static const char *const paths[] = {
        "/livez",         "/readyz",         "/startupz",         "/healthz",
        "/livez?verbose", "/readyz?verbose", "/startupz?verbose", "/healthz?verbose"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        struct answer answer = client_get(client, paths[i]);
        ck_assert_msg(answer.status == 200, "%s gave %ld", paths[i], answer.status);
        ck_assert_uint_gt(answer.size, 0);
        answer_deinit(&answer);
    }
}
WITH_CLIENT(probes_say_yes)

/* The sum of all samples of a metric family whose labels contain `label`. */
static double metric(const char *name, const char *label)
{
    struct answer answer = client_get(client, "/metrics");
    ck_assert_int_eq(answer.status, 200);
    double sum = 0;
    bool found = false;
    char *rest = answer.body;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) != 0 || (line[length] != '{' && line[length] != ' '))
            continue;
        if (!strstr(line, label))
            continue;
        sum += strtod(strrchr(line, ' ') + 1, NULL);
        found = true;
    }
    answer_deinit(&answer);
    return found ? sum : -1;
}

static char *metrics_as(const char *accept, const char *type)
{
    char header[256];
    snprintf(header, sizeof(header), "accept: %s", accept);
    struct answer answer =
        client_send(client, &(struct request){.path = "/metrics",
                                              .headers = (const char *const[]){header, NULL}});
    ck_assert_int_eq(answer.status, 200);
    const char *got = answer_header(&answer, "content-type") ?: "missing";
    ck_assert_msg(strncmp(got, type, strlen(type)) == 0, "%s gave %s", accept, got);
    char *text = strdup(answer.body);
    answer_deinit(&answer);
    return text;
}

static void metrics_come_in_two_formats_body(void)
{
    char *text = metrics_as("*/*", "text/plain; version=0.0.4");
    ck_assert_msg(strstr(text, "# TYPE ") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "# EOF") == NULL, "%s", text);
    free(text);
    text = metrics_as("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
                      "application/openmetrics-text");
    size_t size = strlen(text);
    ck_assert_msg(size > 6 && strcmp(text + size - 6, "# EOF\n") == 0, "%s", text);
    free(text);
}
WITH_CLIENT(metrics_come_in_two_formats)

/* The name of the counter of requests is the server's choice: found as the one that has routes and
 * codes. */
static void requests_are_counted_by_route_and_code_body(void)
{
    char *text = metrics_as("*/*", "text/plain");
    char name[128] = "";
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] != '#' && strstr(line, "route=\"") && strstr(line, "code=\"") &&
            strstr(line, "_total{"))
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, "{"), line);
    }
    free(text);
    ck_assert_str_ne(name, "");
    double before = metric(name, "route=\"/execute\"");
    for (int i = 0; i < 5; i++) {
        struct answer answer = client_execute(client, "echo", "{}");
        expect_result(&answer);
        answer_deinit(&answer);
    }
    double after = metric(name, "route=\"/execute\"");
    ck_assert_msg(after - (before < 0 ? 0 : before) == 5, "%s: %f, then %f", name, before, after);
}
WITH_CLIENT(requests_are_counted_by_route_and_code)

static void the_description_is_served_body(void)
{
    struct answer answer = client_get(client, "/openapi.json");
    ck_assert_int_eq(answer.status, 200);
    json_t *description = answer_json(&answer, "application/json");
    ck_assert_str_eq(member_text(description, "openapi"), "3.1.0");
    ck_assert_ptr_nonnull(json_object_get(
        json_object_get(json_object_get(description, "paths"), "/execute"), "post"));
    answer_deinit(&answer);
}
WITH_CLIENT(the_description_is_served)

int main(void)
{
    TCase *tcase = tcase_create("state");
    tcase_add_unchecked_fixture(tcase, start_gateway, stop_gateway);
    ADD_BOTH(tcase, workers_are_listed_with_their_processes);
    ADD_BOTH(tcase, the_worker_of_an_answer_is_one_of_the_list);
    ADD_BOTH(tcase, the_default_pool_is_listed);
    ADD_BOTH(tcase, probes_say_yes);
    ADD_BOTH(tcase, metrics_come_in_two_formats);
    ADD_BOTH(tcase, requests_are_counted_by_route_and_code);
    ADD_BOTH(tcase, the_description_is_served);
    return run_tcases((TCase *[]){tcase, NULL});
}
