/* One request of Python's for a tool, from the frame that brought it to the reply. */
#ifndef SNAKEPIT_SERVER_TOOL_CALLS_TOOL_REQUEST_H
#define SNAKEPIT_SERVER_TOOL_CALLS_TOOL_REQUEST_H

#include "base/schema.h"
#include "bridge/bridge.h"
#include "pool/nested.h"
#include "server/tool_calls/switchboard.h"
#include "server/tools/callbacks.h"

#include <stdatomic.h>
#include <stdbool.h>

/* It lies in the arena of its frame. While it is served it has two references: one goes with the
 * nested_begin() of its parent, to be dropped by whoever is told of the end, the other is that of
 * whoever serves it. */
struct tool_request {
    struct nested nested; /* first */
    atomic_uint references;
    struct switchboard *switchboard;
    struct arena *memory;     /* a reference */
    struct pool *pool;        /* of the parent */
    struct worker_ref worker; /* that asks */
    struct call *parent;      /* a reference */
    struct tool_call asked;

    /* Of who serves it: */
    atomic_bool given_up;
    struct call *call;       /* a nested one */
    struct job *job;         /* whose reader is asked, a reference */
    struct list waiting;     /* among the questions of that job, under its lock */
    uint64_t number;         /* of these */
    struct callback_run run; /* of a tool that is elsewhere, with a reference to that */
};

/* Why a request is refused, or fails; texts that live until it is answered. */
struct refusal {
    const char *type;
    const char *code;
    unsigned status;
    struct bytes message;
    struct bytes details; /* JSON or empty */
};

/* A request with one reference. `asked` lies in `memory`. */
struct tool_request *tool_request_new(struct switchboard *switchboard, struct call *parent,
                                      struct worker_ref worker, const struct tool_call *asked,
                                      struct arena *memory) __attribute__((returns_nonnull));
void tool_request_ref(struct tool_request *request);
void tool_request_unref(struct tool_request *request);

/* Whether the arguments are for a tool of that schema, which may be NULL; bytes that are not JSON
 * are for any tool, unless `json_only`. False, and why: texts in the request. Bridge thread. */
bool tool_request_suits(struct tool_request *request, const struct schema *schema, bool json_only,
                        struct refusal *out_why) __attribute__((warn_unused_result));

/* The parent begins to wait, see nested_begin(); takes a reference for it. NULL, or why it may
 * not. */
const struct refusal *tool_request_begin(struct tool_request *request, uint64_t *out_left_us,
                                         uint64_t *out_number) __attribute__((warn_unused_result));

/* It has its answer; drops the reference of tool_request_begin(). False: it was given up before,
 * and nothing must be replied. */
bool tool_request_end(struct tool_request *request) __attribute__((warn_unused_result));

/* Replies, and counts that. */
void tool_request_succeed(struct tool_request *request, struct bytes body,
                          struct bytes content_type);
/* The same with the result of a nested call. */
void tool_request_pass_on(struct tool_request *request, const struct call_outcome *outcome);
void tool_request_fail(struct tool_request *request, const struct call_failure *failure);
void tool_request_refuse(struct tool_request *request, const struct refusal *why);

#endif
