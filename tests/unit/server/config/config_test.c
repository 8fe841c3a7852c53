#include "server/config/config.h"
#include "server/config/config_schema.h"

#include "../../base/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config config;
static struct config_fault fault;

static void setup(void)
{
    config_init(&config);
    fault = (struct config_fault){0};
}

static void teardown(void)
{
    config_deinit(&config);
}

static bool read_text(const char *text)
{
    config_deinit(&config);
    setup();
    if (!config_read(&config, bytes_of(text), &fault))
        return false;
    if (config.pool_count == 0)
        config_add_pool(&config);
    return config_finish(&config, &fault);
}

static void expect_good(const char *text)
{
    bool good = read_text(text);
    ck_assert_msg(good, "%u:%u: %s", fault.line, fault.column, fault.text);
}

static void expect_fault(const char *text, unsigned line, unsigned column, const char *words)
{
    ck_assert_msg(!read_text(text), "accepted: %s", text);
    ck_assert_msg(strstr(fault.text, words) != NULL, "\"%s\" is not in \"%s\"", words, fault.text);
    ck_assert_msg(strchr(fault.text, '\n') == NULL, "%s", fault.text);
    ck_assert_msg(fault.line == line && fault.column == column, "%u:%u: %s", fault.line,
                  fault.column, fault.text);
}

/* --- reading --- */

/* Snakepit 93. */
START_TEST(an_empty_file_gives_the_defaults)
{
    static const char *const empty[] = {"", "# nothing\n", "---\n", "~\n", "http:\npools:\n"};
    struct pool_options defaults = pool_defaults();
    for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
        expect_good(empty[i]);
        ck_assert_uint_eq(config.pool_count, 1);
        ck_assert_str_eq(config.pools[0].name, "default");
        ck_assert_uint_eq(config.listen.port, 8080);
        ck_assert_uint_eq(config.http.body_limit, 64 << 20);
        ck_assert_uint_eq(config.pools[0].options.queue_timeout_us, defaults.queue_timeout_us);
        ck_assert_uint_eq(config.pools[0].options.run_timeout_us, defaults.run_timeout_us);
        ck_assert_uint_eq(config.pools[0].options.timeout_us, defaults.timeout_us);
        ck_assert_uint_eq(config.pools[0].slots, 1);
    }
}
END_TEST

/* Snakepit 93. */
START_TEST(every_kind_of_value_is_read)
{
    expect_good("listen: \"[::1]:0\"\n"
                "log_level: warning\n"
                "insecure: yes\n"
                "http: {body_limit: 512k, idle_timeout: 5m}\n"
                "pools:\n"
                "  - name: models\n"
                "    adapter: my.Model\n"
                "    preload: [numpy, pandas]\n"
                "    snakebridge_allow: [math, os.path]\n"
                "    profile: thread\n"
                "    env: {MODE: fast, EMPTY: , NUMBER: 0o7}\n"
                "    min: 2\n"
                "    max_workers: 6\n"
                "    crash_barrier: {retry: always, backoff: [10ms, 1s]}\n"
                "    recycle: {max_age: 6h, max_memory: 1GB, jitter: 25%}\n"
                "    limits: {memory: 2GiB, cpu_time: 1h}\n");
    const struct pool_config *pool = &config.pools[0];
    ck_assert_str_eq(config.listen.host, "::1");
    ck_assert_uint_eq(config.listen.port, 0);
    ck_assert_int_eq(config.log_level, LOG_WARNING);
    ck_assert(config.insecure);
    ck_assert_uint_eq(config.http.body_limit, 512 << 10);
    ck_assert_uint_eq(config.http.idle_timeout_ms, 300000);
    ck_assert_str_eq(pool->options.name, "models");
    ck_assert_str_eq(pool->preload, "numpy,pandas");
    ck_assert_str_eq(pool->snakebridge_allow, "math,os.path");
    ck_assert_str_eq(pool->env[0], "MODE=fast");
    ck_assert_str_eq(pool->env[1], "EMPTY=");
    ck_assert_str_eq(pool->env[2], "NUMBER=0o7");
    ck_assert_ptr_null(pool->env[3]);
    ck_assert_uint_eq(pool->slots, 10);
    ck_assert_uint_eq(pool->options.min_workers, 2);
    ck_assert_uint_eq(pool->options.max_workers, 6);
    ck_assert_int_eq(pool->options.retry, RETRY_ALWAYS);
    ck_assert_uint_eq(pool->options.retry_backoff_us[0], 10000);
    ck_assert_uint_eq(pool->options.retry_backoff_us[POOL_RETRIES_MAX - 1], 1000000);
    ck_assert_uint_eq(pool->options.worker_max_age_us, UINT64_C(21600000000));
    ck_assert_uint_eq(pool->options.worker_max_resident, 1000000000);
    ck_assert_uint_eq(pool->options.recycle_jitter, 25);
    ck_assert_uint_eq(pool->limit_count, 2);
    ck_assert_str_eq(pool->limit_list[1].name, "CPU");
    ck_assert_uint_eq(pool->limit_list[1].value, 3600);
}
END_TEST

