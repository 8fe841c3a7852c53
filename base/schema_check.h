/* The checks of any value, and of those that hold others: each of these leads to the first. */
#ifndef SNAKEPIT_BASE_SCHEMA_CHECK_H
#define SNAKEPIT_BASE_SCHEMA_CHECK_H

#include "base/schema_run.h"

/* Checks the value that begins at `at`. True: it fits, and `out_end` is behind it. False: it does
 * not; `out_end` is written only when run_stops() does not say to stop. */
bool schema_check_node(struct run *run, const struct node *node, const struct place *place,
                       const char *at, const char **out_end);

/* The checks of one kind of value by its rules; ends as above. */
bool schema_check_array(struct run *run, const struct array_rules *rules, const struct place *place,
                        const char *at, const char **out_end);
bool schema_check_object(struct run *run, const struct object_rules *rules,
                         const struct place *place, const char *at, const char **out_end);

/* The same for the pairs of names and values that a tagged dict has; `place` is theirs. */
bool schema_check_pairs(struct run *run, const struct object_rules *rules,
                        const struct place *place, struct bytes pairs);

/* The check of what stands for another value, by the node's own rules. */
bool schema_check_tag(struct run *run, const struct node *node, const struct place *place,
                      const struct tag *tag);

#endif
