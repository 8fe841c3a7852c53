/* The configuration file: YAML without anchors, aliases and tags, read event by event against the
 * schema, so that nothing is deeper than the schema is. */
#include "server/config/config.h"
#include "server/config/config_schema.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct config *config;
    struct pool_config *pool; /* whose keys are read, or NULL */
    unsigned pool_index;
    struct config_fault *fault;
};

/* The keys of one mapping until now. */
struct keys {
    struct bytes names[CONFIG_ROWS_MAX];
    unsigned lines[CONFIG_ROWS_MAX];
    unsigned count;
};

static struct config_mark mark_at(yaml_mark_t mark)
{
    return (struct config_mark){
        .line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1, .given = true};
}

static struct config_mark here(const struct reader *reader)
{
    return mark_at(reader->event.start_mark);
}

static struct bytes scalar(const struct reader *reader)
{
    return bytes_from(reader->event.data.scalar.value, reader->event.data.scalar.length);
}

/* --- events --- */

static bool refuse_extras(struct reader *reader)
{
    const yaml_event_t *event = &reader->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return config_fault_set(reader->fault, here(reader),
                                "anchors and aliases are not read: write it out");
    if (tag)
        return config_fault_set(reader->fault, here(reader), "tags such as !!str are not read");
    return true;
}

/* The next event. False: the text is not YAML, or has what is not read. */
static bool advance(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event))
        return refuse_extras(reader);
    reader->event = (yaml_event_t){0};
    return config_fault_set(reader->fault, mark_at(parser->problem_mark), "not YAML: %s%s%s",
                            parser->problem ? parser->problem : "memory",
                            parser->context ? ", " : "", parser->context ? parser->context : "");
}

/* An empty value, and the ways to write one, count as not set. */
static bool is_nothing(const struct reader *reader)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (reader->event.type != YAML_SCALAR_EVENT)
        return false;
    bool quoted = reader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    for (unsigned i = 0; i < (quoted ? 1 : sizeof words / sizeof words[0]); i++) {
        if (bytes_equal(scalar(reader), bytes_of(words[i])))
            return true;
    }
    return false;
}

/* --- what an error calls the place --- */

static bool fail(const struct reader *reader, struct config_mark mark, struct bytes path,
                 const char *what)
{
    char pool[80] = "";
    int len = path.len > 100 ? 100 : (int)path.len;
    if (reader->pool && reader->pool->marks[0].given)
        snprintf(pool, sizeof pool, "pools.%s.", reader->pool->name);
    else if (reader->pool)
        snprintf(pool, sizeof pool, "pools[%u].", reader->pool_index);
    return config_fault_set(reader->fault, mark, "%s%.*s %s", pool, len, path.data, what);
}

static const struct config_schema *schema_of(const struct reader *reader)
{
    return reader->pool ? &config_schema_pool : &config_schema_top;
}

static bool fail_unknown(const struct reader *reader, struct config_mark mark, struct bytes path)
{
    char what[256];
    struct bytes nearest = config_schema_nearest(schema_of(reader), path);
    struct bytes pools = BYTES("pools");
    if (!reader->pool && config_schema_find(&config_schema_pool, path))
        return fail(reader, mark, path, "is not a key here: it belongs to an entry of pools");
    if (!reader->pool && nearest.len == 0 && config_distance(pools, path, 2) <= 2)
        nearest = pools;
    if (nearest.len)
        snprintf(what, sizeof what, "is not a key, did you mean %.*s?", (int)nearest.len,
                 nearest.data);
    else
        snprintf(what, sizeof what, "is not a key; \"snakepit config\" prints all there are");
    return fail(reader, mark, path, what);
}

/* --- values --- */

/* The items of a list, joined by commas. */
static bool read_list(struct reader *reader, struct bytes path, struct buffer *text)
{
    struct config_mark start = here(reader);
    for (;;) {
        if (!advance(reader))
            return false;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            return true;
        if (reader->event.type != YAML_SCALAR_EVENT || is_nothing(reader))
            return fail(reader, here(reader), path, "has an item that is not a plain value");
        if ((text->len && !buffer_append(text, BYTES(","))) || !buffer_append(text, scalar(reader)))
            return fail(reader, start, path, "is too long");
    }
}

static bool is_variable(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char letter = (unsigned char)name.data[i];
        if (letter != '_' && !isalpha(letter) && !(i > 0 && isdigit(letter)))
            return false;
    }
    return name.len > 0 && name.len < 256;
}

