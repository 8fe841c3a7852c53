/* The session that a request belongs to. */
#ifndef SNAKEPIT_SERVER_REQUESTS_MEMBERSHIP_H
#define SNAKEPIT_SERVER_REQUESTS_MEMBERSHIP_H

#include "pool/session.h"
#include "server/http/exchange.h"

#include <stdbool.h>

/* The session of that id, in which a call is to be made, with a reference; NULL when `id` is empty.
 * An id of the caller's own choice begins a session if there is none. False: there is no such
 * session, or none can begin; the exchange has been answered. */
bool membership_join(struct exchange *exchange, struct bytes id, struct session **out_session);

/* Why a caller may not choose that id, or NULL. */
const char *membership_fault(struct bytes id);

/* Answers that no session can begin, or be larger, since there are too many or they keep too much.
 */
void membership_refuse_full(struct exchange *exchange, enum session_verdict verdict);

/* Answers that there is no session of that id. */
void membership_refuse_unknown(struct exchange *exchange, struct bytes id);

#endif
