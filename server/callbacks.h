/* Callbacks: tools that run somewhere else and are asked by HTTP, POST to the URL that was
 * registered.
 *
 * One thread has them all, with libcurl's multi interface: what a resolver, a TLS handshake or a
 * slow peer costs there holds up no reactor. Redirects are not followed, proxies of the environment
 * not used, and only what the operator allows is called. */
#ifndef SNAKEPIT_SERVER_CALLBACKS_H
#define SNAKEPIT_SERVER_CALLBACKS_H

#include "server/tool_request.h"
#include "server/toolbox.h"

#include <stddef.h>
#include <stdint.h>

struct callbacks;

struct callback_options {
    const char *allow;     /* "host,host:port,*.domain"; borrowed; NULL or empty: nothing */
    unsigned limit;        /* tools that may be registered */
    uint64_t timeout_us;   /* of each, if the tool has none of its own */
    size_t response_limit; /* bytes of an answer */
};

/* Starts the thread. Before it there are no others. Borrows the options. */
struct callbacks *callbacks_start(const struct callback_options *options)
    __attribute__((returns_nonnull));

/* Ends it, once nobody waits for any of them any more. Clears the pointer, accepts NULL. */
void callbacks_stop(struct callbacks **callbacks);

/* Why that URL may not be called, or NULL; `out_status` is then 400 or 403. A pure function. */
const char *callbacks_fault(const struct callback_options *options, const char *url,
                            unsigned *out_status);

/* Runs `tool` for the request; takes the references to both. Any thread. */
void callbacks_run(struct callbacks *callbacks, struct tool_request *request,
                   struct callback_tool *tool);

#endif
