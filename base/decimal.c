#include "base/decimal.h"

static const int64_t exponent_most = 1000000000000000;

static inline bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int64_t read_exponent(const char *at, const char *end)
{
    if (at == end)
        return 0;
    bool negative = at[1] == '-';
    int64_t exponent = 0;
    for (at += 1 + (negative || at[1] == '+'); at < end; at++) {
        if (exponent < exponent_most)
            exponent = exponent * 10 + (*at - '0');
    }
    if (exponent > exponent_most)
        exponent = exponent_most;
    return negative ? -exponent : exponent;
}

struct decimal decimal_read(struct bytes raw)
{
    const char *at = raw.data, *end = raw.data + raw.len;
    struct decimal number = {.negative = at < end && *at == '-'};
    int64_t place = 0, point = -1; /* digits before this one, and before the point */
    int64_t first = 0, last = 0;
    for (at += number.negative; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            point = place;
            continue;
        }
        if (*at != '0') {
            if (!number.digits) {
                number.digits = at;
                first = place;
            }
            last = place;
        }
        place++;
    }
    if (!number.digits)
        return (struct decimal){0};
    number.count = (size_t)(last - first + 1);
    number.high = (point < 0 ? place : point) - first + read_exponent(at, end);
    return number;
}

/* The digit at `*at`, past the point if need be; moves on. */
static inline int take_digit(const char **at)
{
    if (**at == '.')
        (*at)++;
    return *(*at)++ - '0';
}

static int compare_sizes(const struct decimal *a, const struct decimal *b)
{
    if (a->high != b->high)
        return a->high < b->high ? -1 : 1;
    size_t both = a->count < b->count ? a->count : b->count;
    const char *left = a->digits, *right = b->digits;
    for (size_t i = 0; i < both; i++) {
        int difference = take_digit(&left) - take_digit(&right);
        if (difference)
            return difference;
    }
    return (a->count > b->count) - (a->count < b->count);
}

static int sign(const struct decimal *number)
{
    if (number->count == 0)
        return 0;
    return number->negative ? -1 : 1;
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    int left = sign(a), right = sign(b);
    if (left != right)
        return left - right;
    return left * (left ? compare_sizes(a, b) : 0);
}

bool decimal_fits_double(const struct decimal *number)
{
    /* 2^1024 - 2^970, which is half a step above the largest double, to 21 digits */
    const struct decimal bound = decimal_read(BYTES("1.79769313486231580793e308"));
    struct decimal size = *number;
    size.negative = false;
    return size.high < bound.high || decimal_compare(&size, &bound) < 0;
}

bool decimal_to_divisor(const struct decimal *number, struct decimal_divisor *out_divisor)
{
    if (sign(number) <= 0 || number->count > DECIMAL_DIVISOR_DIGITS)
        return false;
    uint64_t digits = 0;
    const char *at = number->digits;
    for (size_t i = 0; i < number->count; i++)
        digits = digits * 10 + (uint64_t)take_digit(&at);
    *out_divisor = (struct decimal_divisor){digits, number->high - (int64_t)number->count};
    return true;
}

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t)((unsigned __int128)a * b % modulus);
}

static uint64_t ten_to(int64_t exponent, uint64_t modulus)
{
    uint64_t result = 1 % modulus;
    for (uint64_t base = 10 % modulus; exponent > 0; exponent /= 2) {
        if (exponent % 2)
            result = multiply(result, base, modulus);
        base = multiply(base, base, modulus);
    }
    return result;
}

/* Without the zeros behind, no number is a multiple of ten: where the divisor's exponent is the
 * larger one there is nothing to divide. Remainders stay below 10^18, so that the next digit fits
 * in 64 bits. */
bool decimal_is_multiple(const struct decimal *number, const struct decimal_divisor *divisor)
{
    int64_t exponent = number->high - (int64_t)number->count - divisor->exponent;
    if (number->count == 0)
        return true;
    if (exponent < 0)
        return false;
    uint64_t rest = 0;
    const char *at = number->digits;
    for (size_t i = 0; i < number->count; i++)
        rest = (rest * 10 + (uint64_t)take_digit(&at)) % divisor->digits;
    return multiply(rest, ten_to(exponent, divisor->digits), divisor->digits) == 0;
}

uint64_t decimal_hash(const struct decimal *number)
{
    uint64_t hash = (uint64_t)sign(number) * 31 + (uint64_t)number->high;
    const char *at = number->digits;
    for (size_t i = 0; i < number->count; i++)
        hash = (hash ^ (uint64_t)take_digit(&at)) * 0x100000001b3u;
    return hash;
}
