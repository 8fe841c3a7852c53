#include "server/config/config_value.h"

#include "base/utf8.h"
#include "server/config/config_struct.h"
#include "server/config/units.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { POOL_NAME_MAX = 32 };

/* --- from text --- */

static bool read_in_range(const struct config_row *row, struct bytes text, uint64_t plain,
                          uint64_t *out_value)
{
    bool good = false;
    uint64_t value = 0;
    if (row->kind == CONFIG_NUMBER || row->kind == CONFIG_WORKERS)
        good = units_read_number(text, &value);
    else if (row->kind == CONFIG_SIZE)
        good = units_read_size(text, plain, &value);
    else if (row->kind == CONFIG_DURATION || row->kind == CONFIG_DURATIONS)
        good = units_read_duration(text, plain, &value);
    else if (row->kind == CONFIG_PERCENT)
        good = units_read_percent(text, &value);
    if (!good || value < row->min || value > row->max)
        return false;
    *out_value = row->kind == CONFIG_DURATION ? value / row->scale : value;
    return true;
}

static void store(const struct config_row *row, void *member, uint64_t value)
{
    unsigned narrow = (unsigned)value;
    if (row->width == sizeof value)
        memcpy(member, &value, sizeof value);
    else
        memcpy(member, &narrow, sizeof narrow);
}

static uint64_t load(const struct config_row *row, const void *member)
{
    uint64_t value = 0;
    unsigned narrow = 0;
    if (row->width == sizeof value)
        memcpy(&value, member, sizeof value);
    else
        memcpy(&narrow, member, sizeof narrow);
    return row->width == sizeof value ? value : narrow;
}

static bool set_number(const struct config_row *row, void *member, struct bytes text,
                       uint64_t plain)
{
    uint64_t value;
    if (!read_in_range(row, text, plain, &value))
        return false;
    store(row, member, value);
    return true;
}

static bool set_switch(bool *member, struct bytes text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_equal_nocase(text, bytes_of(words[i]))) {
            *member = i % 2;
            return true;
        }
    }
    return false;
}

static bool set_choice(const struct config_row *row, void *member, struct bytes text)
{
    for (unsigned i = 0; row->choices[i]; i++) {
        if (bytes_equal(text, bytes_of(row->choices[i]))) {
            memcpy(member, &i, sizeof i);
            return true;
        }
    }
    return false;
}

static bool set_text(const struct config_row *row, const char **member, struct bytes text,
                     struct arena *arena)
{
    if (text.len < row->min || text.len > CONFIG_TEXT_MAX)
        return false;
    *member = arena_string(arena, text);
    return true;
}

static bool set_name(const char **member, struct bytes text, struct arena *arena)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char letter = (unsigned char)text.data[i];
        if (!isalnum(letter) && letter != '-' && letter != '_')
            return false;
    }
    if (text.len == 0 || text.len > POOL_NAME_MAX)
        return false;
    *member = arena_string(arena, text);
    return true;
}

