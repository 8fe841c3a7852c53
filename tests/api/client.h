/* HTTP requests by libcurl, over HTTP/1.1 or HTTP/2 with prior knowledge; and raw bytes for what no
 * client would send. */
#ifndef SNAKEPIT_TESTS_API_CLIENT_H
#define SNAKEPIT_TESTS_API_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* One connection, kept alive; belongs to one thread. */
struct client;

struct request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *path;
    const char *body;
    size_t size;                /* 0 with a body: its string length */
    const char *content_type;   /* NULL: none is sent */
    const char *const *headers; /* "name: value", NULL at the end; may be NULL */
    bool chunked;               /* no content-length */
    bool empty_body;            /* a POST of zero bytes */
};

struct answer {
    long status; /* 0: no answer, see `error` */
    char error[256];
    long version; /* 1 or 2 */
    bool new_connection;
    char *body; /* NUL after the last byte */
    size_t size;
    char *head;   /* header lines as they came, of the last answer */
    json_t *json; /* of answer_json() */
};

struct client *client_new(int port, bool http2);
void client_free(struct client **client);

struct answer client_send(struct client *client, const struct request *request);
struct answer client_get(struct client *client, const char *path);

/* POST with content type application/json. */
struct answer client_post(struct client *client, const char *path, const char *json);

/* POST /execute of a tool with the arguments given as JSON text. */
struct answer client_execute(struct client *client, const char *tool, const char *args);

void answer_deinit(struct answer *answer);

/* Value of a header by its lower-case name, or NULL; valid until the next call. */
const char *answer_header(const struct answer *answer, const char *name);

/* The body as JSON, borrowed; the test fails if it is none, or if the content type is not
 * `content_type`. */
json_t *answer_json(struct answer *answer, const char *content_type);

/* Status 200 and an envelope; returns `result`, borrowed. */
json_t *expect_result(struct answer *answer);

/* A problem document with all members that every problem has, consistent with the answer; returns
 * it, borrowed. */
json_t *expect_problem(struct answer *answer, int status, const char *code);

/* A member that is a string, or "" */
const char *member_text(const json_t *object, const char *name);

/* A request on a thread and connection of its own. */
struct pending;
struct pending *client_send_later(int port, bool http2, const struct request *request);
bool pending_done(const struct pending *pending);
struct answer pending_wait(struct pending **pending);
/* Gives up the request by closing its connection; the answer is thrown away. */
void pending_leave(struct pending **pending);

/* A TCP connection. raw_read() reads until the peer closes, `until` has come (may be NULL) or
 * `seconds` have passed; the caller frees the text. */
int raw_connect(int port);
void raw_write(int fd, const char *data, size_t size);
char *raw_read(int fd, const char *until, double seconds);

#endif
