/* SipHash-2-4: a hash whose collisions cannot be made up by those who do not have the key
 * (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). */
#ifndef SNAKEPIT_BASE_SIPHASH_H
#define SNAKEPIT_BASE_SIPHASH_H

#include "base/bytes.h"

#include <stdint.h>

struct siphash_key {
    uint64_t first;
    uint64_t second;
};

/* Any thread. */
uint64_t siphash(const struct siphash_key *key, struct bytes data);

#endif
