/* Workers are killed at random while the gateway is under full load.
 *
 * Every request carries a number of its own, which its tool writes to a file before it returns it.
 * So the test can say of each number: it was answered exactly once, with itself; it ran once if the
 * answer says so, at most once otherwise, and not at all if the answer says "executed": "no". And
 * no more calls that had started are lost than workers are killed, one every 100 ms.
 *
 * CHAOS_SECONDS (20) is the time under load, CHAOS_WORKERS (4) how many workers, CHAOS_SEED the
 * seed of the killings. */
#include "client.h"
#include "gateway.h"
#include "suite.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    TRANSFERS = 48, /* at the same time; even ones over HTTP/1.1, odd ones over HTTP/2 */
    MAX_CALLS = 4000000,
    MAX_WORKERS = 16,
    PATIENCE_SECONDS = 60,
};

enum verdict { UNANSWERED, RESULT, EXECUTED_NO, EXECUTED_MAYBE, EXECUTED_YES, BROKEN };

/* One of the requests that are under way. */
struct transfer {
    CURL *curl;
    uint32_t number;
    double start;
    char body[256];
    char answer[4096];
    size_t size;
    bool http2;
};

/* The load, and the books on it; one thread. */
struct load {
    CURLM *multi;
    struct transfer transfers[TRANSFERS];
    struct curl_slist *headers;
    char url[64];
    char marks[128]; /* the file that the tools write to */
    uint32_t next;
    size_t under_way;
    uint8_t *verdicts;   /* by number */
    float *milliseconds; /* by number */
    size_t by_status[600];
    size_t by_code[8];
    size_t over_http2;
};

static const char *const codes[] = {"worker_crash",   "queue_timeout",  "no_workers_available",
                                    "pool_not_ready", "pool_saturated", NULL};

static int setting(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text ? atoi(text) : fallback;
}

/* --- the load --- */

static size_t on_answer(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    if (transfer->size + size >= sizeof(transfer->answer))
        return 0;
    memcpy(transfer->answer + transfer->size, data, size);
    transfer->size += size;
    return size;
}

static void begin(struct load *load, struct transfer *transfer)
{
    ck_assert_uint_lt(load->next, MAX_CALLS);
    transfer->number = load->next++;
    transfer->size = 0;
    transfer->start = now_seconds();
    snprintf(transfer->body, sizeof(transfer->body),
             "{\"tool\":\"mark\",\"args\":{\"path\":\"%s\",\"number\":%u}}", load->marks,
             transfer->number);
    curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDS, transfer->body);
    curl_easy_setopt(transfer->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(transfer->body));
    ck_assert_int_eq(curl_multi_add_handle(load->multi, transfer->curl), CURLM_OK);
    load->under_way++;
}

/* Opens the connection that the transfers over HTTP/2 share. libcurl 7.88 cannot take it up again
 * with prior knowledge (see api/client.c), so the transfers themselves ask for plain HTTP/2, which
 * finds it. */
static void open_http2(struct load *load)
{
    CURL *curl = curl_easy_init();
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/livez", gateway_port(gateway));
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    ck_assert_int_eq(curl_multi_add_handle(load->multi, curl), CURLM_OK);
    int running = 1, left;
    while (running) {
        ck_assert_int_eq(curl_multi_perform(load->multi, &running), CURLM_OK);
        curl_multi_poll(load->multi, NULL, 0, 10, NULL);
    }
    const CURLMsg *message = curl_multi_info_read(load->multi, &left);
    ck_assert(message && message->data.result == CURLE_OK);
    curl_multi_remove_handle(load->multi, curl);
    curl_easy_cleanup(curl);
}

static void load_init(struct load *load)
{
    memset(load, 0, sizeof(*load));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    load->multi = curl_multi_init();
    load->verdicts = calloc(MAX_CALLS, sizeof(*load->verdicts));
    load->milliseconds = calloc(MAX_CALLS, sizeof(*load->milliseconds));
    load->headers = curl_slist_append(NULL, "Content-Type: application/json");
    snprintf(load->url, sizeof(load->url), "http://127.0.0.1:%d/execute", gateway_port(gateway));
    snprintf(load->marks, sizeof(load->marks), "%s/marks", gateway_folder(gateway));
    for (size_t i = 0; i < TRANSFERS; i++) {
        struct transfer *transfer = &load->transfers[i];
        CURL *curl = transfer->curl = curl_easy_init();
        transfer->http2 = i % 2;
        curl_easy_setopt(curl, CURLOPT_URL, load->url);
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, load->headers);
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                         transfer->http2 ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    }
    open_http2(load);
}

