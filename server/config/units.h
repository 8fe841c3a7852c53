/* Durations, sizes and percentages as people write them in a configuration. */
#ifndef SNAKEPIT_SERVER_CONFIG_UNITS_H
#define SNAKEPIT_SERVER_CONFIG_UNITS_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNITS_TEXT_MAX = 32 };

/* Digits alone. All readers: false when it is anything else or does not fit 64 bits. */
bool units_read_number(struct bytes text, uint64_t *out_number) __attribute__((warn_unused_result));

/* "250ms", "1.5 s", "5m", "1h30m", "1d 6h"; units us, ms, s, m, h, d, w and their names, also in
 * the plural, the larger ones first. A number without a unit counts `plain_us` each, and stands
 * alone; 0: only "0" may go without. */
bool units_read_duration(struct bytes text, uint64_t plain_us, uint64_t *out_us)
    __attribute__((warn_unused_result));

/* "512k", "64MiB", "1.5GB"; k, Ki and KiB are 1024 bytes, kB is 1000, likewise M, G and T; b or
 * nothing is bytes, or `plain` bytes each. */
bool units_read_size(struct bytes text, uint64_t plain, uint64_t *out_bytes)
    __attribute__((warn_unused_result));

/* "10%" or "10". */
bool units_read_percent(struct bytes text, uint64_t *out_percent)
    __attribute__((warn_unused_result));

/* The shortest exact form that the readers take back. At most UNITS_TEXT_MAX bytes with the zero.
 */
void units_write_duration(uint64_t us, char *out_text);
void units_write_size(uint64_t size, char *out_text);

#endif