/* Snakepit 93. */
START_TEST(both_spellings_of_the_crash_barrier_are_read)
{
    static const char *const spellings[] = {"{max_retries: 3, taint_ms: 5, backoff: 50}",
                                            "{max_restarts: 3, taint_duration_ms: 5, "
                                            "backoff_ms: [50]}"};
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        snprintf(text, sizeof(text), "pools:\n  - crash_barrier: %s\n", spellings[i]);
        expect_good(text);
        ck_assert_uint_eq(config.pools[0].options.max_retries, 3);
        ck_assert_uint_eq(config.pools[0].options.taint_us, 5000);
        ck_assert_uint_eq(config.pools[0].options.retry_backoff_us[2], 50000);
    }
}
END_TEST

START_TEST(limits_in_milliseconds_are_read_by_their_names_of_old)
{
    expect_good("pools:\n  - {target_queue_ms: 250, cancel_grace_ms: 300}\n");
    ck_assert_uint_eq(config.pools[0].options.target_queue_us, 250000);
    ck_assert_uint_eq(config.pools[0].options.cancel_grace_us, 300000);
}
END_TEST

/* Snakepit 93. */
START_TEST(snakepits_names_of_pool_keys_are_read)
{
    expect_good(
        "pools:\n"
        "  - {pool_size: 4, worker_profile: thread, threads_per_worker: 5, worker_ttl: 1h,\n"
        "     worker_max_requests: 100, memory_threshold_mb: 256, max_queue_size: 7}\n");
    const struct pool_config *pool = &config.pools[0];
    ck_assert_uint_eq(pool->options.max_workers, 4);
    ck_assert_uint_eq(pool->slots, 5);
    ck_assert_uint_eq(pool->options.worker_max_age_us, UINT64_C(3600000000));
    ck_assert_uint_eq(pool->options.worker_max_calls, 100);
    ck_assert_uint_eq(pool->options.worker_max_resident, 256 << 20);
    ck_assert_uint_eq(pool->options.queue_limit, 7);
    expect_fault("pools:\n  - worker_ttl: 3600\n", 2, 17, "with a unit");
}
END_TEST

START_TEST(what_cannot_be_honoured_is_refused_with_a_reason)
{
    expect_fault("pools:\n  - adapter_module: x\n", 2, 5, "not honoured here");
    expect_fault("pools:\n  - crash_barrier: {mark_on: [oom]}\n", 2, 21, "every crash counts");
    expect_fault("pool_size: 4\n", 1, 1, "pools");
}
END_TEST

/* Snakepit 20, 21. */
START_TEST(a_timeout_profile_gives_what_is_not_set)
{
    static const struct {
        const char *name;
        uint64_t timeout_ms, stream_ms, queue_ms;
    } profiles[] = {{"balanced", 300000, 900000, 10000},
                    {"production", 300000, 900000, 10000},
                    {"production_strict", 60000, 300000, 5000},
                    {"development", 900000, 3600000, 60000},
                    {"ml_inference", 900000, 3600000, 60000},
                    {"batch", 3600000, UINT64_C(31536000000), 300000}};
    for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
        char text[128];
        snprintf(text, sizeof(text), "pools:\n  - {run_timeout: 7s, timeout_profile: %s}\n",
                 profiles[i].name);
        expect_good(text);
        ck_assert_uint_eq(config.pools[0].options.timeout_us, profiles[i].timeout_ms * 1000);
        ck_assert_uint_eq(config.pools[0].options.stream_timeout_us, profiles[i].stream_ms * 1000);
        ck_assert_uint_eq(config.pools[0].options.queue_timeout_us, profiles[i].queue_ms * 1000);
        ck_assert_uint_eq(config.pools[0].options.run_timeout_us, 7000000);
    }
}
END_TEST

START_TEST(a_timeout_profile_that_is_set_limits_callers)
{
    expect_good("pools:\n  - {timeout_profile: production_strict, queue_timeout: 7s}\n");
    const struct pool_options *options = &config.pools[0].options;
    ck_assert_uint_eq(options->caps.total_us, 60000000);
    ck_assert_uint_eq(options->caps.run_us, 60000000);
    ck_assert_uint_eq(options->stream_cap_us, 300000000);
    ck_assert_uint_eq(options->caps.queue_us, 7000000);
}
END_TEST

