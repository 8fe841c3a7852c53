#include "server/outbound/courier.h"

#include "base/mem.h"
#include "server/http/bell.h"
#include "server/outbound/curl_loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { CONNECT_MS = 5000, HEADER_MAX = 1024 };

struct courier {
    struct libcurl curl;
    uv_loop_t loop;
    struct curl_loop transfers;
    struct bell bell;
    struct mailbox inbox;
    uv_thread_t thread;
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

/* --- the end of a request --- */

static void on_transfer_closed(uv_handle_t *limit)
{
    free(limit->data);
}

static void close_transfer(struct transfer *transfer)
{
    struct courier *courier = transfer->courier;
    courier->curl.multi_remove_handle(courier->transfers.multi, transfer->easy);
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
    curl_off_t retry_after_s = 0;
    curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    curl->easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
    curl->easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    outgoing->status = (unsigned)status;
    outgoing->retry_after_s = retry_after_s > 0 ? (uint64_t)retry_after_s : 0;
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

static void finish(void *owner, CURLcode code)
{
    struct outgoing *outgoing = owner;
    outgoing->fault = fault_of(&outgoing->courier->curl, code);
    end(outgoing, code == CURLE_OK            ? OUTGOING_ANSWERED
                  : code == CURLE_WRITE_ERROR ? OUTGOING_TOO_LARGE
                                              : OUTGOING_FAILED);
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
    curl->easy_setopt(easy, CURLOPT_POSTFIELDS, outgoing->body.len ? outgoing->body.data : "");
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
    if (courier->curl.multi_add_handle(courier->transfers.multi, transfer->easy) != CURLM_OK)
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
    curl_loop_init(&courier->transfers, &courier->curl, &courier->loop, connections, finish);
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
    curl_loop_close(&gone->transfers);
    bell_close(&gone->bell);
    uv_run(&gone->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&gone->loop) != 0)
        abort();
    gone->curl.global_cleanup();
    free(gone);
}
