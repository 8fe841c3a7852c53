#include "client.h"

#include "gateway.h"

#include <arpa/inet.h>
#include <check.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_SECONDS = 60 };

struct client {
    CURL *curl;
    int port;
    bool http2;
    bool connected; /* over HTTP/2, as far as we know */
    atomic_int fd;  /* of the connection opened last */
};

/* What curl's callbacks fill and read. */
struct transfer {
    FILE *body;
    FILE *head;
    size_t head_size;
    const char *upload;
    size_t upload_left;
};

struct client *client_new(int port, bool http2)
{
    struct client *client = calloc(1, sizeof(*client));
    ck_assert_ptr_nonnull(client);
    client->curl = curl_easy_init();
    ck_assert_ptr_nonnull(client->curl);
    client->port = port;
    client->http2 = http2;
    client->fd = -1;
    return client;
}

void client_free(struct client **client)
{
    if (!*client)
        return;
    curl_easy_cleanup((*client)->curl);
    free(*client);
    *client = NULL;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    return fwrite(data, 1, size, transfer->body);
}

static size_t on_head(char *data, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0)
        rewind(transfer->head); /* forget a 100 Continue */
    return fwrite(data, 1, size, transfer->head);
}

static size_t on_upload(char *out, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    if (size > transfer->upload_left)
        size = transfer->upload_left;
    memcpy(out, transfer->upload, size);
    transfer->upload += size;
    transfer->upload_left -= size;
    return size;
}

static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct client *client = context;
    (void)purpose;
    client->fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return client->fd;
}

static struct curl_slist *request_headers(const struct request *request)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    char type[256] = "Content-Type:";
    if (request->content_type)
        snprintf(type, sizeof(type), "Content-Type: %s", request->content_type);
    list = curl_slist_append(list, type);
    if (request->chunked)
        list = curl_slist_append(list, "Transfer-Encoding: chunked");
    for (size_t i = 0; request->headers && request->headers[i]; i++)
        list = curl_slist_append(list, request->headers[i]);
    return list;
}

static void set_body(CURL *curl, const struct request *request, struct transfer *transfer)
{
    size_t size = request->size ? request->size : request->body ? strlen(request->body) : 0;
    if (request->chunked) {
        transfer->upload = request->body;
        transfer->upload_left = size;
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
    } else if (request->body || request->empty_body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

/* libcurl 7.88 cannot take up a connection again with prior knowledge (any server; "Error in the
 * HTTP2 framing layer"), but it can with plain HTTP/2, which finds the open connection. */
static long curl_version_of(const struct client *client)
{
    if (!client->http2)
        return CURL_HTTP_VERSION_1_1;
    return client->connected ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

struct answer client_send(struct client *client, const struct request *request)
{
    struct answer answer = {0};
    struct transfer transfer = {0};
    transfer.body = open_memstream(&answer.body, &answer.size);
    transfer.head = open_memstream(&answer.head, &transfer.head_size);

    CURL *curl = client->curl;
    size_t url_size = strlen(request->path) + 64;
    char *url = malloc(url_size);
    snprintf(url, url_size, "http://127.0.0.1:%d%s", client->port, request->path);
    struct curl_slist *headers = request_headers(request);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)REQUEST_SECONDS);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, curl_version_of(client));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, client);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer.error);
    set_body(curl, request, &transfer);

    CURLcode code = curl_easy_perform(curl);
    long version = 0, connects = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    answer.version = version == CURL_HTTP_VERSION_2_0 ? 2 : 1;
    answer.new_connection = connects > 0;
    client->connected = code == CURLE_OK && answer.version == 2;
    if (code != CURLE_OK) {
        answer.status = 0;
        if (!answer.error[0])
            snprintf(answer.error, sizeof(answer.error), "%s", curl_easy_strerror(code));
    }
    fclose(transfer.body);
    fclose(transfer.head);
    curl_slist_free_all(headers);
    free(url);
    return answer;
}

struct answer client_get(struct client *client, const char *path)
{
    return client_send(client, &(struct request){.path = path});
}

struct answer client_post(struct client *client, const char *path, const char *json)
{
    return client_send(
        client, &(struct request){.path = path, .body = json, .content_type = "application/json"});
}

struct answer client_execute(struct client *client, const char *tool, const char *args)
{
    char *body = NULL;
    ck_assert_int_gt(asprintf(&body, "{\"tool\":\"%s\",\"args\":%s}", tool, args), 0);
    struct answer answer = client_post(client, "/execute", body);
    free(body);
    return answer;
}

void answer_deinit(struct answer *answer)
{
    json_decref(answer->json);
    free(answer->body);
    free(answer->head);
    *answer = (struct answer){0};
}

const char *answer_header(const struct answer *answer, const char *name)
{
    static char value[512];
    size_t length = strlen(name);
    for (const char *line = answer->head; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *start = line + length + 1 + strspn(line + length + 1, " ");
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(start, "\r\n"), start);
        return value;
    }
    return NULL;
}