START_TEST(what_no_profile_set_is_a_default_only)
{
    expect_good("pools:\n  - {queue_timeout: 7s}\n");
    const struct pool_options *options = &config.pools[0].options;
    ck_assert_uint_eq(options->caps.total_us, 0);
    ck_assert_uint_eq(options->caps.run_us, 0);
    ck_assert_uint_eq(options->stream_cap_us, 0);
    ck_assert_uint_eq(options->caps.queue_us, 7000000);
}
END_TEST

START_TEST(an_empty_value_counts_as_not_set)
{
    expect_good("listen:\nlog_level: \"\"\npython: ~\npools:\n  - workers:\n    max_workers: 3\n"
                "    min_workers: null\n");
    ck_assert_uint_eq(config.listen.port, 8080);
    ck_assert_ptr_null(config.python);
    ck_assert_uint_eq(config.pools[0].options.max_workers, 3);
    ck_assert_uint_eq(config.pools[0].options.min_workers, 1);
}
END_TEST

/* Snakepit 4. */
START_TEST(several_pools_keep_their_own_values)
{
    expect_good("pools:\n- {name: a, workers: 2}\n- {name: b, workers: 3, profile: async}\n");
    ck_assert_uint_eq(config.pool_count, 2);
    ck_assert_uint_eq(config.pools[0].options.max_workers, 2);
    ck_assert_uint_eq(config.pools[1].options.max_workers, 3);
    ck_assert_str_eq(config.pools[1].options.name, "b");
    ck_assert_uint_gt(config.pools[1].slots, 10);
}
END_TEST

/* --- faults --- */

/* Snakepit 93. */
START_TEST(an_unknown_key_is_named_with_its_place_and_the_nearest_one)
{
    expect_fault("http:\n  body_limt: 1k\n", 2, 3,
                 "http.body_limt is not a key, did you mean "
                 "http.body_limit?");
    expect_fault("pools:\n  - name: a\n    crash_barier: {}\n", 3, 5,
                 "pools.a.crash_barier is not a key, did you mean crash_barrier?");
    expect_fault("pools:\n  - breaker:\n      treshold: 3\n", 3, 7, "breaker.threshold?");
    expect_fault("pools:\n  - max_retries: 3\n", 2, 5, "crash_barrier.max_retries?");
    expect_fault("body_limit: 1k\n", 1, 1, "http.body_limit?");
    expect_fault("pool: []\n", 1, 1, "pools?");
    expect_fault("workers: 3\n", 1, 1, "belongs to an entry of pools");
    expect_fault("zebra: 3\n", 1, 1, "snakepit config");
}
END_TEST

START_TEST(a_wrong_value_says_what_was_expected)
{
    expect_fault("http:\n  body_limit: 64QB\n", 2, 15,
                 "http.body_limit is \"64QB\", expected a "
                 "size");
    expect_fault("http: {idle_timeout: soon}\n", 1, 22, "a duration from 1ms");
    expect_fault("pools:\n  - workers: 151\n", 2, 14, "a number from 1 to 150");
    expect_fault("pools:\n  - profile: proces\n", 2, 14, "did you mean process?");
    expect_fault("pools:\n  - name: ä\n", 2, 11, "letters");
    expect_fault("listen: nowhere\n", 1, 9, "HOST:PORT");
    expect_fault("insecure: perhaps\n", 1, 11, "true or false");
    expect_fault("listen: [a, b]\n", 1, 9, "expected one value");
    expect_fault("http: 3\n", 1, 7, "a section");
    expect_fault("pools: 3\n", 1, 8, "is no list");
    expect_fault("pools: []\n", 1, 1, "at least one");
    expect_fault("pools: [3]\n", 1, 9, "not a mapping");
    expect_fault("pools:\n  - recycle: {jitter: 101%}\n", 2, 23, "a percentage");
    expect_fault("python: \"a\\0b\"\n", 1, 9, "expected");
    expect_fault("log_level: \"a\\nb\"\n", 1, 12, "a?b");
}
END_TEST

/* Snakepit 93. */
START_TEST(nothing_may_be_there_twice)
{
    expect_fault("listen: a:1\nlisten: b:2\n", 2, 1, "twice, first in line 1");
    expect_fault("http: {}\nhttp: {}\n", 2, 1, "twice, first in line 1");
    expect_fault("pools:\n  - slots: 1\n    threads_per_worker: 1\n", 3, 5, "twice");
    expect_fault("pools:\n  - workers: 1\n    max: 1\n", 3, 5, "twice, first in line 2");
    expect_fault("pools:\n  - max: 1\n    workers: 1\n", 3, 5, "twice, first in line 2");
    expect_fault("pools:\n  - env: {A: 1, A: 2}\n", 2, 17, "twice");
    expect_fault("pools:\n  - name: a-b\n  - name: A_b\n", 3, 11, "no other pool");
}
END_TEST

