/* A question: a request of Python's for a tool that the caller of a stream runs itself. It goes out
 * as an event `tool_call` and is answered by POST /calls/{id}/tool_results/{n}. */
#ifndef SNAKEPIT_SERVER_TOOL_CALLS_QUESTION_H
#define SNAKEPIT_SERVER_TOOL_CALLS_QUESTION_H

#include "server/tool_calls/tool_request.h"

#include <stdint.h>

struct job;
struct offer;

/* Asks for `offer`, of the job's caller; takes the references to both. Any thread. */
void question_ask(struct tool_request *request, struct job *job, const struct offer *offer);

/* The question of that number, which is out of the job then, with its reference; NULL when there is
 * none, or not any more. Any thread. */
struct tool_request *question_take(struct job *job, uint64_t number);

#endif
