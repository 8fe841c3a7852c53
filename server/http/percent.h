/* Percent-encoding (RFC 3986, 2.1) and queries made of it. Pure functions. */
#ifndef SNAKEPIT_SERVER_HTTP_PERCENT_H
#define SNAKEPIT_SERVER_HTTP_PERCENT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"

#include <stdbool.h>

/* Whether each '%' is followed by two hexadecimal digits. */
bool percent_is_good(struct bytes text);

/* The bytes that a text, which is good, stands for: borrowed from it if there is nothing to decode,
 * else in `arena`. */
struct bytes percent_decode(struct bytes text, struct arena *arena);

/* Adds a text as one segment of a path. */
void percent_add(struct buffer *buffer, struct bytes text);

/* Cuts "name=value" and the '&' behind it from the front of a query; in both '+' stands for a space
 * (WHATWG URL, 5.1). False at the end, or, with `rest` not empty, at something that is not good. */
bool percent_next(struct bytes *rest, struct arena *arena, struct bytes *out_name,
                  struct bytes *out_value) __attribute__((warn_unused_result));

#endif
