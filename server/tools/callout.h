/* Callouts: calls of tools that were registered, and run somewhere else. What a pool is to other
 * calls this is to them: has them run (callbacks.h), and posts each, with its outcome, to its home.
 * No worker, queue or pool has to do with them. */
#ifndef SNAKEPIT_SERVER_TOOLS_CALLOUT_H
#define SNAKEPIT_SERVER_TOOLS_CALLOUT_H

#include "pool/call.h"
#include "pool/tool.h"
#include "server/requests/gateway.h"

struct callback_tool;

/* The tool for one call that is made in the same arena; it has no pool. Takes the reference. */
struct tool *callout_new(struct arena *arena, const struct gateway *gateway,
                         struct callback_tool *callback) __attribute__((returns_nonnull));

/* Has the call of such a tool run; or refuses it, which is an outcome, too. Any thread. */
void callout_submit(struct call *call);

/* Nobody wants it any more: it ends as CANCELLED, unless it has ended. Any thread. */
void callout_cancel(struct call *call);

/* Whether it is run no more. */
bool callout_has_ended(const struct call *call);

#endif
