/* One value of the configuration, from text and to text, by the kind of its row. */
#ifndef SNAKEPIT_SERVER_CONFIG_CONFIG_VALUE_H
#define SNAKEPIT_SERVER_CONFIG_CONFIG_VALUE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "server/config/config_schema.h"

/* Reads `text` into the row's member of the struct at `base`. `plain`: what a number without a unit
 * counts, in microseconds or bytes; 0: a unit is required. False, and nothing changed, when it is
 * wrong. */
bool config_value_set(const struct config_row *row, void *base, struct bytes text, uint64_t plain,
                      struct arena *arena) __attribute__((warn_unused_result));

/* Writes what such a value has to be: "a duration from 1ms to 1d, such as 250ms, 30s or 5m". */
void config_value_expected(const struct config_row *row, struct bytes text, char *out_text,
                           size_t size);

/* Adds the member's value in a form that the setter takes back; nothing when it has none. */
void config_value_write(const struct config_row *row, const void *base, struct buffer *out_text);

/* What a number without a unit counts where the row does not say: milliseconds, bytes. */
uint64_t config_value_plain(const struct config_row *row);

#endif