START_TEST(what_has_to_agree_is_checked)
{
    expect_fault("pools:\n  - min: 3\n    max: 2\n", 2, 10, "more than max_workers");
    expect_fault("pools:\n  - workers: 2\n    spare: 3\n", 3, 12, "spare_workers is 3");
    expect_fault("pools:\n  - slots: 3\n", 2, 12, "expected 1 where the profile is process");
    expect_fault("pools:\n  - {profile: async, slots: 1025}\n", 2, 29, "1 to 1024");
    expect_fault("pools:\n  - profile: thread\n    recycle: {refork_after: 5}\n", 3, 29,
                 "wants the profile process");
    expect_fault("\nlisten: 0.0.0.0:80\n", 2, 9, "--insecure");
    expect_fault("http: {head_limit: 1MiB}\n", 1, 20, "http.h1_memory");
    expect_fault("http: {head_limit: 64KiB,\n  h1_memory: 64KiB}\n", 2, 14, "http.h1_memory");
}
END_TEST

START_TEST(yaml_that_is_not_needed_is_refused)
{
    expect_fault("listen: &a b:1\n", 1, 9, "anchors");
    expect_fault("listen: *a\n", 1, 9, "aliases");
    expect_fault("listen: !!str a:1\n", 1, 9, "tags");
    expect_fault("? [a]\n: b\n", 1, 3, "not a key");
    expect_fault("{}\n---\n{}\n", 2, 1, "one document");
    expect_fault("- a\n", 1, 1, "expected keys");
    expect_fault("listen: \"a\n", 2, 1, "not YAML");
    expect_fault("log_level: info: c\n", 1, 16, "not YAML");
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
    size_t size = CONFIG_FILE_MAX + 1;
    char *text = malloc(size);
    memset(text, '#', size);
    ck_assert(!config_read(&config, bytes_from(text, size), &fault));
    ck_assert(config_read(&config, bytes_from(text, size - 1), &fault));
    free(text);
    char pools[512] = "pools:\n";
    for (unsigned i = 0; i <= CONFIG_POOLS_MAX; i++) {
        size_t len = strlen(pools);
        snprintf(pools + len, sizeof(pools) - len, "  - name: p%u\n", i);
    }
    expect_fault(pools, CONFIG_POOLS_MAX + 2, 5, "too many");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    ck_assert(!config_load(&config, "/no/such/file", &fault));
    ck_assert_msg(strstr(fault.text, "No such file") != NULL, "%s", fault.text);
    ck_assert(!config_load(&config, "/tmp", &fault));
    ck_assert(!config_load(&config, "/dev/zero", &fault));
}
END_TEST

/* --- names --- */

static void expect_name(const char *name, const char *path, const char *pool)
{
    struct config_target target;
    ck_assert_msg(config_find(&config, name, &target), "%s", name);
    ck_assert_str_eq(target.row->path, path);
    if (pool)
        ck_assert_str_eq(target.pool->name, pool);
    else
        ck_assert_ptr_null(target.pool);
}

START_TEST(every_key_has_a_name_in_the_environment)
{
    expect_good("pools:\n- name: gpu-1\n- name: default\n");
    expect_name("LISTEN", "listen", NULL);
    expect_name("HTTP_BODY_LIMIT", "http.body_limit", NULL);
    expect_name("POOLS_DEFAULT_MAX_WORKERS", "max_workers", "default");
    expect_name("POOLS_GPU_1_CRASH_BARRIER_MAX_RESTARTS", "crash_barrier.max_restarts", "gpu-1");
    expect_name("WORKERS", "workers", "default");
    expect_good("pools:\n- name: one\n- name: two\n");
    expect_name("ADAPTER", "adapter", "one");
    struct config_target target;
    ck_assert(!config_find(&config, "HTTP_BODY_LIMT", &target));
    ck_assert_str_eq(target.row->path, "http.body_limit");
    ck_assert(!config_find(&config, "SERVICE_HOST", &target));
    ck_assert_ptr_null(target.row);
}
END_TEST

