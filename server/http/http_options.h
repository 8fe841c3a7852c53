/* Limits and time-outs of the HTTP side; see design/http-api.md, "Limits". */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP_OPTIONS_H
#define SNAKEPIT_SERVER_HTTP_HTTP_OPTIONS_H

#include <stddef.h>

struct http_options {
    unsigned
        connection_limit; /* over all reactors that share a count; one too many is closed at once */
    size_t memory_limit; /* bytes of request and answer bodies that a reactor holds at once; more is
                            503 */
    size_t body_limit;   /* bytes of a request body, where the route sets none */
    size_t head_limit;   /* bytes of a request head; more is 431 */
    size_t url_limit;    /* bytes of the request target; more is 414 */
    const char *hosts;   /* that requests may be for, see hosts_serve(); NULL: any; borrowed */
    unsigned head_timeout_ms;       /* from the first byte to the complete head */
    unsigned first_byte_timeout_ms; /* a connection that says nothing */
    unsigned idle_timeout_ms;  /* between requests, and between two pieces of a request body; in
                                  HTTP/1 for a peer that does not read, too */
    unsigned write_timeout_ms; /* in HTTP/2 for a peer that takes nothing of what there is to send,
                                  on a stream or at all. Both allow a reader to stop for half a
                                  minute; an answer whose source has nothing is not waited for */
    unsigned
        h1_memory; /* bytes of libmicrohttpd's pool a connection: head, upload piece, answer head */
    unsigned h2_streams;           /* concurrent streams an HTTP/2 connection */
    unsigned h2_stream_window;     /* bytes a peer may send ahead on one stream */
    unsigned h2_connection_window; /* bytes a peer may send ahead on all streams of a connection */
};

/* The documented defaults. */
struct http_options http_options_default(void);

#endif
