/* The configuration as a commented file. */
#include "server/config/config.h"
#include "server/config/config_schema.h"
#include "server/config/config_value.h"

#include <string.h>

enum { HELP_COLUMN = 34 };

struct writer {
    struct buffer *text;
    const struct config_schema *schema;
    const void *base;
    const struct config_mark *marks;
    const char *indent;
    const char *first_indent; /* of the first line */
};

/* Without a value where it follows from something else: from the number of processors or from the
 * profile. */
static bool is_derived(const struct writer *writer, const struct config_row *row)
{
    static const char *const derived[] = {"workers", "min_workers", "max_workers", "slots"};
    if (strncmp(row->path, "limits.", strlen("limits.")) == 0)
        return !writer->marks[row - writer->schema->rows].given;
    for (unsigned i = 0; i < sizeof derived / sizeof derived[0]; i++) {
        if (strcmp(row->path, derived[i]) == 0)
            return !writer->marks[row - writer->schema->rows].given;
    }
    return false;
}

static void write_row(const struct writer *writer, const struct config_row *row)
{
    size_t start = writer->text->len;
    const char *dot = strchr(row->path, '.');
    const char *indent = row == writer->schema->rows ? writer->first_indent : writer->indent;
    buffer_printf(writer->text, "%s%s%s: ", indent, dot ? "  " : "", dot ? dot + 1 : row->path);
    if (!is_derived(writer, row))
        config_value_write(row, writer->base, writer->text);
    size_t used = writer->text->len - start;
    int gap = used < HELP_COLUMN ? (int)(HELP_COLUMN - used) : 1;
    buffer_printf(writer->text, "%*s# %s\n", gap, "", row->help);
}

static void write_rows(const struct writer *writer)
{
    size_t section_len = 0;
    const char *section = "";
    for (size_t i = 0; i < writer->schema->count; i++) {
        const struct config_row *row = &writer->schema->rows[i];
        const char *dot = strchr(row->path, '.');
        size_t len = dot ? (size_t)(dot - row->path) : 0;
        if (row->kind == CONFIG_SAME || row->kind == CONFIG_REFUSED)
            continue;
        if (len && (len != section_len || memcmp(section, row->path, len) != 0))
            buffer_printf(writer->text, "%s%.*s:\n", writer->indent, (int)len, row->path);
        section = row->path;
        section_len = len;
        write_row(writer, row);
    }
}

void config_write(const struct config *config, struct buffer *out_text)
{
    buffer_add_string(out_text,
                      "# Durations: 250ms, 30s, 5m, 6h, 1d; a number alone is milliseconds.\n"
                      "# Sizes: 512k, 64MiB (of 1024), 1GB (of 1000); a number alone is bytes.\n"
                      "# SNAKEPIT_HTTP_BODY_LIMIT in the environment overrides http.body_limit "
                      "here, and so does\n"
                      "# --http-body-limit; SNAKEPIT_POOLS_DEFAULT_PROFILE the profile of the pool "
                      "\"default\".\n\n");
    write_rows(&(struct writer){out_text, &config_schema_top, config, config->marks, "", ""});
    buffer_add_string(out_text, "\npools:\n");
    for (unsigned i = 0; i < config->pool_count; i++)
        write_rows(&(struct writer){out_text, &config_schema_pool, &config->pools[i],
                                    config->pools[i].marks, "    ", "  - "});
}
