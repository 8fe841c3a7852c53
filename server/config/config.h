/* The configuration: what may be set, from where, and what holds in the end.
 *
 * One schema (config_schema.h) declares every key. Later sources win: defaults, the file
 * (config_yaml.c), the environment, the command line (options.c). A key `pools: - name: default,
 * max_workers` is SNAKEPIT_POOLS_DEFAULT_MAX_WORKERS in the environment and
 * --pools-default-max-workers on the command line; SNAKEPIT_WORKERS, --workers and the like mean
 * the pool named "default", or the first.
 *
 * One thread, before there are others. */
#ifndef SNAKEPIT_SERVER_CONFIG_CONFIG_H
#define SNAKEPIT_SERVER_CONFIG_CONFIG_H

#include "base/buffer.h"
#include "server/config/config_struct.h"

/* What is wrong, in one line, without the place. Line 0: it has none in the file. */
struct config_fault {
    unsigned line, column;
    char text[1024];
};

/* Defaults, and no pool yet. */
void config_init(struct config *config);
void config_deinit(struct config *config);

/* One more pool with defaults; NULL when there are CONFIG_POOLS_MAX. */
struct pool_config *config_add_pool(struct config *config);

/* One key of the schema: `pool` is NULL for those at the top. */
struct config_row;
struct config_target {
    const struct config_row *row;
    struct pool_config *pool;
    bool brief; /* named without its pool */
};

/* The target number `index`, counted over all rows of all pools there are; false past the last. */
bool config_target_at(struct config *config, size_t index, struct config_target *out_target);

/* Its name in the environment without "SNAKEPIT_": "POOLS_DEFAULT_MAX_WORKERS". */
void config_target_name(const struct config_target *target, char *out_name, size_t size);

/* The target of that name, and if there is none false and the nearest one (row NULL: none is near).
 */
bool config_find(struct config *config, const char *name, struct config_target *out_target);

/* Sets one value from text; the mark says where that was. False, with what it should have been in
 * `out_fault`, and nothing changed. */
bool config_set(struct config *config, const struct config_target *target, struct bytes text,
                struct config_mark mark, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Reads a file's text. The configuration is spoilt when this fails. */
bool config_read(struct config *config, struct bytes text, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Reads the file. */
bool config_load(struct config *config, const char *path, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Fills in what depends on other values, and checks what has to agree. After all sources. */
bool config_finish(struct config *config, struct config_fault *out_fault)
    __attribute__((warn_unused_result));

/* Adds all keys and their values as YAML with comments. */
void config_write(const struct config *config, struct buffer *out_text);

/* --- the parts that the reader of files shares with the rest --- */

/* Sets `out_fault` at that place. Returns false. */
bool config_fault_set(struct config_fault *out_fault, struct config_mark mark, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

#endif
