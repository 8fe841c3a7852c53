/* What a fuzz target is: one function over one input, for libFuzzer, for replay_main.c and for
 * tests that make up inputs of their own. It aborts when a property does not hold. */
#ifndef SNAKEPIT_TESTS_FUZZ_FUZZ_H
#define SNAKEPIT_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Borrows `data`; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_require(bool holds, const char *property)
{
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", property);
        abort();
    }
}

#endif