static void load_deinit(struct load *load)
{
    for (size_t i = 0; i < TRANSFERS; i++)
        curl_easy_cleanup(load->transfers[i].curl);
    curl_multi_cleanup(load->multi);
    curl_slist_free_all(load->headers);
    free(load->verdicts);
    free(load->milliseconds);
}

/* A failure must be one that killing workers explains, and must be a complete problem document. */
static enum verdict judge_problem(struct load *load, const struct transfer *transfer, long status,
                                  const json_t *problem)
{
    const char *code = member_text(problem, "code"), *executed = member_text(problem, "executed");
    size_t known = 0;
    while (codes[known] && strcmp(codes[known], code) != 0)
        known++;
    ck_assert_msg(codes[known] && status == (known == 0 ? 502 : 503), "call %u: %ld %s",
                  transfer->number, status, transfer->answer);
    load->by_code[known]++;
    ck_assert_str_ne(member_text(problem, "request_id"), "");
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
    ck_assert_str_eq(member_text(problem, "category"),
                     known == 0 ? "worker" : member_text(problem, "category"));
    if (known == 0)
        ck_assert_msg(json_is_object(json_object_get(problem, "crash")), "%s", transfer->answer);
    if (strcmp(executed, "yes") == 0)
        return EXECUTED_YES;
    if (strcmp(executed, "no") == 0)
        return EXECUTED_NO;
    ck_assert_msg(strcmp(executed, "maybe") == 0, "executed is missing: %s", transfer->answer);
    return EXECUTED_MAYBE;
}

static enum verdict judge(struct load *load, const struct transfer *transfer, long status)
{
    json_t *answer = json_loadb(transfer->answer, transfer->size, 0, NULL);
    ck_assert_msg(json_is_object(answer), "call %u: status %ld, no JSON: %.*s", transfer->number,
                  status, (int)transfer->size, transfer->answer);
    enum verdict verdict = RESULT;
    if (status == 200)
        ck_assert_msg(json_integer_value(json_object_get(answer, "result")) == transfer->number,
                      "call %u got another's answer: %s", transfer->number, transfer->answer);
    else
        verdict = judge_problem(load, transfer, status, answer);
    json_decref(answer);
    return verdict;
}

/* Notes the answers that have come; `broken` allows for connections that end without one. */
static void collect(struct load *load, bool broken)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(load->multi, &left)) != NULL;) {
        struct transfer *transfer;
        long status = 0, version = 0;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(message->easy_handle, CURLINFO_HTTP_VERSION, &version);
        load->over_http2 += version == CURL_HTTP_VERSION_2_0;
        curl_multi_remove_handle(load->multi, transfer->curl);
        load->under_way--;
        transfer->answer[transfer->size] = '\0';
        ck_assert_msg(broken || code == CURLE_OK, "call %u (HTTP/%d): %s", transfer->number,
                      transfer->http2 ? 2 : 1, curl_easy_strerror(code));
        ck_assert_uint_eq(load->verdicts[transfer->number], UNANSWERED);
        /* When an HTTP/2 connection ended under several streams, libcurl 7.88 gave out one stream's
         * answer as another's: 4 times in some 150 kills, never before the kill or over HTTP/1.1.
         * python-h2 found none among 463 such late answers of 25 kills, so these are not judged. */
        bool proves = code == CURLE_OK && !(broken && transfer->http2);
        load->verdicts[transfer->number] =
            (uint8_t)(proves ? judge(load, transfer, status) : BROKEN);
        load->milliseconds[transfer->number] = (float)((now_seconds() - transfer->start) * 1000);
        load->by_status[code == CURLE_OK ? status : 0]++;
        transfer->number = UINT32_MAX; /* idle */
    }
}

static void turn(struct load *load, bool broken)
{
    int running;
    ck_assert_int_eq(curl_multi_perform(load->multi, &running), CURLM_OK);
    collect(load, broken);
}

