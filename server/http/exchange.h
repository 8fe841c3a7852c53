/* One HTTP request and its answer, whatever protocol carries it.
 *
 * The protocol (http1.c, http2.c) owns the exchange and feeds it: begin, body…, body_end, and end
 * at the last; gone in between if the client leaves before the answer is out. The handler of the
 * route answers with exchange_respond(), at once or later. All of it happens on the reactor thread
 * that owns the connection. Handlers never learn which protocol it is. */
#ifndef SNAKEPIT_SERVER_HTTP_EXCHANGE_H
#define SNAKEPIT_SERVER_HTTP_EXCHANGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/shared.h"
#include "server/http/response.h"

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct reactor;
struct route;

enum exchange_state {
    EXCHANGE_READING,  /* head is in, the body is coming */
    EXCHANGE_HANDLING, /* body is in, the handler has it, no answer yet */
    EXCHANGE_ANSWERED, /* exchange_respond() was called; the protocol sends */
    EXCHANGE_ENDED,    /* answer sent, or client gone; nothing is called any more */
};

/* What became of a read of a body's source. */
enum body_step {
    BODY_MOVES,  /* there were bytes */
    BODY_PAUSES, /* nothing now */
    BODY_ENDS,   /* there may have been bytes, and they were the last */
    BODY_BREAKS, /* there will be no more, and the body is not whole */
};

/* What a protocol provides. */
struct exchange_protocol {
    const char *version; /* "1.1", "2" */
    /* First value of a header by name (any case), empty data NULL when absent. Valid until the
     * exchange ends. */
    struct bytes (*header)(struct exchange *exchange, struct bytes name);
    /* How many fields of that name there are. */
    unsigned (*count)(struct exchange *exchange, struct bytes name);
    /* Called once. The protocol copies or keeps pointers as it likes (see struct response),
     * respects the peer's flow control, and afterwards calls exchange_end(). If the request body is
     * still arriving, the rest is thrown away and, where the protocol needs it, the connection
     * closed after the answer. */
    void (*respond)(struct exchange *exchange, const struct response *response);
    /* An answer with a source was sent on its way: the source has more, if it had paused; or the
     * answer breaks off, and BODY_BREAKS is what a read would give. */
    void (*more)(struct exchange *exchange);
    void (*break_off)(struct exchange *exchange);
};

/* Embedded as first member in the protocol's own struct. The protocol fills the upper half before
 * exchange_begin(); spans are valid until the exchange ends. */
struct exchange {
    const struct exchange_protocol *protocol;
    struct reactor *reactor;
    struct arena *arena;    /* the request's; the exchange holds one reference */
    struct bytes method;    /* "GET" */
    struct bytes path;      /* as sent, without the query */
    struct bytes query;     /* without the '?'; may be empty */
    int64_t content_length; /* -1: not announced */
    size_t head_bytes;      /* size of the request head: target, names and values */

    /* The exchange's own. */
    enum exchange_state state;
    const struct route *route; /* NULL until a route is found */
    struct buffer gathered;    /* the request body as long as it is small; see exchange_payload() */
    struct shared *shared;     /* the body instead, if it is large; or NULL */
    uint64_t started_us;
    struct bytes request_id;
    unsigned status;                  /* of the answer; 0 before, 499 when the client left first */
    size_t held;                      /* bytes accounted for by reactor_hold() */
    const struct body_source *source; /* of the answer, as long as more may come from it */
    bool is_whole;                    /* the source has said that it has ended */
    void *handler;                    /* the route's own state */
    struct header remark;             /* one more header of the answer, or empty */
    void (*on_gone)(
        struct exchange *exchange); /* set by a handler that answers later, or with a source: stop
                                       the work. Once at most, not after either has ended */
    void (*on_end)(struct exchange *exchange); /* set by a handler that has something to release */
};

/* --- for protocols --- */

/* exchange_request.c */

/* The head is complete. May answer at once (404, 405, 413, …). `exchange` is zeroed but for the
 * upper half. */
void exchange_begin(struct exchange *exchange);

/* More of the request body; copied. Ignored after an answer. */
void exchange_body(struct exchange *exchange, struct bytes data);

/* The request body is complete. Ignored after an answer. */
void exchange_body_end(struct exchange *exchange);

/* exchange.c */

/* Reads from the source of the answer. */
enum body_step exchange_read(struct exchange *exchange, char *room, size_t size, size_t *out_len);

/* The client left, or the stream was reset, before there was an answer or before its source had
 * ended; otherwise harmless. exchange_end() must still follow. */
void exchange_gone(struct exchange *exchange);

/* The last call: answer sent, or client gone. Releases everything, including the arena reference;
 * the protocol's struct may live in the arena, and must not be touched afterwards. Calls
 * exchange_gone() itself if nothing was answered, or not to the end. */
void exchange_end(struct exchange *exchange);

/* --- for exchange_request.c --- */

/* Begins to count it. */
void exchange_open(struct exchange *exchange);

/* There is neither an answer nor a reason not to want more of the request. */
bool exchange_is_reading(const struct exchange *exchange);

/* All of the request is there: it is the handler's turn. */
void exchange_handle(struct exchange *exchange);

/* Accounts for that many bytes of a body until the exchange ends; false when there is no room. */
bool exchange_hold(struct exchange *exchange, size_t bytes) __attribute__((warn_unused_result));

/* Answers that there is none. `executed`: see struct problem. */
void exchange_refuse_memory(struct exchange *exchange, const char *executed);

/* --- for handlers --- */

/* Sends the answer. Adds x-request-id. Exactly once; a second call aborts. After exchange_gone() it
 * does nothing. */
void exchange_respond(struct exchange *exchange, struct response *response);

/* There is more to be read from the source of the answer. Harmless between exchange_respond() and
 * the end of the exchange, whatever has happened to the source. */
void exchange_more(struct exchange *exchange);

/* Breaks the body off where it is: the client sees that it is incomplete (in HTTP/1.0 it cannot).
 * What has not been read yet is not sent, and the source is not asked again. Harmless like
 * exchange_more(); may be called from within the source. */
void exchange_break(struct exchange *exchange);

/* The request body, complete; valid as long as the exchange, or the call that has taken it over. */
struct bytes exchange_payload(const struct exchange *exchange);

/* First value of a request header, or empty. */
struct bytes exchange_header(struct exchange *exchange, const char *name);

/* How often a request header is given. */
unsigned exchange_header_count(struct exchange *exchange, const char *name);

#endif
