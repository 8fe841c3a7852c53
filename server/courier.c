#include "server/courier.h"

#include "base/mem.h"
#include "server/bell.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { CONNECT_MS = 5000, HEADER_MAX = 1024 };

struct courier {
    struct libcurl curl;
    CURLM *multi;
    uv_loop_t loop;
    uv_thread_t thread;
    struct bell bell;
    uv_timer_t clock;  /* libcurl's */
    uv_prepare_t turn; /* the end of a turn, before the loop sleeps */
    struct mailbox inbox;
    atomic_bool leaving;
    unsigned running; /* the thread's own */
};

/* One that is under way; the thread's own. */
struct transfer {
    struct courier *courier;
    struct outgoing *outgoing; /* a reference */
    CURL *easy;
    /* Our own: libcurl 7.88 does not look at the time of those that wait for a connection. */
    uv_timer_t limit;
};

/* A socket of libcurl's that the loop watches. */
struct watch {
    struct courier *courier;
    curl_socket_t socket;
    int events;
    uv_poll_t poll;
};

/* --- the end of a request --- */

static void on_transfer_closed(uv_handle_t *limit)
{
    free(limit->data);
}

static void close_transfer(struct transfer *transfer)
{
    struct courier *courier = transfer->courier;
    courier->curl.multi_remove_handle(courier->multi, transfer->easy);
    courier->curl.easy_cleanup(transfer->easy);
    uv_close((uv_handle_t *)&transfer->limit, on_transfer_closed);
    courier->running--;
}

static void leave_if_done(struct courier *courier)
{
    if (atomic_load(&courier->leaving) && courier->running == 0)
        uv_stop(&courier->loop);
}

static void note_answer(struct outgoing *outgoing)
{
    const struct libcurl *curl = &outgoing->courier->curl;
    CURL *easy = outgoing->transfer->easy;
    const char *type = NULL;
    long status = 0, sent = 0;
    curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    curl->easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
    outgoing->status = (unsigned)status;
    outgoing->content_type = bytes_of(type);
    outgoing->sent = sent > 0;
}

/* It may not have been started. */
static void end(struct outgoing *outgoing, enum outgoing_end how)
{
    struct courier *courier = outgoing->courier;
    outgoing->end = how;
    if (outgoing->transfer)
        note_answer(outgoing);
    outgoing->ops->on_done(outgoing);
    if (outgoing->transfer)
        close_transfer(outgoing->transfer);
    outgoing->transfer = NULL;
    courier->curl.slist_free_all(outgoing->headers);
    buffer_deinit(&outgoing->body);
    buffer_deinit(&outgoing->answer);
    outgoing->ops->unref(outgoing);
    leave_if_done(courier);
}

static const char *fault_of(const struct libcurl *curl, CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION ? "the server's certificate is not trusted"
                                                  : curl->easy_strerror(code);
}

static void finish(struct outgoing *outgoing, CURLcode code)
{
    outgoing->fault = fault_of(&outgoing->courier->curl, code);
    end(outgoing, code == CURLE_OK            ? OUTGOING_ANSWERED
                  : code == CURLE_WRITE_ERROR ? OUTGOING_TOO_LARGE
                                              : OUTGOING_FAILED);
}

/* --- libcurl in the loop --- */

/* Lets libcurl do what there is to do: with a socket, or because its time has come. Never from one
 * of its own callbacks. */
static void advance(struct courier *courier, curl_socket_t socket, int events)
{
    int running;
    courier->curl.multi_socket_action(courier->multi, socket, events, &running);
}

/* What has ended in this turn of the loop is told at once, for those told wake up once. */
static void on_turn(uv_prepare_t *turn)
{
    struct courier *courier = turn->data;
    int left;
    for (CURLMsg *message; (message = courier->curl.multi_info_read(courier->multi, &left));) {
        char *outgoing = NULL;
        CURLcode code = message->data.result; /* the message goes with its handle */
        if (message->msg != CURLMSG_DONE)
            continue;
        courier->curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &outgoing);
        finish((struct outgoing *)(void *)outgoing, code);
    }
}

