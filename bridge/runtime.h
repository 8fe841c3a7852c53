/* The pool's runtime port, see pool/runtime.h, as the bridge implements it. */
#ifndef SNAKEPIT_BRIDGE_RUNTIME_H
#define SNAKEPIT_BRIDGE_RUNTIME_H

#include "pool/runtime.h"

/* Of a struct runtime that is the first member of a struct bridge. */
extern const struct runtime_ops bridge_runtime_ops;

#endif
