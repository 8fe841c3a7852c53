/* The toolbox: tools that callers have registered, and run by HTTP when Python calls them. Some are
 * for all, others for the calls of a session, with which they end. A monitor; any thread. */
#ifndef SNAKEPIT_SERVER_TOOLS_TOOLBOX_H
#define SNAKEPIT_SERVER_TOOLS_TOOLBOX_H

#include "base/arena.h"
#include "server/tools/offer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct session;
struct toolbox;

/* One tool, counted. Constant; its texts lie in `arena`. */
struct callback_tool {
    atomic_uint references;
    struct arena *arena;
    struct toolbox *toolbox;
    struct offer offer;
    struct bytes url;
    struct bytes secret;  /* sent as a bearer token, shown to nobody; or empty */
    uint64_t timeout_us;  /* 0: that of all callbacks */
    struct bytes session; /* id, or empty */

    struct callback_tool *next; /* the toolbox's */
};

/* `limit`: tools at once. */
struct toolbox *toolbox_new(unsigned limit) __attribute__((returns_nonnull));

/* Once there are neither sessions nor calls. */
void toolbox_free(struct toolbox **toolbox);

/* A tool with one reference, not registered; all is copied. */
struct callback_tool *callback_tool_new(struct toolbox *toolbox, const struct offer *offer,
                                        struct bytes url, struct bytes secret, uint64_t timeout_us)
    __attribute__((returns_nonnull));
void callback_tool_unref(struct callback_tool **tool);

enum toolbox_verdict { TOOLBOX_ADDED, TOOLBOX_DUPLICATE, TOOLBOX_FULL };

/* Registers all of them or none, for `session` or, if that is NULL, for all calls; takes the
 * references of those that it adds. With DUPLICATE `out_index` is that of the one whose name is
 * taken. */
enum toolbox_verdict toolbox_add(struct toolbox *toolbox, struct session *session,
                                 struct callback_tool **tools, size_t count, size_t *out_index);

/* Takes one out. False: there is none. */
bool toolbox_remove(struct toolbox *toolbox, struct session *session, struct bytes name);

/* The tool of that name, of the session or, if that is NULL, of all, with a reference; or NULL. */
struct callback_tool *toolbox_find(struct toolbox *toolbox, struct session *session,
                                   struct bytes name);

/* Writes references to up to `max` of them, in no order; returns how many. */
size_t toolbox_list(struct toolbox *toolbox, struct session *session,
                    struct callback_tool **out_tools, size_t max);

#endif