static void on_clock(uv_timer_t *clock)
{
    advance(clock->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_clock(CURLM *multi, long timeout_ms, void *context)
{
    struct courier *courier = context;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&courier->clock);
    else
        uv_timer_start(&courier->clock, on_clock, (uint64_t)timeout_ms, 0);
    return 0;
}

/* After an error libuv does not watch the socket any more, while libcurl may still want to read
 * what has come before it; without events libcurl looks for itself. */
static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    if (status < 0)
        uv_poll_start(poll, watch->events, on_socket);
    advance(watch->courier, watch->socket,
            (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0));
}

static void on_watch_closed(uv_handle_t *poll)
{
    free(poll->data);
}

static struct watch *watch_new(struct courier *courier, curl_socket_t socket)
{
    struct watch *watch = MEM_NEW(struct watch);
    *watch = (struct watch){.courier = courier, .socket = socket};
    watch->poll.data = watch;
    if (uv_poll_init_socket(&courier->loop, &watch->poll, socket) != 0)
        abort();
    courier->curl.multi_assign(courier->multi, socket, watch);
    return watch;
}

/* libcurl closes the socket behind this, and its number may be another's at once: uv_close() has
 * the kernel forget it here, only the memory goes later. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned)
{
    struct watch *watch = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        return 0;
    }
    if (!watch)
        watch = watch_new(context, socket);
    watch->events =
        (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watch->poll, watch->events, on_socket);
    return 0;
}

/* --- a transfer --- */

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct outgoing *outgoing = context;
    return buffer_append(&outgoing->answer, bytes_from(data, size * count)) ? size * count : 0;
}

static void add_line(const struct libcurl *curl, struct outgoing *outgoing, const char *line)
{
    struct curl_slist *longer = curl->slist_append(outgoing->headers, line);
    if (longer)
        outgoing->headers = longer;
}

static void configure(const struct libcurl *curl, CURL *easy, struct outgoing *outgoing)
{
    /* Or libcurl asks whether it may send more than 1 MiB, and waits for a second. */
    add_line(curl, outgoing, "Expect:");
    curl->easy_setopt(easy, CURLOPT_URL, outgoing->url);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(easy, CURLOPT_PROXY, "");
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A kept connection that breaks makes libcurl send the request again, which would run twice. */
    curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    /* Or whoever is cancelled holds up the others until the resolver has answered. */
    curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl->easy_setopt(easy, CURLOPT_USERAGENT, "snakepit");
    curl->easy_setopt(easy, CURLOPT_HTTPHEADER, outgoing->headers);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDS, outgoing->body.data);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)outgoing->body.len);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, outgoing);
    curl->easy_setopt(easy, CURLOPT_PRIVATE, outgoing);
}

static void on_limit(uv_timer_t *limit)
{
    struct transfer *transfer = limit->data;
    end(transfer->outgoing, OUTGOING_TIMED_OUT);
}

static void start(struct courier *courier, struct outgoing *outgoing)
{
    struct transfer *transfer = MEM_NEW(struct transfer);
    *transfer = (struct transfer){
        .courier = courier, .outgoing = outgoing, .easy = courier->curl.easy_init()};
    outgoing->transfer = transfer;
    courier->running++;
    configure(&courier->curl, transfer->easy, outgoing);
    uv_timer_init(&courier->loop, &transfer->limit);
    transfer->limit.data = transfer;
    if (outgoing->timeout_us) /* rounded up, and the loop's clock is rounded down */
        uv_timer_start(&transfer->limit, on_limit, outgoing->timeout_us / 1000 + 1, 0);
    if (courier->curl.multi_add_handle(courier->multi, transfer->easy) != CURLM_OK)
        finish(outgoing, CURLE_FAILED_INIT);
}

/* --- from other threads --- */

/* The mail came with a reference. */
static void on_start(struct mail *mail)
{
    struct outgoing *outgoing = CONTAINER_OF(mail, struct outgoing, start);
    if (atomic_load(&outgoing->state) == OUTGOING_UNWANTED)
        end(outgoing, OUTGOING_CANCELLED);
    else
        start(outgoing->courier, outgoing);
}