static struct bytes trim(struct bytes text)
{
    while (text.len && text.data[0] == ' ')
        text = bytes_skip(text, 1);
    while (text.len && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* "50ms, 100ms, 200ms"; the last one stands for all that follow. */
static bool set_durations(const struct config_row *row, uint64_t *member, struct bytes text,
                          uint64_t plain)
{
    uint64_t values[POOL_RETRIES_MAX];
    unsigned count = 0;
    for (bool more = true; more; count++) {
        const char *comma = memchr(text.data, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.data) : text.len;
        if (count == POOL_RETRIES_MAX ||
            !read_in_range(row, trim(bytes_from(text.data, len)), plain, &values[count]))
            return false;
        more = comma;
        text = bytes_skip(text, len + more);
    }
    for (unsigned i = 0; i < POOL_RETRIES_MAX; i++)
        member[i] = values[i < count ? i : count - 1];
    return true;
}

static bool set_address(struct config_address *member, struct bytes text)
{
    const char *colon = memrchr(text.data, ':', text.len);
    size_t len = colon ? (size_t)(colon - text.data) : 0;
    uint64_t port;
    if (!colon || !units_read_number(bytes_skip(text, len + 1), &port) || port > UINT16_MAX)
        return false;
    struct bytes host = bytes_from(text.data, len);
    if (len >= 2 && host.data[0] == '[' && host.data[len - 1] == ']')
        host = bytes_from(host.data + 1, len - 2);
    if (host.len >= sizeof member->host)
        return false;
    memcpy(member->host, host.data, host.len);
    member->host[host.len] = '\0';
    member->port = (uint16_t)port;
    return true;
}

bool config_value_set(const struct config_row *row, void *base, struct bytes text, uint64_t plain,
                      struct arena *arena)
{
    void *member = (char *)base + row->offset;
    if (text.len == 0)
        text.data = "";
    if (memchr(text.data, '\0', text.len))
        return false;
    switch (row->kind) {
    case CONFIG_TEXT:
    case CONFIG_NAMES:
        return set_text(row, member, text, arena);
    case CONFIG_NAME:
        return set_name(member, text, arena);
    case CONFIG_SWITCH:
        return set_switch(member, text);
    case CONFIG_CHOICE:
        return set_choice(row, member, text);
    case CONFIG_DURATIONS:
        return set_durations(row, member, text, plain);
    case CONFIG_ADDRESS:
        return set_address(member, text);
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_PERCENT:
    case CONFIG_WORKERS:
        return set_number(row, member, text, plain);
    case CONFIG_VARIABLES:
    case CONFIG_SAME:
    case CONFIG_REFUSED:
        break;
    }
    return false;
}

uint64_t config_value_plain(const struct config_row *row)
{
    return row->kind == CONFIG_SIZE ? 1 : 1000;
}

/* --- what it should have been --- */

static void list_choices(const struct config_row *row, struct bytes text, char *out, size_t size)
{
    const char *nearest = NULL;
    unsigned distance = 3;
    size_t len = 0;
    for (unsigned i = 0; row->choices[i] && len < size; i++) {
        unsigned here = config_distance(bytes_of(row->choices[i]), text, 3);
        len += (size_t)snprintf(out + len, size - len, "%s%s",
                                i == 0                ? ""
                                : row->choices[i + 1] ? ", "
                                                      : " or ",
                                row->choices[i]);
        if (here < distance) {
            distance = here;
            nearest = row->choices[i];
        }
    }
    if (nearest && len < size)
        snprintf(out + len, size - len, "; did you mean %s?", nearest);
}

void config_value_expected(const struct config_row *row, struct bytes text, char *out, size_t size)
{
    char from[UNITS_TEXT_MAX], to[UNITS_TEXT_MAX];
    unsigned long long min = row->min, max = row->max;
    bool size_like = row->kind == CONFIG_SIZE;
    (size_like ? units_write_size : units_write_duration)(min, from);
    (size_like ? units_write_size : units_write_duration)(max, to);
    if (row->kind == CONFIG_CHOICE)
        list_choices(row, text, out, size);
    else if (row->kind == CONFIG_NUMBER || row->kind == CONFIG_WORKERS)
        snprintf(out, size, "a number from %llu to %llu", min, max);
    else if (size_like)
        snprintf(out, size, "a size from %s to %s, such as 512k or 64MiB", from, to);
    else if (row->kind == CONFIG_DURATION)
        snprintf(out, size, "a duration from %s to %s, such as 250ms, 30s or 5m", from, to);
    else if (row->kind == CONFIG_DURATIONS)
        snprintf(out, size, "up to %d durations from %s to %s, such as 50ms, 1s", POOL_RETRIES_MAX,
                 from, to);
    else if (row->kind == CONFIG_PERCENT)
        snprintf(out, size, "a percentage from %llu%% to %llu%%", min, max);
    else if (row->kind == CONFIG_SWITCH)
        snprintf(out, size, "true or false");
    else if (row->kind == CONFIG_ADDRESS)
        snprintf(out, size, "HOST:PORT with a port from 0 to 65535");
    else if (row->kind == CONFIG_NAME)
        snprintf(out, size, "up to %d letters, digits, - and _", POOL_NAME_MAX);
    else if (row->kind == CONFIG_VARIABLES)
        snprintf(out, size, "NAME: value, a line each, in the file");
    else
        snprintf(out, size, "a text of %llu to %d bytes", min, CONFIG_TEXT_MAX);
}

/* --- to text --- */

static uint32_t decode(const char *at, size_t length)
{
    uint32_t code = (unsigned char)at[0] & (length < 2 ? 0x7f : 0xff >> (length + 1));
    for (size_t i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)at[i] & 0x3f);
    return code;
}

/* YAML does not let all characters stand for themselves: some are line breaks, some are refused. */
static bool is_printable(uint32_t code)
{
    return code >= ' ' && code != '"' && code != '\\' && (code < 0x7f || code > 0xa0) &&
           code != 0x2028 && code != 0x2029 && code != 0xfeff && code != 0xfffe && code != 0xffff;
}

static void write_quoted(const char *text, struct buffer *out_text)
{
    size_t left = strlen(text);
    buffer_add_string(out_text, "\"");
    while (left) {
        size_t length = utf8_length(text, left);
        uint32_t code = length ? decode(text, length) : 0xfffd;
        length = length ? length : 1;
        if (is_printable(code) && code != 0xfffd)
            buffer_add(out_text, bytes_from(text, length));
        else
            buffer_printf(out_text, "\\U%08x", code);
        text += length;
        left -= length;
    }
    buffer_add_string(out_text, "\"");
}

static void write_text(const char *text, struct buffer *out_text)
{
    bool plain = text[0] && isalpha((unsigned char)text[0]);
    for (const char *at = text; *at; at++)
        plain = plain && (isalnum((unsigned char)*at) || strchr("._-/,", *at));
    if (plain)
        buffer_add_string(out_text, text);
    else if (text[0])
        write_quoted(text, out_text);
}

static void write_durations(const uint64_t *member, struct buffer *out_text)
{
    unsigned count = POOL_RETRIES_MAX;
    while (count > 1 && member[count - 1] == member[count - 2])
        count--;
    for (unsigned i = 0; i < count; i++) {
        char text[UNITS_TEXT_MAX];
        units_write_duration(member[i], text);
        buffer_printf(out_text, "%s%s", i ? ", " : "[", text);
    }
    buffer_add_string(out_text, "]");
}

static void write_variables(const char *const *variables, struct buffer *out_text)
{
    for (unsigned i = 0; variables && variables[i]; i++) {
        const char *equals = strchr(variables[i], '=');
        buffer_printf(out_text, "%s%.*s: ", i ? ", " : "{", (int)(equals - variables[i]),
                      variables[i]);
        write_quoted(equals + 1, out_text);
    }
    if (variables && variables[0])
        buffer_add_string(out_text, "}");
}

static void write_address(const struct config_address *member, struct buffer *out_text)
{
    bool colons = strchr(member->host, ':') != NULL;
    buffer_printf(out_text, colons ? "\"[%s]:%u\"" : "%s:%u", member->host, member->port);
}

void config_value_write(const struct config_row *row, const void *base, struct buffer *out_text)
{
    const void *member = (const char *)base + row->offset;
    char text[UNITS_TEXT_MAX] = "";
    uint64_t value = 0;
    const char *string = NULL;
    if (row->kind <= CONFIG_NAMES)
        memcpy(&string, member, sizeof string);
    else if (row->kind >= CONFIG_NUMBER && row->kind <= CONFIG_CHOICE)
        value = load(row, member);
    if (string)
        write_text(string, out_text);
    else if (row->kind == CONFIG_SWITCH)
        buffer_add_string(out_text, *(const bool *)member ? "true" : "false");
    else if (row->kind == CONFIG_NUMBER)
        buffer_printf(out_text, "%llu", (unsigned long long)value);
    else if (row->kind == CONFIG_PERCENT)
        buffer_printf(out_text, "%llu%%", (unsigned long long)value);
    else if (row->kind == CONFIG_CHOICE)
        buffer_add_string(out_text, row->choices[value]);
    else if (row->kind == CONFIG_DURATIONS)
        write_durations(member, out_text);
    else if (row->kind == CONFIG_VARIABLES)
        write_variables(*(const char *const *const *)member, out_text);
    else if (row->kind == CONFIG_ADDRESS)
        write_address(member, out_text);
    if (row->kind == CONFIG_SIZE)
        units_write_size(value, text);
    else if (row->kind == CONFIG_DURATION)
        units_write_duration(value * row->scale, text);
    buffer_add_string(out_text, text);
}
