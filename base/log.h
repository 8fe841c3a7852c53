/* Structured log: one JSON object a line on standard error, {"time":…,"level":…,"event":…, fields}.
 * Values that would make a line longer than 8 KiB are cut and end in "…". */
#ifndef SNAKEPIT_BASE_LOG_H
#define SNAKEPIT_BASE_LOG_H

#include "base/bytes.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_NONE };

/* Lines below `level` are dropped. Process-wide; any thread. */
void log_set_level(enum log_level level);

/* From now on lines that standard error does not take at once are lost, rather than hold up the
 * thread that writes them. (Standard error is opened anew for that, so that others who share it are
 * not affected; a socket cannot be, and stays as it is.) Before there are threads. */
void log_never_block(void);

/* Whether a line of that level would be written. Any thread. */
bool log_enabled(enum log_level level);

/* "debug", "info", "warning", "error", "none" -> true and the level. */
bool log_level_parse(const char *text, enum log_level *out_level);

/* Writes one line with one write(2), so that lines of several threads do not mix. `event` is a
 * short fixed phrase. Fields are pairs of a name and a value made by LOG_STR or LOG_INT, closed by
 * LOG_END:
 *
 *     log_event(LOG_INFO, "worker ready", LOG_STR("worker", id), LOG_INT("pid", pid), LOG_END);
 */
struct log_field {
    const char *name; /* NULL ends the list */
    const char *string;
    long long number;
    bool is_string;
};

#define LOG_STR(key, value)                                                                        \
    ((struct log_field){.name = (key), .string = (value), .is_string = true})
#define LOG_INT(key, value) ((struct log_field){.name = (key), .number = (long long)(value)})
#define LOG_END ((struct log_field){.name = NULL})
#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write(level, event, (const struct log_field[]){__VA_ARGS__});                      \
    } while (0)

/* What the macro above expands to. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#endif
