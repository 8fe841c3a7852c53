#include "base/mem.h"
#include "server/telemetry/tally.h"

#include "../../base/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tally *tally;
static struct buffer text;

static void set_up(void)
{
    tally = tally_new(3);
    text = (struct buffer){0};
}

static void tear_down(void)
{
    tally_free(&tally);
    buffer_deinit(&text);
}

static void tell(const char *pool, const char *name)
{
    struct telemetry_sink sink = tally_sink(tally);
    sink.event(sink.context, pool, &(struct telemetry_event){.name = bytes_of(name)});
}

static void measure(const char *name, uint64_t ns, const char *error)
{
    struct telemetry_sink sink = tally_sink(tally);
    sink.span(
        sink.context, "p",
        &(struct telemetry_span){.name = bytes_of(name), .end_ns = ns, .error = bytes_of(error)});
}

static bool shows(const char *line)
{
    struct metrics_writer writer = {.out = &text, .format = METRICS_PROMETHEUS};
    text.len = 0;
    tally_write(tally, &writer);
    metrics_end(&writer);
    buffer_add(&text, bytes_from("", 1));
    const char *found = strstr(text.data, line);
    return found && found[strlen(line)] == '\n';
}

START_TEST(events_are_counted_by_pool_and_name)
{
    static const char p[] = "p", q[] = "q";
    tell(p, "a");
    tell(p, "a");
    tell(q, "a");
    tell(p, "b");
    ck_assert(shows("snakepit_telemetry_events_total{pool=\"p\",name=\"a\"} 2"));
    ck_assert(shows("snakepit_telemetry_events_total{pool=\"q\",name=\"a\"} 1"));
    ck_assert(shows("snakepit_telemetry_events_total{pool=\"p\",name=\"b\"} 1"));
}
END_TEST

START_TEST(spans_are_counted_by_their_end_and_measured)
{
    measure("a", 2000000, "");
    measure("a", 500000000, "ValueError");
    ck_assert(shows("snakepit_telemetry_spans_total{pool=\"p\",name=\"a\",end=\"result\"} 1"));
    ck_assert(shows("snakepit_telemetry_spans_total{pool=\"p\",name=\"a\",end=\"failure\"} 1"));
    ck_assert(shows("snakepit_telemetry_span_seconds_sum{pool=\"p\",name=\"a\"} 0.502"));
    ck_assert(shows("snakepit_telemetry_span_seconds_bucket{pool=\"p\",name=\"a\",le=\"0.01\"} 1"));
}
END_TEST

START_TEST(names_beyond_the_limit_share_one)
{
    static const char p[] = "p";
    for (int i = 0; i < 10; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        tell(p, name);
    }
    ck_assert(shows("snakepit_telemetry_events_total{pool=\"p\",name=\"n2\"} 1"));
    ck_assert(!shows("snakepit_telemetry_events_total{pool=\"p\",name=\"n3\"} 1"));
    ck_assert(shows("snakepit_telemetry_events_total{pool=\"p\",name=\"other\"} 7"));
}
END_TEST

START_TEST(what_was_lost_is_counted)
{
    tally_lost(tally, 3, 2);
    tally_lost(tally, 1, 0);
    ck_assert(shows("snakepit_telemetry_lost_total{reason=\"dropped\"} 4"));
    ck_assert(shows("snakepit_telemetry_lost_total{reason=\"malformed\"} 2"));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("tally");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, events_are_counted_by_pool_and_name);
    tcase_add_test(tests, spans_are_counted_by_their_end_and_measured);
    tcase_add_test(tests, names_beyond_the_limit_share_one);
    tcase_add_test(tests, what_was_lost_is_counted);
    return run_case(tests, "tally");
}
