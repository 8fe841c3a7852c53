/* The inside of HTTP/1, for the http1*.c files. Reactor thread only. */
#ifndef SNAKEPIT_SERVER_HTTP_HTTP1_INSIDE_H
#define SNAKEPIT_SERVER_HTTP_HTTP1_INSIDE_H

#include "base/list.h"
#include "server/http/exchange.h"
#include "server/http/reactor_inside.h"

#include <microhttpd.h>

struct http1 {
    struct tenant tenant; /* first */
    struct reactor *reactor;
    struct MHD_Daemon *daemon;
    uv_poll_t daemon_poll; /* the daemon's epoll set */
    uv_poll_t leaving_poll;
    int leaving_fd; /* an epoll set of all connections that tells of peers that leave, and of room
                       in the sockets of those that are BLOCKED */
    bool due;       /* MHD_run() has something to do */
    bool may_release_memory; /* we know this libmicrohttpd's memory layout */
    struct list connections; /* of struct http1_connection */
    struct list leavers;     /* those of peers that have left, while they may still be read */
    struct list expecting;   /* those that have sent a head and nothing of its body yet */
};

/* One connection; libmicrohttpd's socket context. */
struct http1_connection {
    struct list node;
    struct list leaving;  /* among the leavers */
    struct list expected; /* among those that are expecting */
    struct http1 *http1;
    struct MHD_Connection *mhd;
    struct http1_exchange *exchange; /* the request being read, worked on or answered; or NULL */
    int fd;
    bool peer_left;    /* closed, or closed its sending half */
    uint64_t since_us; /* of the last change: opened, request line read, body piece, answer sent */
    char *memory;      /* start of libmicrohttpd's pool, from the first request on as long as it is
                          there; or NULL */
    bool is_used;      /* has carried a request */
    bool is_resident;  /* the pool's pages may have been touched since they were given back */
};

enum http1_phase {
    HTTP1_HEAD,     /* request line read, header fields still coming */
    HTTP1_BODY,     /* exchange begun, body coming */
    HTTP1_HANDLING, /* body complete, in libmicrohttpd's last call for this request */
    HTTP1_WAITING,  /* no answer yet; suspended in libmicrohttpd */
    HTTP1_SENDING,  /* the answer is libmicrohttpd's */
    HTTP1_PAUSED,   /* the source of the answer has nothing now; suspended in libmicrohttpd */
    HTTP1_BLOCKED,  /* as PAUSED, but what we have written ourselves did not fit into the socket */
    HTTP1_DRAINING, /* answered by ourselves in the middle of the body; the rest is thrown away,
                       then we close */
    HTTP1_CLOSING,  /* to be closed without an answer */
};

/* One request; in its own arena. libmicrohttpd's request context. */
struct http1_exchange {
    struct exchange exchange; /* first */
    struct http1_connection *connection;
    enum http1_phase phase;
    bool begun;            /* exchange_begin() was called */
    bool has_body;         /* according to the head */
    bool must_close;       /* the connection cannot be used after this answer */
    bool is_1_0;           /* of HTTP/1.0 */
    bool expects_continue; /* the client waits for our word before it sends the body */
    size_t received;       /* bytes of the body */
    unsigned status;
    struct MHD_Response *answer; /* waits for the moment when libmicrohttpd takes it; owned */

    /* Of an answer with a source. */
    bool has_moved; /* something has been read from it */
    bool has_paused;
    bool is_resident;  /* pages of `room` may have been touched since they were given back */
    struct bytes room; /* where libmicrohttpd wants the next piece; nothing in there is needed while
                          paused */
    struct buffer unsent; /* while BLOCKED; as it is to be sent */
};

static inline struct http1_connection *http1_connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- http1_connection.c --- */

/* Whether http1_source_unblock() is to be called when the socket has room. */
void http1_await_room(struct http1_connection *connection, bool wanted);

/* The connection may be read now, or again: if its peer has left, libmicrohttpd is made to see
 * that. */
void http1_read_on(struct http1_connection *connection);

/* libmicrohttpd is about to close the connection, and to destroy its pool; the next run releases
 * it. */
void http1_let_go(struct http1_connection *connection);

/* Wakes up a request that is suspended in libmicrohttpd. */
void http1_resume(struct http1_exchange *request);

/* --- http1_source.c: an answer's source --- */

/* Returns owned. */
struct MHD_Response *http1_source_answer(struct http1_exchange *request);
void http1_release_room(struct http1_exchange *request);
void http1_source_wake(struct exchange *exchange);
void http1_source_unblock(struct http1_exchange *request);

/* --- http1_answer.c: what a response becomes --- */

/* Returns owned; adds "connection: close" if asked to. */
struct MHD_Response *http1_answer_new(struct http1_exchange *request,
                                      const struct response *response, bool close);

/* Writes a short answer straight to the socket, for the moments when libmicrohttpd would not take
 * one: its state machine knows no answer in the middle of a request body. What the socket does not
 * take at once is lost. */
void http1_answer_directly(struct http1_exchange *request, const struct response *response);

/* --- http1_request.c --- */

/* libmicrohttpd's callbacks for requests. */
void *http1_on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http1_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **context);
void http1_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode reason);

/* The peer has left: ends a request that waits for its answer, or for the rest of it. */
void http1_request_gone(struct http1_exchange *request);

#endif
