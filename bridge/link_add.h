/* What is said to a worker by its link. Any thread, while others read and write (link.c). */
#ifndef SNAKEPIT_BRIDGE_LINK_ADD_H
#define SNAKEPIT_BRIDGE_LINK_ADD_H

#include "bridge/frame.h"

struct link;

/* Add to the frame that is being filled, see frame.h, unless large values have to go before (see
 * outlet.h). Nothing happens on a link that is over. */
void link_add_invoke(struct link *link, uint64_t call_id, const struct call *call,
                     uint64_t remaining_us, bool session_begins);
void link_add_ended_session(struct link *link, struct bytes id);
void link_add_cancel(struct link *link, uint64_t call_id);
void link_add_recall(struct link *link, uint64_t call_id);
void link_add_credit(struct link *link, uint64_t call_id, uint64_t bytes);
void link_add_tool_reply(struct link *link, const struct tool_reply *reply);
void link_add_session_reply(struct link *link, const struct session_reply *reply);
void link_add_invalidation(struct link *link, uint64_t session, uint64_t revision);
void link_add_ping(struct link *link, uint64_t sequence);
void link_add_stop(struct link *link, uint64_t grace_us, bool refork);

#endif
