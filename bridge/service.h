/* The service: what the pool wants of workers, by its runtime port (pool/runtime.h). */
#ifndef SNAKEPIT_BRIDGE_SERVICE_H
#define SNAKEPIT_BRIDGE_SERVICE_H

#include "pool/runtime.h"

/* Of a struct runtime that is the first member of a struct bridge. */
extern const struct runtime_ops bridge_runtime_ops;

#endif
