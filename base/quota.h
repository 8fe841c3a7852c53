/* A quota: of something, only so many are out at a time. It is counted itself, since what is out
 * may outlive whoever made the quota. Any thread. */
#ifndef SNAKEPIT_BASE_QUOTA_H
#define SNAKEPIT_BASE_QUOTA_H

#include <stdbool.h>

struct quota;

/* With one reference. */
struct quota *quota_new(unsigned limit) __attribute__((returns_nonnull));

/* Drops a reference and clears the pointer; accepts NULL inside. */
void quota_unref(struct quota **quota);

/* One more is out, with a reference; false when as many are as may be. */
bool quota_take(struct quota *quota) __attribute__((warn_unused_result));

/* One is back; drops its reference and clears the pointer. */
void quota_give(struct quota **quota);

#endif