/* Snakepit 93. */
START_TEST(later_sources_win)
{
    struct config_target target;
    struct config_mark mark = {.given = true};
    ck_assert(config_read(&config, BYTES("pools:\n- {min: 2, max: 9}\n"), &fault));
    ck_assert(config_find(&config, "WORKERS", &target));
    ck_assert(config_set(&config, &target, BYTES("4"), mark, &fault));
    ck_assert(config_find(&config, "POOLS_DEFAULT_MAX", &target));
    ck_assert(config_set(&config, &target, BYTES("5"), mark, &fault));
    ck_assert(config_finish(&config, &fault));
    ck_assert_uint_eq(config.pools[0].options.min_workers, 4);
    ck_assert_uint_eq(config.pools[0].options.max_workers, 5);
}
END_TEST

/* --- the schema --- */

START_TEST(the_schema_is_sound)
{
    const struct config_schema *schemas[] = {&config_schema_top, &config_schema_pool};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < schemas[s]->count; i++) {
            const struct config_row *row = &schemas[s]->rows[i];
            const struct config_row *real = config_schema_canonical(schemas[s], row);
            ck_assert_msg(real && real->kind != CONFIG_SAME, "%s", row->path);
            ck_assert_msg(config_schema_find(schemas[s], bytes_of(row->path)) == row, "%s",
                          row->path);
            ck_assert_msg(row->help && row->help[0], "%s", row->path);
            if (row->kind == CONFIG_DURATION)
                ck_assert_msg(row->scale > 0 && row->max >= row->min, "%s", row->path);
        }
    }
}
END_TEST

START_TEST(what_is_written_is_read_back_the_same)
{
    struct buffer first = {0}, second = {0};
    expect_good("listen: \"[::1]:9\"\n"
                "pools:\n"
                "- {name: a-b, preload: \"x,y\", env: {K: \"v: {1}\\t\"}, min: 2, max: 3}\n"
                "- {name: c, profile: async, slots: 9, worker_ttl: 90m, limits: {core: 0}}\n");
    config_write(&config, &first);
    buffer_append(&first, bytes_from("", 1)) ? (void)0 : abort();
    expect_good(first.data);
    config_write(&config, &second);
    ck_assert_mem_eq(first.data, second.data, second.len);
    ck_assert_uint_eq(first.len, second.len + 1);
    buffer_deinit(&first);
    buffer_deinit(&second);
}
END_TEST

START_TEST(letters_that_differ_are_counted)
{
    ck_assert_uint_eq(config_distance(BYTES("retry"), BYTES("retry"), 3), 0);
    ck_assert_uint_eq(config_distance(BYTES("retry"), BYTES("rety"), 3), 1);
    ck_assert_uint_eq(config_distance(BYTES("retry"), BYTES("rtery"), 3), 1);
    ck_assert_uint_eq(config_distance(BYTES("retry"), BYTES("metro"), 3), 2);
    ck_assert_uint_eq(config_distance(BYTES(""), BYTES("abc"), 3), 3);
    ck_assert_uint_eq(config_distance(BYTES("a"), BYTES("xxxxxxxx"), 3), 4);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_empty_file_gives_the_defaults);
    tcase_add_test(tests, every_kind_of_value_is_read);
    tcase_add_test(tests, both_spellings_of_the_crash_barrier_are_read);
    tcase_add_test(tests, limits_in_milliseconds_are_read_by_their_names_of_old);
    tcase_add_test(tests, snakepits_names_of_pool_keys_are_read);
    tcase_add_test(tests, what_cannot_be_honoured_is_refused_with_a_reason);
    tcase_add_test(tests, a_timeout_profile_gives_what_is_not_set);
    tcase_add_test(tests, a_timeout_profile_that_is_set_limits_callers);
    tcase_add_test(tests, what_no_profile_set_is_a_default_only);
    tcase_add_test(tests, an_empty_value_counts_as_not_set);
    tcase_add_test(tests, several_pools_keep_their_own_values);
    tcase_add_test(tests, an_unknown_key_is_named_with_its_place_and_the_nearest_one);
    tcase_add_test(tests, a_wrong_value_says_what_was_expected);
    tcase_add_test(tests, nothing_may_be_there_twice);
    tcase_add_test(tests, what_has_to_agree_is_checked);
    tcase_add_test(tests, yaml_that_is_not_needed_is_refused);
    tcase_add_test(tests, what_is_too_large_is_refused);
    tcase_add_test(tests, a_file_that_is_not_there_is_named);
    tcase_add_test(tests, every_key_has_a_name_in_the_environment);
    tcase_add_test(tests, later_sources_win);
    tcase_add_test(tests, the_schema_is_sound);
    tcase_add_test(tests, what_is_written_is_read_back_the_same);
    tcase_add_test(tests, letters_that_differ_are_counted);
    return run_case(tests, "config");
}
