/* What Python does with the variables of sessions. */
#ifndef SNAKEPIT_BRIDGE_SESSION_OP_H
#define SNAKEPIT_BRIDGE_SESSION_OP_H

#include "bridge/link.h"
#include "pool/session.h"

/* Does it, and adds the reply to the link's frame. `reader`: the worker that asks. Any thread. */
void session_op_answer(struct session_store *store, const struct variables_reader *reader,
                       const struct session_op *op, struct link *link);

#endif
