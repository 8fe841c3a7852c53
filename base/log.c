#include "base/log.h"

#include "base/json_string.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A line is built on the stack and never longer than this. RESERVE is kept free for what closes it.
 */
enum { LINE_MAX_BYTES = 8192, RESERVE = sizeof("\"…,\"truncated\":true}\n") };

struct line {
    size_t len;
    char text[LINE_MAX_BYTES];
};

static atomic_int lowest_level = LOG_INFO;
static atomic_int output_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warning", "error", "none"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&lowest_level, (int)level, memory_order_relaxed);
}

void log_never_block(void)
{
    int own = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0)
        atomic_store_explicit(&output_fd, own, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed) &&
           level < LOG_NONE;
}

bool log_level_parse(const char *text, enum log_level *out_level)
{
    for (int level = LOG_DEBUG; text && level <= LOG_NONE; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            *out_level = (enum log_level)level;
            return true;
        }
    }
    return false;
}

static size_t room(const struct line *line)
{
    return LINE_MAX_BYTES - RESERVE - line->len;
}

/* The caller has made sure of the room. */
static void add(struct line *line, struct bytes bytes)
{
    memcpy(line->text + line->len, bytes.data, bytes.len);
    line->len += bytes.len;
}

/* At most half of what is left, so that no field, however long, crowds out the ones behind it. */
static void add_string(struct line *line, struct bytes text)
{
    size_t limit = line->len + room(line) / 2;
    add(line, BYTES("\""));
    while (text.len > 0) {
        char escaped[JSON_ESCAPED_MAX];
        size_t length = json_escape(&text, escaped);
        if (line->len + length > limit) {
            add(line, BYTES("…"));
            break;
        }
        add(line, bytes_from(escaped, length));
    }
    add(line, BYTES("\""));
}

static void add_number(struct line *line, long long number)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%lld", number);
    add(line, bytes_from(digits, (size_t)length));
}

static void add_time(struct line *line)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char seconds[32];
    char text[48];
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    int length =
        snprintf(text, sizeof(text), "{\"time\":\"%s.%03ldZ\"", seconds, now.tv_nsec / 1000000);
    add(line, bytes_from(text, (size_t)length));
}

static void add_string_field(struct line *line, const char *name, const char *string)
{
    add(line, BYTES(","));
    add_string(line, bytes_of(name));
    add(line, BYTES(":"));
    if (string)
        add_string(line, bytes_of(string));
    else
        add(line, BYTES("null"));
}

static void add_fields(struct line *line, const struct log_field *field)
{
    for (; field->name; field++) {
        if (room(line) < 128) {
            add(line, BYTES(",\"truncated\":true"));
            return;
        }
        if (field->is_string) {
            add_string_field(line, field->name, field->string);
            continue;
        }
        add(line, BYTES(","));
        add_string(line, bytes_of(field->name));
        add(line, BYTES(":"));
        add_number(line, field->number);
    }
}

static void write_out(struct bytes text)
{
    int output = atomic_load_explicit(&output_fd, memory_order_relaxed);
    while (write(output, text.data, text.len) < 0 && errno == EINTR)
        continue;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    int saved_errno = errno;
    struct line line;
    line.len = 0;
    add_time(&line);
    add_string_field(&line, "level", level_names[level]);
    add_string_field(&line, "event", event);
    add_fields(&line, fields);
    add(&line, BYTES("}\n"));
    write_out(bytes_from(line.text, line.len));
    errno = saved_errno;
}
