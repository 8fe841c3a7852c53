#include "bridge/endpoint.h"

#include "base/log.h"
#include "base/mem.h"
#include "bridge/tag.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdlib.h>

/* Accepts that are outstanding on each queue. Workers attach one by one; a few are plenty. */
enum { ACCEPTS = 4, MAX_THREADS = 16 };

/* One outstanding grpc_server_request_call(). */
struct accept {
    struct tag tag;
    struct poller *poller;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

/* A completion queue and the thread that polls it. */
struct poller {
    struct endpoint *endpoint;
    grpc_completion_queue *queue;
    pthread_t thread;
    struct accept accepts[ACCEPTS];
};

struct endpoint {
    grpc_server *server;
    const struct link_handler *handler;
    struct tag stopped_tag;
    unsigned count;
    struct poller pollers[MAX_THREADS];
};

static void accept_next(struct accept *accept)
{
    grpc_call_details_init(&accept->details);
    grpc_metadata_array_init(&accept->metadata);
    tag_arm(&accept->tag);
    grpc_server_request_call(accept->poller->endpoint->server, &accept->call, &accept->details,
                             &accept->metadata, accept->poller->queue, accept->poller->queue,
                             &accept->tag);
}

static void on_call(struct tag *tag, bool success)
{
    struct accept *accept = CONTAINER_OF(tag, struct accept, tag);
    struct endpoint *endpoint = accept->poller->endpoint;
    bool attach = success && grpc_slice_str_cmp(accept->details.method,
                                                "/snakepit.bridge.v1.Bridge/Attach") == 0;
    if (attach) {
        link_open(accept->call, endpoint->handler);
    } else if (success) {
        grpc_call_cancel_with_status(accept->call, GRPC_STATUS_UNIMPLEMENTED, "no such method",
                                     NULL);
        grpc_call_unref(accept->call);
    }
    grpc_call_details_destroy(&accept->details);
    grpc_metadata_array_destroy(&accept->metadata);
    if (success)
        accept_next(accept);
}

static void *poll_events(void *context)
{
    struct poller *poller = context;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(poller->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            tag_run(event.tag, event.success != 0);
    }
}

static grpc_server *make_server(void)
{
    static char receive[] = GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                send[] = GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, reuse[] = GRPC_ARG_ALLOW_REUSEPORT;
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = receive, .value.integer = FRAME_MAX_BYTES},
        {.type = GRPC_ARG_INTEGER, .key = send, .value.integer = FRAME_MAX_BYTES},
        {.type = GRPC_ARG_INTEGER, .key = reuse, .value.integer = 0},
    };
    return grpc_server_create(
        &(grpc_channel_args){.num_args = sizeof args / sizeof args[0], .args = args}, NULL);
}

static bool listen_on(grpc_server *server, const char *address)
{
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int bound = grpc_server_add_http2_port(server, address, credentials);
    grpc_server_credentials_release(credentials);
    return bound != 0;
}

static void start_poller(struct poller *poller)
{
    for (unsigned i = 0; i < ACCEPTS; i++) {
        poller->accepts[i] = (struct accept){.tag.run = on_call, .poller = poller};
        accept_next(&poller->accepts[i]);
    }
    pthread_create(&poller->thread, NULL, poll_events, poller);
    pthread_setname_np(poller->thread, "bridge");
}

struct endpoint *endpoint_start(const char *address, unsigned threads,
                                const struct link_handler *handler)
{
    grpc_init();
    struct endpoint *endpoint = MEM_NEW(struct endpoint);
    endpoint->handler = handler;
    endpoint->count = threads < MAX_THREADS ? threads : MAX_THREADS;
    endpoint->server = make_server();
    for (unsigned i = 0; i < endpoint->count; i++) {
        endpoint->pollers[i].endpoint = endpoint;
        endpoint->pollers[i].queue = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(endpoint->server, endpoint->pollers[i].queue, NULL);
    }
    bool bound = listen_on(endpoint->server, address);
    grpc_server_start(endpoint->server);
    for (unsigned i = 0; i < endpoint->count; i++)
        start_poller(&endpoint->pollers[i]);
    if (!bound) {
        log_event(LOG_ERROR, "cannot listen for workers", LOG_STR("address", address), LOG_END);
        endpoint_stop(&endpoint);
    }
    return endpoint;
}

/* All calls are over: the queues may go, which ends the threads. */
static void on_stopped(struct tag *tag, bool success)
{
    (void)success;
    struct endpoint *endpoint = CONTAINER_OF(tag, struct endpoint, stopped_tag);
    for (unsigned i = 0; i < endpoint->count; i++)
        grpc_completion_queue_shutdown(endpoint->pollers[i].queue);
}

void endpoint_stop(struct endpoint **endpoint)
{
    struct endpoint *gone = *endpoint;
    *endpoint = NULL;
    if (!gone)
        return;
    gone->stopped_tag.run = on_stopped;
    tag_arm(&gone->stopped_tag);
    grpc_server_shutdown_and_notify(gone->server, gone->pollers[0].queue, &gone->stopped_tag);
    grpc_server_cancel_all_calls(gone->server);
    for (unsigned i = 0; i < gone->count; i++)
        pthread_join(gone->pollers[i].thread, NULL);
    grpc_server_destroy(gone->server);
    for (unsigned i = 0; i < gone->count; i++)
        grpc_completion_queue_destroy(gone->pollers[i].queue);
    free(gone);
    grpc_shutdown();
}
