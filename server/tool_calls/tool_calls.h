/* Calls of tools by tools: what Python asks for while it runs a call. Finds who serves the tool,
 * has it run, and brings the answer back to the worker.
 *
 * Nothing waits here: a call of a tool in a pool is submitted by the bridge thread that read the
 * request, and its answer goes out on the thread that brought it. */
#ifndef SNAKEPIT_SERVER_TOOL_CALLS_TOOL_CALLS_H
#define SNAKEPIT_SERVER_TOOL_CALLS_TOOL_CALLS_H

#include "server/tool_calls/switchboard.h"

/* The port for the bridges. */
struct bridge_port tool_calls_port(struct switchboard *switchboard);

#endif
