#include "base/metrics.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* With a backslash before it, or as it is; a byte that is no UTF-8 would make the scraper refuse
 * the whole page. */
static void add_escaped(struct buffer *out, const char *string, const char *escaped)
{
    struct bytes text = bytes_of(string);
    while (text.len > 0) {
        size_t length = utf8_length(text.data, text.len);
        if (length == 0)
            buffer_add(out, BYTES("\xef\xbf\xbd"));
        else if (*text.data == '\n')
            buffer_add(out, BYTES("\\n"));
        else if (*text.data && strchr(escaped, *text.data))
            buffer_printf(out, "\\%c", *text.data);
        else
            buffer_add(out, bytes_from(text.data, length));
        text = bytes_skip(text, length ? length : 1);
    }
}

/* The shortest digits that read back as the same number. */
static void add_number(struct buffer *out, double value)
{
    char digits[32];
    if (isnan(value) || isinf(value)) {
        buffer_add_string(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    buffer_add_string(out, digits);
}

static void add_label(struct buffer *out, char before, const char *name, const char *value)
{
    buffer_printf(out, "%c%s=\"", before, name);
    add_escaped(out, value, "\\\"");
    buffer_add(out, BYTES("\""));
}

/* OpenMetrics wants bounds to look like floating point: 1.0 and not 1. Prometheus takes both. */
static void add_bound(struct buffer *out, char before, double bound)
{
    buffer_printf(out, "%cle=\"", before);
    size_t start = out->len;
    add_number(out, bound);
    bool is_whole = !isinf(bound) && !memchr(out->data + start, '.', out->len - start);
    if (is_whole && !memchr(out->data + start, 'e', out->len - start))
        buffer_add(out, BYTES(".0"));
    buffer_add(out, BYTES("\""));
}

/* The sample's name and its labels. `bound` is that of a bucket, or NULL. */
static void add_series(struct metrics_writer *writer, const char *suffix,
                       const struct metrics_label *labels, const double *bound)
{
    char before = '{';
    buffer_printf(writer->out, "%s%s", writer->name, suffix);
    for (; labels && labels->name; labels++, before = ',')
        add_label(writer->out, before, labels->name, labels->value);
    if (bound) {
        add_bound(writer->out, before, *bound);
        before = ',';
    }
    buffer_add_string(writer->out, before == '{' ? " " : "} ");
}

void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    bool open = writer->format == METRICS_OPENMETRICS;
    const char *suffix = type == METRICS_COUNTER && !open ? "_total" : "";
    writer->name = name;
    writer->type = type;
    buffer_printf(writer->out, "# HELP %s%s ", name, suffix);
    add_escaped(writer->out, help, open ? "\\\"" : "\\");
    buffer_printf(writer->out, "\n# TYPE %s%s %s\n", name, suffix, types[type]);
}

void metrics_sample(struct metrics_writer *writer, const struct metrics_label *labels, double value)
{
    add_series(writer, writer->type == METRICS_COUNTER ? "_total" : "", labels, NULL);
    add_number(writer->out, value);
    buffer_add(writer->out, BYTES("\n"));
}

void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= histogram->bound_count; i++) {
        double bound = i < histogram->bound_count ? histogram->bounds[i] : HUGE_VAL;
        count += histogram->counts[i];
        add_series(writer, "_bucket", labels, &bound);
        buffer_printf(writer->out, "%llu\n", (unsigned long long)count);
    }
    add_series(writer, "_sum", labels, NULL);
    add_number(writer->out, histogram->sum);
    buffer_add(writer->out, BYTES("\n"));
    add_series(writer, "_count", labels, NULL);
    buffer_printf(writer->out, "%llu\n", (unsigned long long)count);
}

void metrics_end(struct metrics_writer *writer)
{
    if (writer->format == METRICS_OPENMETRICS)
        buffer_add(writer->out, BYTES("# EOF\n"));
}