/* Keeps all transfers busy for `seconds`. */
static void load_run(struct load *load, double seconds)
{
    double end = now_seconds() + seconds;
    for (size_t i = 0; i < TRANSFERS; i++)
        begin(load, &load->transfers[i]);
    while (now_seconds() < end) {
        curl_multi_poll(load->multi, NULL, 0, 100, NULL);
        turn(load, false);
        for (size_t i = 0; i < TRANSFERS; i++) {
            if (load->transfers[i].number == UINT32_MAX)
                begin(load, &load->transfers[i]);
        }
    }
}

/* Waits for the answers of what is under way. */
static void load_finish(struct load *load, bool broken)
{
    while (load->under_way > 0) {
        turn(load, broken);
        if (load->under_way > 0)
            curl_multi_poll(load->multi, NULL, 0, 100, NULL);
    }
}

/* --- the killer --- */

struct killer {
    pthread_t thread;
    atomic_bool stop;
    unsigned seed;
    size_t kills;
};

/* Process ids of the workers that are ready. */
static size_t ready_workers(struct client *from, pid_t *out_pids)
{
    struct answer answer = client_get(from, "/workers");
    ck_assert_msg(answer.status == 200, "/workers: %ld %s", answer.status, answer.error);
    json_t *workers = json_object_get(answer_json(&answer, "application/json"), "workers");
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(workers) && count < MAX_WORKERS; i++) {
        json_t *worker = json_array_get(workers, i);
        pid_t pid = (pid_t)json_integer_value(json_object_get(worker, "pid"));
        const char *state = member_text(worker, "state");
        if (pid > 1 && (strcmp(state, "ready") == 0 || strcmp(state, "busy") == 0))
            out_pids[count++] = pid;
    }
    answer_deinit(&answer);
    return count;
}

static void *run_killer(void *context)
{
    struct killer *killer = context;
    struct client *mine = client_new(gateway_port(gateway), false);
    while (!killer->stop) {
        pid_t pids[MAX_WORKERS];
        sleep_ms(50 + (unsigned)rand_r(&killer->seed) % 101);
        size_t count = ready_workers(mine, pids);
        int signal = rand_r(&killer->seed) % 3 ? SIGKILL : SIGSEGV;
        if (count > 0 && kill(pids[(size_t)rand_r(&killer->seed) % count], signal) == 0)
            killer->kills++;
    }
    client_free(&mine);
    return NULL;
}

/* --- the books --- */