/* The key's text stays with the configuration. False: it has been there before. */
static bool note_key(struct reader *reader, struct keys *keys, struct bytes path)
{
    char what[64];
    for (unsigned i = 0; i < keys->count; i++) {
        if (bytes_equal(keys->names[i], scalar(reader))) {
            snprintf(what, sizeof what, "is there twice, first in line %u", keys->lines[i]);
            return fail(reader, here(reader), path, what);
        }
    }
    if (keys->count == CONFIG_ROWS_MAX)
        return fail(reader, here(reader), path, "is one key too many");
    keys->lines[keys->count] = here(reader).line;
    keys->names[keys->count++] = arena_copy(reader->config->arena, scalar(reader));
    return true;
}

/* NAME: value, into a list of "NAME=value". */
static bool read_variables(struct reader *reader, struct bytes path, const char ***out_list)
{
    struct keys keys = {.count = 0};
    struct arena *arena = reader->config->arena;
    const char **list = arena_zalloc(arena, (CONFIG_ENV_MAX + 1) * sizeof *list);
    for (unsigned count = 0;; count++) {
        if (!advance(reader))
            return false;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            break;
        if (reader->event.type != YAML_SCALAR_EVENT || !is_variable(scalar(reader)))
            return fail(reader, here(reader), path, "has something that is not a variable's name");
        if (count == CONFIG_ENV_MAX)
            return fail(reader, here(reader), path, "has too many variables");
        if (!note_key(reader, &keys, scalar(reader)) || !advance(reader))
            return false;
        if (reader->event.type != YAML_SCALAR_EVENT || scalar(reader).len > CONFIG_TEXT_MAX ||
            memchr(scalar(reader).data, '\0', scalar(reader).len))
            return fail(reader, here(reader), path, "has a value that is not a text");
        list[count] =
            arena_printf(arena, "%s=%.*s", keys.names[count].data,
                         is_nothing(reader) ? 0 : (int)scalar(reader).len, scalar(reader).data);
    }
    *out_list = list;
    return true;
}

static bool set(struct reader *reader, const struct config_row *row, struct config_mark mark,
                struct bytes text)
{
    struct config_target target = {.row = row, .pool = reader->pool};
    char what[sizeof reader->fault->text];
    if (config_set(reader->config, &target, text, mark, reader->fault))
        return true;
    snprintf(what, sizeof what, "%s", reader->fault->text);
    return fail(reader, mark, bytes_of(row->path), what);
}

/* --- keys --- */

/* Another spelling may have set it, and `workers` sets minimum and maximum. */
static bool refuse_twice(const struct reader *reader, const struct config_row *row,
                         struct config_mark mark)
{
    char what[64];
    const struct config_schema *schema = schema_of(reader);
    const struct config_row *real = config_schema_canonical(schema, row);
    const struct config_mark *marks = reader->pool ? reader->pool->marks : reader->config->marks;
    unsigned line = marks[real - schema->rows].line;
    if (real->kind == CONFIG_WORKERS && line == 0) {
        line = marks[config_schema_find(schema, BYTES("min_workers")) - schema->rows].line;
        if (line == 0)
            line = marks[config_schema_find(schema, BYTES("max_workers")) - schema->rows].line;
    }
    if (line == 0)
        return true;
    snprintf(what, sizeof what, "is there twice, first in line %u", line);
    return fail(reader, mark, bytes_of(row->path), what);
}

/* What is behind the key of a row. */
static bool read_value(struct reader *reader, const struct config_row *row, struct config_mark key)
{
    const struct config_row *real = config_schema_canonical(schema_of(reader), row);
    struct bytes path = bytes_of(row->path);
    struct buffer text = {.ceiling = CONFIG_TEXT_MAX};
    if (row->kind == CONFIG_REFUSED)
        return set(reader, row, key, (struct bytes){0});
    if (!advance(reader))
        return false;
    struct config_mark mark = here(reader);
    if (is_nothing(reader))
        return true;
    if (!refuse_twice(reader, row, key))
        return false;
    if (real->kind == CONFIG_VARIABLES && reader->event.type == YAML_MAPPING_START_EVENT) {
        reader->pool->marks[real - config_schema_pool.rows] = mark;
        return read_variables(reader, path, &reader->pool->env);
    }
    if (reader->event.type == YAML_SCALAR_EVENT)
        return set(reader, row, mark, scalar(reader));
    if (reader->event.type != YAML_SEQUENCE_START_EVENT ||
        (real->kind != CONFIG_NAMES && real->kind != CONFIG_DURATIONS))
        return fail(reader, mark, path, "is a list or a mapping, expected one value");
    bool good = read_list(reader, path, &text) && set(reader, row, mark, buffer_bytes(&text));
    buffer_deinit(&text);
    return good;
}

