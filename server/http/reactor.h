/* A thread that serves HTTP connections: one libuv loop with tenants (reactor_hooks.h), which are a
 * listening socket, an HTTP/1 engine and HTTP/2 sessions. A connection lives and dies on one
 * reactor, and so does every exchange on it.
 *
 * A turn of the loop: mail and socket events first, then all reading and answering that follows
 * from them, then on_turn_end once, then sleep. */
#ifndef SNAKEPIT_SERVER_HTTP_REACTOR_H
#define SNAKEPIT_SERVER_HTTP_REACTOR_H

#include "base/bytes.h"
#include "base/mailbox.h"
#include "server/http/http_options.h"
#include "server/http/http_stats.h"
#include "server/http/reactor_hooks.h"
#include "server/http/router.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct reactor;

/* Makes a reactor that does nothing yet; listener_start() has it serve. Borrows `router` until
 * reactor_free(). `connection_count` is shared by the reactors that share
 * http_options.connection_limit; NULL: its own. Returns owned. */
struct reactor *reactor_new(const struct http_options *options, const struct router *router,
                            const struct reactor_hooks *hooks, _Atomic unsigned *connection_count)
    __attribute__((returns_nonnull));

/* Starts the thread, named "reactor". Aborts when the system has no thread or descriptor left. */
void reactor_start(struct reactor *reactor);

/* Closes the listening socket; connections go on. Any thread; returns at once. */
void reactor_stop_accepting(struct reactor *reactor);

/* Begins the end: stops accepting, tells HTTP/2 peers to go away, closes idle connections and each
 * other one after the answers it owes. After `grace_ms` milliseconds whatever is left is cut off,
 * its exchanges gone. Then the thread ends. Any thread; returns at once; a second call can only
 * shorten the grace. */
void reactor_stop(struct reactor *reactor, unsigned grace_ms);

/* Waits for the thread to end. Mail posted until then has been handed out. */
void reactor_join(struct reactor *reactor);

/* After reactor_join(), or when it never had tenants. */
void reactor_free(struct reactor **reactor);

/* Where other threads post what shall be opened (mail->open) on this reactor's thread. Posting
 * after reactor_join() is for nobody. */
struct mailbox *reactor_inbox(struct reactor *reactor);

/* What it was made with. */
void *reactor_context(const struct reactor *reactor);
const struct http_options *reactor_options(const struct reactor *reactor);
const struct router *reactor_router(const struct reactor *reactor);

/* Lives as long as the reactor. Any thread, as http_stats.h says. */
struct http_stats *reactor_stats(struct reactor *reactor);

/* Accounts for a body of that many bytes that is kept in memory; false, and nothing changed, when
 * that would pass http_options.memory_limit. What was held is released in the end. Reactor thread.
 */
bool reactor_hold(struct reactor *reactor, size_t bytes) __attribute__((warn_unused_result));
void reactor_release(struct reactor *reactor, size_t bytes);

/* Accounts for a body that has a descriptor of its own; false when there are enough of them. */
bool reactor_hold_descriptor(struct reactor *reactor) __attribute__((warn_unused_result));
void reactor_release_descriptor(struct reactor *reactor);

/* A new request id, 24 hex digits, unique among processes by chance: a random prefix and a counter.
 * Written to `out_id`, not terminated. Reactor thread. */
enum { REACTOR_ID_LEN = 24 };
void reactor_next_id(struct reactor *reactor, char out_id[REACTOR_ID_LEN]);

#endif
