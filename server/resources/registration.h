/* Tools that callers register, as they are shown. */
#ifndef SNAKEPIT_SERVER_RESOURCES_REGISTRATION_H
#define SNAKEPIT_SERVER_RESOURCES_REGISTRATION_H

#include "base/buffer.h"
#include "server/http/exchange.h"
#include "server/tools/toolbox.h"

/* Adds the tool as GET /tools has it: without its secret, and without its address. */
void registration_write(const struct callback_tool *tool, struct buffer *out_text);

/* The session that the query names (session_id=), with a reference; NULL when it names none. False:
 * there is no such session, or the query is wrong, and the exchange has been answered. */
bool registration_session(struct exchange *exchange, struct session **out_session)
    __attribute__((warn_unused_result));

#endif