/* Likewise, with one of its own. What was not started yet will not be. */
static void on_cancel(struct mail *mail)
{
    struct outgoing *outgoing = CONTAINER_OF(mail, struct outgoing, cancel);
    if (outgoing->transfer)
        end(outgoing, OUTGOING_CANCELLED);
    outgoing->ops->unref(outgoing);
}

void courier_send(struct courier *courier, struct outgoing *outgoing)
{
    enum outgoing_state before = OUTGOING_NEW;
    outgoing->courier = courier;
    outgoing->start.open = on_start;
    outgoing->ops->ref(outgoing);
    atomic_compare_exchange_strong(&outgoing->state, &before, OUTGOING_POSTED);
    mailbox_post(&courier->inbox, &outgoing->start);
}

void courier_cancel(struct outgoing *outgoing)
{
    if (atomic_exchange(&outgoing->state, OUTGOING_UNWANTED) != OUTGOING_POSTED)
        return;
    outgoing->cancel.open = on_cancel;
    outgoing->ops->ref(outgoing);
    mailbox_post(&outgoing->courier->inbox, &outgoing->cancel);
}

static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~')
            return false;
    }
    return value.len > 0;
}

void courier_add_header(const struct courier *courier, struct outgoing *outgoing, const char *name,
                        struct bytes value)
{
    char line[HEADER_MAX];
    if (!is_plain(value))
        return;
    snprintf(line, sizeof line, "%s: %.*s", name, (int)value.len, value.data);
    add_line(&courier->curl, outgoing, line);
}

const struct libcurl *courier_libcurl(const struct courier *courier)
{
    return &courier->curl;
}

/* --- the thread --- */

static void open_mail(struct courier *courier)
{
    struct mail *mail = mailbox_drain(&courier->inbox);
    while (mail) {
        struct mail *next = mail->next;
        mail->open(mail);
        mail = next;
    }
}

static void on_ring(void *context)
{
    struct courier *courier = context;
    uv_update_time(&courier->loop); /* limits begin now */
    open_mail(courier);
    leave_if_done(courier);
}

static void wake_up(void *context)
{
    struct courier *courier = context;
    bell_ring(&courier->bell);
}

static void run(void *context)
{
    struct courier *courier = context;
    pthread_setname_np(pthread_self(), "courier");
    uv_run(&courier->loop, UV_RUN_DEFAULT);
}

static void start_multi(struct courier *courier, unsigned connections)
{
    const struct libcurl *curl = &courier->curl;
    CURLM *multi = courier->multi = curl->multi_init();
    if (!multi)
        abort();
    curl->multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections);
    curl->multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections / 2);
    curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, courier);
    curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_clock);
    curl->multi_setopt(multi, CURLMOPT_TIMERDATA, courier);
}

struct courier *courier_start(unsigned connections)
{
    struct courier *courier = MEM_NEW(struct courier);
    if (!libcurl_load(&courier->curl)) {
        free(courier);
        return NULL;
    }
    mailbox_init(&courier->inbox, wake_up, courier);
    if (uv_loop_init(&courier->loop) != 0)
        abort();
    bell_init(&courier->bell, &courier->loop, on_ring, courier);
    uv_timer_init(&courier->loop, &courier->clock);
    uv_prepare_init(&courier->loop, &courier->turn);
    uv_prepare_start(&courier->turn, on_turn);
    courier->clock.data = courier->turn.data = courier;
    start_multi(courier, connections);
    if (uv_thread_create(&courier->thread, run, courier) != 0)
        abort();
    return courier;
}

void courier_stop(struct courier **courier)
{
    struct courier *gone = *courier;
    *courier = NULL;
    if (!gone)
        return;
    atomic_store(&gone->leaving, true);
    wake_up(gone);
    uv_thread_join(&gone->thread);
    open_mail(gone);
    gone->curl.multi_cleanup(gone->multi);
    gone->curl.global_cleanup();
    bell_close(&gone->bell);
    uv_close((uv_handle_t *)&gone->clock, NULL);
    uv_close((uv_handle_t *)&gone->turn, NULL);
    uv_run(&gone->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&gone->loop) != 0)
        abort();
    free(gone);
}