json_t *answer_json(struct answer *answer, const char *content_type)
{
    ck_assert_msg(answer->status != 0, "no answer: %s", answer->error);
    const char *type = answer_header(answer, "content-type");
    ck_assert_msg(type && strncmp(type, content_type, strlen(content_type)) == 0,
                  "content type %s instead of %s, status %ld, body %s", type ? type : "missing",
                  content_type, answer->status, answer->body);
    if (!answer->json) {
        json_error_t error;
        answer->json =
            json_loadb(answer->body, answer->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        ck_assert_msg(answer->json != NULL, "not JSON (%s): %s", error.text, answer->body);
    }
    return answer->json;
}

const char *member_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

json_t *expect_result(struct answer *answer)
{
    ck_assert_msg(answer->status == 200, "status %ld %s: %s", answer->status, answer->error,
                  answer->body ? answer->body : "");
    json_t *envelope = answer_json(answer, "application/json");
    json_t *meta = json_object_get(envelope, "meta");
    ck_assert_msg(json_object_size(envelope) == 2 && json_is_object(meta), "not an envelope: %s",
                  answer->body);
    ck_assert_str_ne(member_text(meta, "request_id"), "");
    ck_assert_str_ne(member_text(meta, "worker"), "");
    ck_assert_str_ne(member_text(meta, "pool"), "");
    ck_assert_int_ge(json_integer_value(json_object_get(meta, "attempts")), 1);
    ck_assert(json_is_number(json_object_get(meta, "queue_ms")));
    ck_assert(json_is_number(json_object_get(meta, "run_ms")));
    ck_assert_str_eq(answer_header(answer, "x-request-id"), member_text(meta, "request_id"));
    json_t *result = json_object_get(envelope, "result");
    ck_assert_ptr_nonnull(result);
    return result;
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(word, *words) == 0)
            return true;
    }
    return false;
}

json_t *expect_problem(struct answer *answer, int status, const char *code)
{
    static const char *const categories[] = {"worker", "timeout", "python_error", "validation",
                                             "pool",   "auth",    "limit",        NULL};
    static const char *const executed[] = {"no", "maybe", "yes", NULL};
    ck_assert_msg(answer->status == status, "status %ld %s instead of %d %s: %s", answer->status,
                  answer->error, status, code, answer->body ? answer->body : "");
    json_t *problem = answer_json(answer, "application/problem+json");
    ck_assert_str_eq(member_text(problem, "code"), code);
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
    ck_assert_str_ne(member_text(problem, "type"), "");
    ck_assert_str_ne(member_text(problem, "title"), "");
    ck_assert_str_ne(member_text(problem, "detail"), "");
    ck_assert(json_is_string(json_object_get(problem, "instance")));
    ck_assert_msg(is_one_of(member_text(problem, "category"), categories), "category: %s",
                  answer->body);
    ck_assert_msg(is_one_of(member_text(problem, "executed"), executed), "executed: %s",
                  answer->body);
    ck_assert(json_is_boolean(json_object_get(problem, "retryable")));
    const char *id = answer_header(answer, "x-request-id");
    ck_assert_msg(id && strcmp(id, member_text(problem, "request_id")) == 0,
                  "x-request-id %s, body %s", id ? id : "missing", answer->body);
    if (status == 503)
        ck_assert_int_ge(atoi(answer_header(answer, "retry-after") ?: "0"), 1);
    return problem;
}

struct pending {
    pthread_t thread;
    struct client *client;
    struct request request;
    char *body;
    char *path;
    struct answer answer;
    atomic_bool done;
};

static void *run_pending(void *context)
{
    struct pending *pending = context;
    pending->answer = client_send(pending->client, &pending->request);
    pending->done = true;
    return NULL;
}

struct pending *client_send_later(int port, bool http2, const struct request *request)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    ck_assert_ptr_nonnull(pending);
    pending->client = client_new(port, http2);
    pending->request = *request;
    pending->request.path = pending->path = strdup(request->path);
    if (request->body) {
        size_t size = request->size ? request->size : strlen(request->body);
        pending->body = malloc(size + 1);
        memcpy(pending->body, request->body, size);
        pending->body[size] = '\0';
        pending->request.body = pending->body;
        pending->request.size = size;
    }
    ck_assert_int_eq(pthread_create(&pending->thread, NULL, run_pending, pending), 0);
    return pending;
}

bool pending_done(const struct pending *pending)
{
    return pending->done;
}

struct answer pending_wait(struct pending **pending)
{
    pthread_join((*pending)->thread, NULL);
    struct answer answer = (*pending)->answer;
    client_free(&(*pending)->client);
    free((*pending)->body);
    free((*pending)->path);
    free(*pending);
    *pending = NULL;
    return answer;
}

void pending_leave(struct pending **pending)
{
    shutdown((*pending)->client->fd, SHUT_RDWR);
    struct answer answer = pending_wait(pending);
    answer_deinit(&answer);
}

int raw_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* The peer may close before it has read all: that is its right. */
void raw_write(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        size -= (size_t)sent;
    }
}

char *raw_read(int fd, const char *until, double seconds)
{
    size_t size = 0, room = 65536;
    char *text = malloc(room);
    double end = now_seconds() + seconds;
    for (;;) {
        text[size] = '\0';
        if (until && strstr(text, until))
            return text;
        int left = (int)((end - now_seconds()) * 1000);
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, left > 0 ? left : 0) <= 0)
            return text;
        if (size + 1 == room)
            text = realloc(text, room *= 2);
        ssize_t got = recv(fd, text + size, room - size - 1, 0);
        if (got <= 0)
            return text;
        size += (size_t)got;
    }
}
