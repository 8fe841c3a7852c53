#include "server/config/units.h"

#include <ctype.h>
#include <stdio.h>

enum { FRACTION_DIGITS = 9 };

struct unit {
    const char *name;
    uint64_t factor;
};

/* The first of a factor is what is written. */
static const struct unit durations[] = {
    {"d", UINT64_C(86400000000)},
    {"day", UINT64_C(86400000000)},
    {"days", UINT64_C(86400000000)},
    {"w", UINT64_C(604800000000)}, /* is written in days */
    {"week", UINT64_C(604800000000)},
    {"weeks", UINT64_C(604800000000)},
    {"h", UINT64_C(3600000000)},
    {"hr", UINT64_C(3600000000)},
    {"hour", UINT64_C(3600000000)},
    {"hours", UINT64_C(3600000000)},
    {"m", 60000000},
    {"min", 60000000},
    {"mins", 60000000},
    {"minute", 60000000},
    {"minutes", 60000000},
    {"s", 1000000},
    {"sec", 1000000},
    {"secs", 1000000},
    {"second", 1000000},
    {"seconds", 1000000},
    {"ms", 1000},
    {"millisecond", 1000},
    {"milliseconds", 1000},
    {"us", 1},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"TiB", UINT64_C(1) << 40},
    {"Ti", UINT64_C(1) << 40},
    {"T", UINT64_C(1) << 40},
    {"TB", UINT64_C(1000000000000)},
    {"GiB", 1 << 30},
    {"Gi", 1 << 30},
    {"G", 1 << 30},
    {"GB", 1000000000},
    {"MiB", 1 << 20},
    {"Mi", 1 << 20},
    {"M", 1 << 20},
    {"MB", 1000000},
    {"KiB", 1 << 10},
    {"Ki", 1 << 10},
    {"K", 1 << 10},
    {"kB", 1000},
    {"B", 1},
    {NULL, 0},
};

static bool find_factor(const struct unit *units, struct bytes name, uint64_t *out_factor)
{
    for (; units->name; units++) {
        if (bytes_equal_nocase(bytes_of(units->name), name)) {
            *out_factor = units->factor;
            return true;
        }
    }
    return false;
}

static size_t count_digits(struct bytes text)
{
    size_t count = 0;
    while (count < text.len && isdigit((unsigned char)text.data[count]))
        count++;
    return count;
}

bool units_read_number(struct bytes text, uint64_t *out_number)
{
    uint64_t number = 0;
    if (text.len == 0 || count_digits(text) != text.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number))
            return false;
    }
    *out_number = number;
    return true;
}

/* The digits behind a decimal point, times the factor. What is smaller than one is cut off. */
static bool read_fraction(struct bytes digits, uint64_t factor, uint64_t *out_value)
{
    uint64_t number = 0, scale = 1;
    if (digits.len > FRACTION_DIGITS || (digits.len && !units_read_number(digits, &number)))
        return false;
    for (size_t i = 0; i < digits.len; i++)
        scale *= 10;
    *out_value = (uint64_t)((unsigned __int128)number * factor / scale);
    return true;
}

/* `factor`: what a number without a unit counts; then, what it has counted. */
static bool read_quantity(struct bytes text, const struct unit *units, uint64_t *factor,
                          uint64_t *out_value)
{
    uint64_t whole, part, plain = *factor;
    struct bytes fraction = {0};
    size_t digits = count_digits(text);
    if (!units_read_number(bytes_from(text.data, digits), &whole))
        return false;
    text = bytes_skip(text, digits);
    if (text.len > 1 && text.data[0] == '.') {
        text = bytes_skip(text, 1);
        fraction = bytes_from(text.data, count_digits(text));
        if (fraction.len == 0)
            return false;
        text = bytes_skip(text, fraction.len);
    }
    while (text.len && text.data[0] == ' ')
        text = bytes_skip(text, 1);
    if (text.len ? !find_factor(units, text, factor) : plain == 0 && (whole || fraction.len))
        return false;
    return read_fraction(fraction, *factor, &part) &&
           !__builtin_mul_overflow(whole, *factor, &whole) &&
           !__builtin_add_overflow(whole, part, out_value);
}

/* Of "1h 30m" the "1h": up to where a unit is followed by another number. */
static size_t part_length(struct bytes text)
{
    size_t length = 0;
    while (length < text.len && !isalpha((unsigned char)text.data[length]))
        length++;
    while (length < text.len && isalpha((unsigned char)text.data[length]))
        length++;
    return length;
}

bool units_read_duration(struct bytes text, uint64_t plain_us, uint64_t *out_us)
{
    uint64_t total = 0, before = UINT64_MAX;
    struct bytes rest = text;
    do {
        struct bytes part = bytes_from(rest.data, part_length(rest));
        uint64_t factor = part.len == text.len ? plain_us : 0, value;
        if (!read_quantity(part, durations, &factor, &value) || factor >= before ||
            (factor == 0 && part.len < text.len) || __builtin_add_overflow(total, value, &total))
            return false;
        before = factor;
        rest = bytes_skip(rest, part.len);
        if (rest.len > 1 && rest.data[0] == ' ')
            rest = bytes_skip(rest, 1);
    } while (rest.len);
    *out_us = total;
    return true;
}

bool units_read_size(struct bytes text, uint64_t plain, uint64_t *out_bytes)
{
    return read_quantity(text, sizes, &plain, out_bytes);
}

bool units_read_percent(struct bytes text, uint64_t *out_percent)
{
    if (text.len > 1 && text.data[text.len - 1] == '%')
        text.len--;
    return units_read_number(text, out_percent);
}

static void write_quantity(uint64_t value, const struct unit *units, char *out_text)
{
    while (units[1].name && (value < units->factor || value % units->factor))
        units++;
    snprintf(out_text, UNITS_TEXT_MAX, "%llu%s", (unsigned long long)(value / units->factor),
             value ? units->name : "");
}

void units_write_duration(uint64_t us, char *out_text)
{
    write_quantity(us, durations, out_text);
}

void units_write_size(uint64_t size, char *out_text)
{
    write_quantity(size, sizes, out_text);
}
