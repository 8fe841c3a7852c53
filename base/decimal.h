/* Decimal numbers as JSON writes them, compared exactly: no digit is lost to a binary fraction, and
 * 1, 1.0 and 10e-1 are the same. Nothing is allocated: a number stays the text it came in. */
#ifndef SNAKEPIT_BASE_DECIMAL_H
#define SNAKEPIT_BASE_DECIMAL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number as 0.d1d2d3… times ten to the power `high`, with neither zeros in front nor behind;
 * zero has no digits. Exponents beyond ±10^15 count as that. Borrows the text. */
struct decimal {
    bool negative;
    int64_t high;
    size_t count;       /* of digits */
    const char *digits; /* the first one; a point may stand between them */
};

/* The number that `raw` is, a JSON number. */
struct decimal decimal_read(struct bytes raw);

/* Below 0, 0 or above 0, as `a` is less than, equal to or greater than `b`. */
int decimal_compare(const struct decimal *a, const struct decimal *b);

/* True when it has no fraction. */
static inline bool decimal_is_whole(const struct decimal *number)
{
    return number->count == 0 || number->high >= (int64_t)number->count;
}

/* True when the double that is nearest to it is no infinity. */
bool decimal_fits_double(const struct decimal *number);

/* What decimal_is_multiple() divides by. */
struct decimal_divisor {
    uint64_t digits;  /* as a whole number */
    int64_t exponent; /* of ten */
};
enum { DECIMAL_DIVISOR_DIGITS = 18 };

/* False when `number` is not above zero or has more than DECIMAL_DIVISOR_DIGITS digits. */
bool decimal_to_divisor(const struct decimal *number, struct decimal_divisor *out_divisor)
    __attribute__((warn_unused_result));
bool decimal_is_multiple(const struct decimal *number, const struct decimal_divisor *divisor);

/* The same for all texts of the same number. */
uint64_t decimal_hash(const struct decimal *number);

#endif