static bool read_pools(struct reader *reader, struct config_mark key);
static bool read_subsection(struct reader *reader, struct bytes path);

/* The keys of a mapping, up to its end; `section` is the path above them, with its dot. The
 * recursion is as deep as the schema: what is not in it is refused before it is entered. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static bool read_section(struct reader *reader, const char *section)
{
    struct keys keys = {.count = 0};
    while (advance(reader)) {
        struct config_mark mark = here(reader);
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return true;
        if (reader->event.type != YAML_SCALAR_EVENT || scalar(reader).len > 100)
            return fail(reader, mark, bytes_of(section), "has something that is not a key");
        struct bytes path = bytes_of(arena_printf(reader->config->arena, "%s%.*s", section,
                                                  (int)scalar(reader).len, scalar(reader).data));
        const struct config_row *row = config_schema_find(schema_of(reader), path);
        bool is_pools = !reader->pool && bytes_equal(path, BYTES("pools"));
        if (!row && !is_pools && !config_schema_is_section(schema_of(reader), path))
            return fail_unknown(reader, mark, path);
        if (!note_key(reader, &keys, path))
            return false;
        if (row ? !read_value(reader, row, mark) : !advance(reader))
            return false;
        bool is_leaf = row || is_nothing(reader);
        if (!is_leaf && !(is_pools ? read_pools(reader, mark) : read_subsection(reader, path)))
            return false;
    }
    return false;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static bool read_subsection(struct reader *reader, struct bytes path)
{
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return fail(reader, here(reader), path, "is a value, expected a section with keys");
    return read_section(reader, arena_printf(reader->config->arena, "%s.", path.data));
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static bool read_pools(struct reader *reader, struct config_mark key)
{
    struct bytes path = BYTES("pools");
    if (reader->event.type != YAML_SEQUENCE_START_EVENT)
        return fail(reader, here(reader), path, "is no list, expected \"- name: …\" for each pool");
    for (unsigned i = 0; advance(reader); i++) {
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            return i > 0 || fail(reader, key, path, "is empty, expected at least one");
        if (reader->event.type != YAML_MAPPING_START_EVENT)
            return fail(reader, here(reader), path, "has an entry that is not a mapping");
        reader->pool = config_add_pool(reader->config);
        reader->pool_index = i;
        if (!reader->pool)
            return fail(reader, here(reader), path, "has too many entries");
        reader->pool->marks[0] = (struct config_mark){0};
        if (!read_section(reader, ""))
            return false;
        reader->pool = NULL;
    }
    return false;
}

/* --- the document --- */

static bool advance_twice(struct reader *reader)
{
    bool good = advance(reader);
    return good && advance(reader);
}

static bool read_stream(struct reader *reader)
{
    if (!advance_twice(reader)) /* the stream's start; the document's */
        return false;
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return true;
    if (!advance(reader))
        return false;
    if (!is_nothing(reader)) {
        if (reader->event.type != YAML_MAPPING_START_EVENT)
            return config_fault_set(reader->fault, here(reader), "expected keys and values");
        if (!read_section(reader, ""))
            return false;
    }
    if (!advance_twice(reader)) /* the document's end; the stream's */
        return false;
    return reader->event.type == YAML_STREAM_END_EVENT ||
           config_fault_set(reader->fault, here(reader), "expected one document only");
}

bool config_read(struct config *config, struct bytes text, struct config_fault *out_fault)
{
    struct reader reader = {.config = config, .fault = out_fault};
    if (text.len > CONFIG_FILE_MAX)
        return config_fault_set(out_fault, (struct config_mark){0}, "is larger than 1 MiB");
    if (!yaml_parser_initialize(&reader.parser))
        abort();
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.len ? text.data : ""),
                                 text.len);
    bool good = read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return good;
}

/* Up to one byte more than may be; false with errno. */
static bool read_file(const char *path, struct buffer *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && text->len <= CONFIG_FILE_MAX) {
        if (!buffer_reserve(text, 65536))
            abort();
        got = read(fd, text->data + text->len, 65536);
        text->len += got > 0 ? (size_t)got : 0;
    }
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return got >= 0;
}

bool config_load(struct config *config, const char *path, struct config_fault *out_fault)
{
    struct buffer text = {0};
    bool good = read_file(path, &text);
    if (!good)
        config_fault_set(out_fault, (struct config_mark){0}, "cannot be read: %s", strerror(errno));
    else
        good = config_read(config, buffer_bytes(&text), out_fault);
    buffer_deinit(&text);
    return good;
}
