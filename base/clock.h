/* Monotonic time. */
#ifndef SNAKEPIT_BASE_CLOCK_H
#define SNAKEPIT_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds since an arbitrary start; never goes back. Any thread. */
uint64_t clock_now_us(void);

/* The same of the processor time that this thread has used. */
uint64_t clock_processor_us(void);

#endif
