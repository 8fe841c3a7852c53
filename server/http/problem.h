/* Error answers: problem documents of RFC 9457. */
#ifndef SNAKEPIT_SERVER_HTTP_PROBLEM_H
#define SNAKEPIT_SERVER_HTTP_PROBLEM_H

#include "server/http/exchange.h"
#include "server/http/problem_text.h"

/* Answers `exchange` with the problem. Same rules as exchange_respond(). */
void problem_respond(struct exchange *exchange, const struct problem *problem);

#endif
