/* Callbacks: runs of tools that are somewhere else and are asked by HTTP, POST to the URL that was
 * registered; for a client of the gateway (callout.h), or for a tool (tool_calls.h).
 *
 * A courier of their own sends them (courier.h); only what the operator allows is called. */
#ifndef SNAKEPIT_SERVER_TOOLS_CALLBACKS_H
#define SNAKEPIT_SERVER_TOOLS_CALLBACKS_H

#include "base/list.h"
#include "pool/pool.h"
#include "server/outbound/courier.h"
#include "server/tools/toolbox.h"

#include <stddef.h>
#include <stdint.h>

struct callbacks;
struct callback_run;

struct callback_options {
    const char *allow;     /* "host,host:port,*.domain"; borrowed; NULL or empty: nothing */
    unsigned limit;        /* tools that may be registered */
    unsigned pending;      /* runs that clients may wait for at once */
    unsigned connections;  /* at once, half of them to one host */
    uint64_t timeout_us;   /* of each, if the tool has none of its own */
    size_t response_limit; /* bytes of an answer */
};

/* Starts their courier, if anything may be called. Borrows the options. */
struct callbacks *callbacks_start(const struct callback_options *options)
    __attribute__((returns_nonnull));

/* Ends it, once nobody waits for any of them any more. Clears the pointer, accepts NULL. */
void callbacks_stop(struct callbacks **callbacks);

/* Why that URL may not be called, or NULL; `out_status` is then 400 or 403. Any thread. */
const char *callbacks_fault(const struct callbacks *callbacks, const char *url,
                            unsigned *out_status);

/* How a run ended. */
enum callback_end {
    CALLBACK_RESULT,
    CALLBACK_FAILURE,     /* a status from 400 on, or an answer that is none */
    CALLBACK_UNREACHABLE, /* no answer */
    CALLBACK_TIMEOUT,     /* not in time */
    CALLBACK_CANCELLED,   /* nobody waits any more */
};
enum { CALLBACK_ENDS = CALLBACK_CANCELLED + 1 };

/* What came of it. Texts that live as long as on_done() runs. */
struct callback_answer {
    enum callback_end end;
    struct bytes body;         /* of a result */
    struct bytes content_type; /* of that; empty means JSON */
    const char *code;          /* of the others, which have no body */
    unsigned status;
    struct bytes message;
    struct bytes details;   /* the callback's problem document, or empty */
    unsigned retry_after_s; /* when it wants to be asked again, of a 429 or 503; or 0 */
    enum call_executed executed;
    uint64_t run_us;
};

/* Who asks, as the metrics have it. */
enum callback_asker { CALLBACK_OF_CLIENT, CALLBACK_OF_TOOL };
enum { CALLBACK_ASKERS = CALLBACK_OF_TOOL + 1 };

struct callback_run_ops {
    /* Once, on the courier's thread, with a reference held meanwhile. */
    void (*on_done)(struct callback_run *run, const struct callback_answer *answer);
    void (*ref)(struct callback_run *run);
    void (*unref)(struct callback_run *run);
};

/* One run of one tool, embedded in what its maker knows of it. */
struct callback_run {
    /* Set by the maker; what the bytes lie in lives as long as there are references. */
    const struct callback_run_ops *ops;
    struct callbacks *callbacks;
    struct callback_tool *tool; /* a reference of the maker's */
    enum callback_asker asker;
    struct bytes args; /* JSON, or empty: none */
    struct bytes session_id, request_id, correlation_id, traceparent, tracestate;
    unsigned depth;      /* of the call that asks */
    uint64_t timeout_us; /* 0: the maker looks after the time */

    /* Of the callbacks: */
    struct outgoing outgoing;
    uint64_t started_us;
    struct list place; /* of a client's, among those; under the lock */
    uint64_t number;   /* of a client's, among those there have been */
};

/* Runs it; takes a reference until it is done. False: clients wait for as many as they may, and
 * nothing happens. Any thread. */
bool callbacks_run(struct callback_run *run) __attribute__((warn_unused_result));

/* Nobody waits for it any more: it ends now as CANCELLED, if it has not ended, or will end so when
 * it is run. Any thread, while the caller has a reference. */
void callbacks_cancel(struct callback_run *run);

/* The same for the client's of that request id. False: there is none. */
bool callbacks_cancel_request(struct callbacks *callbacks, struct bytes request_id);

/* The same for all that run for clients. */
void callbacks_cancel_all(struct callbacks *callbacks);

/* Whether a client's that was run, or could not be, has ended. */
bool callbacks_has_ended(const struct callback_run *run);

/* Writes up to `max` of those that run for clients and whose number is above `after`, the oldest
 * first; returns how many. */
unsigned callbacks_look(struct callbacks *callbacks, uint64_t after, struct call_view *out_views,
                        unsigned max);

/* Writes down one of that request id, if there is one; returns how many there are. */
unsigned callbacks_look_at(struct callbacks *callbacks, struct bytes request_id,
                           struct call_view *out_view);

/* How many run for clients, and how many of each asker's have ended so. */
unsigned callbacks_running(struct callbacks *callbacks);
uint64_t callbacks_count(const struct callbacks *callbacks, enum callback_asker asker,
                         enum callback_end end);

#endif
