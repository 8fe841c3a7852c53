/* A callout: an exchange that waits for a tool that was registered, and runs somewhere else. It has
 * that run (callbacks.h), turns what comes of it into the answer, and gives it up when the client
 * leaves. No worker, queue or pool has to do with it. */
#ifndef SNAKEPIT_SERVER_CALLOUT_H
#define SNAKEPIT_SERVER_CALLOUT_H

#include "pool/session.h"
#include "server/invocation.h"
#include "server/origin.h"
#include "server/toolbox.h"

/* Runs `tool` as the request wants it, and answers the exchange, now (a problem) or when it is
 * done. Takes the references to the tool and to the session, which may be NULL, and the exchange's
 * body, in which the arguments may lie. */
void callout_start(struct exchange *exchange, const struct invocation_request *request,
                   const struct origin *origin, struct callback_tool *tool, struct session *session,
                   enum result_shape shape);

#endif
