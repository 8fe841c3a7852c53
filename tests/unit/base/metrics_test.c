#include "base/metrics.h"

#include "run.h"

#include <math.h>

static struct buffer text;
static struct metrics_writer prometheus = {.out = &text, .format = METRICS_PROMETHEUS};
static struct metrics_writer openmetrics = {.out = &text, .format = METRICS_OPENMETRICS};

/* Compares what was written since the last call. */
static void assert_written(const char *wanted)
{
    buffer_add(&text, bytes_from("", 1));
    ck_assert_str_eq(text.data, wanted);
    buffer_deinit(&text);
}

START_TEST(counter_for_prometheus_has_total_in_its_type)
{
    metrics_family(&prometheus, "calls", METRICS_COUNTER, "Calls that have ended.");
    metrics_sample(&prometheus, METRICS_LABELS({"tool", "add"}, {"outcome", "ok"}), 12);
    metrics_sample(&prometheus, METRICS_LABELS({"tool", "add"}, {"outcome", "error"}), 0);
    metrics_end(&prometheus);
    assert_written("# HELP calls_total Calls that have ended.\n"
                   "# TYPE calls_total counter\n"
                   "calls_total{tool=\"add\",outcome=\"ok\"} 12\n"
                   "calls_total{tool=\"add\",outcome=\"error\"} 0\n");
}
END_TEST

START_TEST(counter_for_openmetrics_has_total_only_in_its_samples)
{
    metrics_family(&openmetrics, "calls", METRICS_COUNTER, "Calls that have ended.");
    metrics_sample(&openmetrics, METRICS_LABELS({"tool", "add"}), 12);
    metrics_end(&openmetrics);
    assert_written("# HELP calls Calls that have ended.\n"
                   "# TYPE calls counter\n"
                   "calls_total{tool=\"add\"} 12\n"
                   "# EOF\n");
}
END_TEST

START_TEST(gauge_without_labels_has_no_braces)
{
    metrics_family(&prometheus, "workers", METRICS_GAUGE, "Workers.");
    metrics_sample(&prometheus, NULL, 4);
    assert_written("# HELP workers Workers.\n# TYPE workers gauge\nworkers 4\n");
}
END_TEST

static const double bounds[] = {0.005, 0.5, 1, 1e9, 1e21};

static struct histogram latencies(void)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 5);
    histogram_observe(&histogram, 0.001);
    histogram_observe(&histogram, 0.75);
    histogram_observe(&histogram, 0.75);
    histogram_observe(&histogram, 1e22);
    histogram.sum = 1.501;
    return histogram;
}

START_TEST(histogram_buckets_are_cumulative)
{
    struct histogram histogram = latencies();
    metrics_family(&prometheus, "call_seconds", METRICS_HISTOGRAM, "Time.");
    metrics_histogram(&prometheus, METRICS_LABELS({"tool", "add"}), &histogram);
    assert_written("# HELP call_seconds Time.\n"
                   "# TYPE call_seconds histogram\n"
                   "call_seconds_bucket{tool=\"add\",le=\"0.005\"} 1\n"
                   "call_seconds_bucket{tool=\"add\",le=\"0.5\"} 1\n"
                   "call_seconds_bucket{tool=\"add\",le=\"1.0\"} 3\n"
                   "call_seconds_bucket{tool=\"add\",le=\"1000000000.0\"} 3\n"
                   "call_seconds_bucket{tool=\"add\",le=\"1e+21\"} 3\n"
                   "call_seconds_bucket{tool=\"add\",le=\"+Inf\"} 4\n"
                   "call_seconds_sum{tool=\"add\"} 1.501\n"
                   "call_seconds_count{tool=\"add\"} 4\n");
}
END_TEST

START_TEST(histogram_without_labels_has_only_the_bound)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 1);
    metrics_family(&openmetrics, "t", METRICS_HISTOGRAM, "Time.");
    metrics_histogram(&openmetrics, NULL, &histogram);
    metrics_end(&openmetrics);
    assert_written("# HELP t Time.\n# TYPE t histogram\n"
                   "t_bucket{le=\"0.005\"} 0\nt_bucket{le=\"+Inf\"} 0\n"
                   "t_sum 0\nt_count 0\n# EOF\n");
}
END_TEST

START_TEST(label_values_are_escaped)
{
    prometheus.name = "m";
    prometheus.type = METRICS_GAUGE;
    metrics_sample(&prometheus, METRICS_LABELS({"a", "x\"y\\z\n\xc3\xa9\xff"}, {"b", ""}), 1);
    assert_written("m{a=\"x\\\"y\\\\z\\n\xc3\xa9\xef\xbf\xbd\",b=\"\"} 1\n");
}
END_TEST

START_TEST(missing_label_value_is_empty)
{
    prometheus.name = "m";
    prometheus.type = METRICS_GAUGE;
    metrics_sample(&prometheus, METRICS_LABELS({"a", NULL}), 1);
    assert_written("m{a=\"\"} 1\n");
}
END_TEST

START_TEST(help_escapes_quotes_only_for_openmetrics)
{
    metrics_family(&prometheus, "m", METRICS_GAUGE, "a \"b\" \\ \n");
    assert_written("# HELP m a \"b\" \\\\ \\n\n# TYPE m gauge\n");
    metrics_family(&openmetrics, "m", METRICS_GAUGE, "a \"b\" \\ \n");
    assert_written("# HELP m a \\\"b\\\" \\\\ \\n\n# TYPE m gauge\n");
}
END_TEST

START_TEST(numbers_are_short_and_exact)
{
    static const struct {
        double value;
        const char *written;
    } numbers[] = {
        {0, "m 0\n"},
        {-1.5, "m -1.5\n"},
        {0.1, "m 0.1\n"},
        {0.1 + 0.2, "m 0.30000000000000004\n"},
        {1e15 + 1, "m 1000000000000001\n"},
        {9007199254740991, "m 9007199254740991\n"},
        {1e300, "m 1e+300\n"},
        {HUGE_VAL, "m +Inf\n"},
        {-HUGE_VAL, "m -Inf\n"},
        {(double)NAN, "m NaN\n"},
    };
    prometheus.name = "m";
    prometheus.type = METRICS_GAUGE;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        metrics_sample(&prometheus, NULL, numbers[i].value);
        assert_written(numbers[i].written);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("metrics");
    tcase_add_test(tests, counter_for_prometheus_has_total_in_its_type);
    tcase_add_test(tests, counter_for_openmetrics_has_total_only_in_its_samples);
    tcase_add_test(tests, gauge_without_labels_has_no_braces);
    tcase_add_test(tests, histogram_buckets_are_cumulative);
    tcase_add_test(tests, histogram_without_labels_has_only_the_bound);
    tcase_add_test(tests, label_values_are_escaped);
    tcase_add_test(tests, missing_label_value_is_empty);
    tcase_add_test(tests, help_escapes_quotes_only_for_openmetrics);
    tcase_add_test(tests, numbers_are_short_and_exact);
    return run_case(tests, "metrics");
}