static void check_marks(const struct load *load)
{
    uint8_t *runs = calloc(load->next, 1);
    FILE *file = fopen(load->marks, "re");
    ck_assert_ptr_nonnull(file);
    uint64_t number;
    while (fread(&number, sizeof(number), 1, file) == 1) {
        ck_assert_uint_lt(number, load->next);
        ck_assert_msg(runs[number]++ == 0, "call %lu ran twice", number);
    }
    fclose(file);
    for (uint32_t i = 0; i < load->next; i++) {
        ck_assert_msg(load->verdicts[i] != UNANSWERED, "call %u has no answer", i);
        ck_assert_msg(load->verdicts[i] != RESULT || runs[i] == 1,
                      "call %u has a result but never ran", i);
        ck_assert_msg(load->verdicts[i] != EXECUTED_NO || runs[i] == 0,
                      "call %u ran, but its answer says that it did not", i);
    }
    free(runs);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Answers that came from what dead workers left behind. */
static unsigned recovered(void)
{
    struct answer answer = client_get(client, "/pools/default");
    const json_t *counters = json_object_get(answer_json(&answer, "application/json"), "counters");
    unsigned count = (unsigned)json_integer_value(json_object_get(counters, "recovered"));
    answer_deinit(&answer);
    return count;
}

/* Each kill may cost the one call that was running in its worker, and no other. */
static void check_losses(const struct load *load, size_t kills)
{
    size_t executed[BROKEN + 1] = {0};
    for (uint32_t i = 0; i < load->next; i++)
        executed[load->verdicts[i]]++;
    printf("chaos: executed no: %zu, maybe: %zu, yes: %zu; answers recovered: %u\n",
           executed[EXECUTED_NO], executed[EXECUTED_MAYBE], executed[EXECUTED_YES], recovered());
    ck_assert_msg(executed[EXECUTED_MAYBE] + executed[EXECUTED_YES] <= kills,
                  "more started calls were lost than workers were killed");
}

static void print_figures(struct load *load, double seconds, size_t kills, double whole)
{
    qsort(load->milliseconds, load->next, sizeof(float), compare_floats);
    printf("chaos: %u requests in %.0f s (%.0f/s), %zu workers killed, whole again after %.2f s\n",
           load->next, seconds, load->next / seconds, kills, whole);
    printf("chaos: latency p50 %.2f ms, p99 %.2f ms, max %.1f ms\n",
           (double)load->milliseconds[load->next / 2],
           (double)load->milliseconds[load->next / 100 * 99],
           (double)load->milliseconds[load->next - 1]);
    printf("chaos: %zu over HTTP/2; 200: %zu", load->over_http2, load->by_status[200]);
    for (size_t i = 0; codes[i]; i++)
        printf(", %s: %zu", codes[i], load->by_code[i]);
    printf("\n");
}

static void start_gateway(void)
{
    char workers[16];
    struct rlimit no_core = {0};
    setrlimit(RLIMIT_CORE, &no_core);
    snprintf(workers, sizeof(workers), "%d", setting("CHAOS_WORKERS", 4));
    gateway = gateway_start((const char *const[]){"--workers", workers, "--adapter",
                                                  "ledger.Ledger", "--log-level", "info", NULL},
                            NULL);
}

static struct load load;

/* Seconds until all workers are ready again, or the patience when they are not. */
static double wait_until_whole(size_t workers)
{
    pid_t pids[MAX_WORKERS];
    double start = now_seconds();
    while (ready_workers(client, pids) != workers && now_seconds() - start < PATIENCE_SECONDS)
        sleep_ms(10);
    return now_seconds() - start;
}

static void expect_service(void)
{
    for (int i = 0; i < 100; i++) {
        struct answer answer = client_post(client, "/tools/modules", "{\"names\":[]}");
        ck_assert_int_eq(answer.status, 200);
        answer_deinit(&answer);
    }
}

/* Snakepit 11, 26. */
START_TEST(every_request_gets_one_answer_and_its_own)
{
    int seconds = setting("CHAOS_SECONDS", 20);
    start_gateway();
    load_init(&load);
    client = client_new(gateway_port(gateway), false);
    struct killer killer = {.seed = (unsigned)setting("CHAOS_SEED", (int)time(NULL))};
    printf("chaos: seed %u\n", killer.seed);
    ck_assert_int_eq(pthread_create(&killer.thread, NULL, run_killer, &killer), 0);
    load_run(&load, seconds);
    killer.stop = true;
    pthread_join(killer.thread, NULL);
    load_finish(&load, false);
    double whole = wait_until_whole((size_t)setting("CHAOS_WORKERS", 4));

    check_marks(&load);
    print_figures(&load, seconds, killer.kills, whole);
    check_losses(&load, killer.kills);
    fflush(stdout);
    ck_assert_uint_gt(killer.kills, 0);
    ck_assert_uint_gt(load.over_http2, 0);
    ck_assert_uint_gt(load.by_status[200], load.next / 2);
    ck_assert_msg(whole < PATIENCE_SECONDS, "the pool was never whole again");
    expect_service();
    client_free(&client);
    load_deinit(&load);
    stop_gateway();
}
END_TEST

/* Snakepit 50. */
START_TEST(a_gateway_killed_under_load_leaves_nothing_and_starts_again)
{
    for (int round = 0; round < 3; round++) {
        start_gateway();
        load_init(&load);
        load_run(&load, 1);
        gateway_note_files(gateway);
        gateway_signal(gateway, SIGKILL);
        gateway_wait(gateway, PATIENCE_SECONDS);
        double gone = gateway_expect_no_process(gateway, PATIENCE_SECONDS);
        gateway_expect_no_files(gateway);
        load_finish(&load, true);
        printf("chaos: gateway killed after %u requests, everything gone after %.3f s\n", load.next,
               gone);
        fflush(stdout);
        load_deinit(&load);
        gateway_free(&gateway);
    }
    start_gateway();
    stop_gateway();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("chaos");
    ADD_ONCE(tcase, every_request_gets_one_answer_and_its_own);
    ADD_ONCE(tcase, a_gateway_killed_under_load_leaves_nothing_and_starts_again);
    return run_tcases((TCase *[]){tcase, NULL});
}
