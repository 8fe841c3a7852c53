/* The courier: HTTP requests that the gateway itself sends.
 *
 * One thread has them all, with a libuv loop that drives libcurl: what a resolver, a TLS handshake
 * or a slow peer costs there holds up no reactor. Each request goes out once at most, over a
 * connection of its own. Redirects are not followed, proxies of the environment not used. */
#ifndef SNAKEPIT_SERVER_OUTBOUND_COURIER_H
#define SNAKEPIT_SERVER_OUTBOUND_COURIER_H

#include "base/buffer.h"
#include "base/mailbox.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct courier;
struct curl_slist;
struct libcurl;
struct outgoing;

/* How a request ended. */
enum outgoing_end {
    OUTGOING_ANSWERED,  /* with any status */
    OUTGOING_TOO_LARGE, /* the answer does not fit */
    OUTGOING_FAILED,    /* there was no connection, or it broke */
    OUTGOING_TIMED_OUT, /* not done in time */
    OUTGOING_CANCELLED,
};

enum outgoing_state {
    OUTGOING_NEW,      /* zeroed */
    OUTGOING_POSTED,   /* to the courier's thread, or done */
    OUTGOING_UNWANTED, /* cancelled, before or after that */
};

struct outgoing_ops {
    /* Once, on the courier's thread, with a reference held meanwhile. */
    void (*on_done)(struct outgoing *outgoing);
    void (*ref)(struct outgoing *outgoing);
    void (*unref)(struct outgoing *outgoing);
};

/* A POST and its answer, embedded in what its maker knows of it; zeroed at first. */
struct outgoing {
    /* Set by the maker; the courier frees the body and the headers. */
    const struct outgoing_ops *ops;
    const char *url; /* borrowed until it is done */
    struct buffer body;
    struct curl_slist *headers; /* see courier_add_header() */
    uint64_t timeout_us;        /* 0: none */

    /* What came of it, as long as on_done() runs: */
    enum outgoing_end end;
    unsigned status;           /* of ANSWERED, like the next */
    struct bytes content_type; /* empty: it does not say */
    uint64_t retry_after_s;    /* of its Retry-After, or 0 */
    struct buffer answer;      /* the maker sets a ceiling */
    const char *fault;         /* of FAILED, static */
    bool sent;                 /* something of it, so that it may have had effects */

    /* Of the courier: */
    struct courier *courier;
    _Atomic enum outgoing_state state;
    struct mail start, cancel;
    struct transfer *transfer; /* while it is under way; the thread's own */
};

/* Starts the thread. `connections` there may be at once, half of them to one host; what is more
 * waits. Before it there are no other threads. NULL: libcurl is not there, which the log says. */
struct courier *courier_start(unsigned connections) __attribute__((warn_unused_result));

/* Ends it, once nothing is under way any more. Clears the pointer, accepts NULL. */
void courier_stop(struct courier **courier);

/* Its libcurl, to take URLs apart with. Any thread. */
const struct libcurl *courier_libcurl(const struct courier *courier);

/* Adds a header line to a request that has not been sent. Leaves out a value that is empty, or
 * holds what might end the line: it may be anybody's text. Any thread. */
void courier_add_header(const struct courier *courier, struct outgoing *outgoing, const char *name,
                        struct bytes value);

/* Sends it; takes a reference until it is done. Any thread. */
void courier_send(struct courier *courier, struct outgoing *outgoing);

/* Nobody waits for it any more: it ends now as CANCELLED, if it has not ended, or will end so when
 * it is sent. Any thread, while the caller has a reference. */
void courier_cancel(struct outgoing *outgoing);

#endif
