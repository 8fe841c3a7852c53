/* snakepit: the program. Wires the rooms together, and takes them apart again in order.
 *
 *   options.c      command line and environment
 *   gateway.c      route table; what handlers know of the rest
 *   reactor.c      a thread: loop, listener.c (accept, sniff.c), http1*.c, http2*.c
 *   exchange.c     a request and its answer, for both protocols; router.c, problem.c
 *   execute.c      POST /execute: envelope.c reads it, invocation.c runs it, outcome.c answers
 *   tools.c state.c probes.c scrape.c description.c   the other resources
 *   ../pool        queue, scheduler, workers' seats: knows neither HTTP nor gRPC
 *   ../bridge      Python processes, and the gRPC streams to them
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/bridge.h"
#include "bridge/rundir.h"
#include "server/gateway.h"
#include "server/listener.h"
#include "server/options.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Milliseconds: for running calls to finish after SIGTERM; for a worker to leave; for the last
 * answers to be written. */
enum { DRAIN_MS = 25000, WORKER_GRACE_MS = 2000, LAST_ANSWERS_MS = 1000, DRAIN_STEP_MS = 20 };

/* A worker has so long from its start until it has attached. */
enum { START_TIMEOUT_US = 60000000 };

enum { NEWS_STARTED = 1, NEWS_FAILED = 1 << 16 };

struct program {
    struct options options;
    struct gateway gateway;
    struct rundir rundir;
    struct warden *warden;
    struct supervisor *supervisor;
    struct bridge *bridge;
    const char *pythons[4];
    char package_path[512];
    int listen_fds[GATEWAY_MAX_REACTORS];
    uint16_t port;
    struct router *router;
    int signals; /* a signalfd */
    int news;    /* an eventfd: NEWS_… from the observer */
    char failure[512];
    _Atomic unsigned connections;
};

/* --- what the pool reports --- */

static void on_worker_ready(void *context, const char *id, int pid, uint64_t start_us)
{
    (void)context;
    log_event(LOG_INFO, "worker ready", LOG_STR("worker", id), LOG_INT("pid", pid),
              LOG_INT("start_us", start_us), LOG_END);
}

static void on_worker_gone(void *context, const char *id, int pid, const struct worker_exit *exit,
                           unsigned lost)
{
    (void)context;
    enum log_level quiet = pid ? LOG_INFO : LOG_DEBUG; /* it never came to life */
    log_event(exit->expected ? quiet : LOG_WARNING,
              exit->expected ? "worker left" : "worker crashed", LOG_STR("worker", id),
              LOG_INT("pid", pid), LOG_STR("cause", exit->cause), LOG_INT("signal", exit->signal),
              LOG_INT("exit_code", exit->code), LOG_INT("calls_lost", lost), LOG_END);
}

static void tell(const struct program *program, uint64_t news)
{
    if (write(program->news, &news, sizeof news) != sizeof news)
        abort();
}

static void on_pool_started(void *context, struct pool *pool)
{
    (void)pool;
    tell(context, NEWS_STARTED);
}

static void on_pool_failed(void *context, struct pool *pool, const char *reason)
{
    struct program *program = context;
    log_event(LOG_ERROR, "pool cannot start workers", LOG_STR("pool", pool_name(pool)),
              LOG_STR("reason", reason), LOG_END);
    tell(program, NEWS_FAILED);
}

static const struct observer_ops observer_ops = {
    .worker_ready = on_worker_ready,
    .worker_gone = on_worker_gone,
    .pool_started = on_pool_started,
    .pool_failed = on_pool_failed,
};

/* --- coming up --- */

/* Beside the program when it was built, below the prefix when it was installed. */
static void find_package(char *out_path, size_t size)
{
    char program[400] = "";
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    snprintf(out_path, size, "%s/python", program);
    char probe[600];
    snprintf(probe, sizeof probe, "%s/snakepit_bridge/__main__.py", out_path);
    if (access(probe, R_OK) != 0)
        snprintf(out_path, size, "%s/../share/snakepit/python", program);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Blocked in every thread: main reads them from a descriptor, the supervisor unblocks SIGCHLD for
 * itself. */
static int block_signals(void)
{
    sigset_t all, wanted;
    (void)signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void name_address(const struct program *program, unsigned port, char *out_name, size_t size)
{
    bool colons = strchr(program->options.host, ':') != NULL;
    snprintf(out_name, size, "%s%s%s:%u", colons ? "[" : "", program->options.host,
             colons ? "]" : "", port);
}

static bool open_port(struct program *program)
{
    char error[256], address[300];
    if (listener_open(program->options.host, program->options.port, program->gateway.reactor_count,
                      program->listen_fds, &program->port, error, sizeof error))
        return true;
    name_address(program, program->options.port, address, sizeof address);
    log_event(LOG_ERROR, "cannot listen", LOG_STR("listen", address), LOG_STR("reason", error),
              LOG_END);
    return false;
}

static bool start_workers(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    struct pool_options pool = pool_defaults();
    pool.min_workers = pool.max_workers = program->options.workers;
    struct bridge_options bridge = {
        .interpreter = {.pythons =
                            program->options.python ? program->pythons : program->pythons + 1,
                        .package_path = program->package_path,
                        .adapter = program->options.adapter,
                        .preload = program->options.preload,
                        .pool = pool.name},
        .address = program->rundir.address,
        .threads = gateway->reactor_count,
        .slots = 1,
        .start_timeout_us = START_TIMEOUT_US,
    };
    program->supervisor = supervisor_start(program->warden);
    gateway->registry = registry_new();
    program->bridge = bridge_new(&bridge, program->supervisor, gateway->registry);
    gateway->pools[0] = pool_new(&pool, gateway->registry, bridge_runtime(program->bridge),
                                 (struct observer){.ops = &observer_ops, .context = program});
    gateway->pool_count = 1;
    bridge_serve(program->bridge, gateway->pools[0]);
    if (!bridge_listen(program->bridge))
        return false;
    pool_start(gateway->pools[0]);
    return true;
}

static void start_reactors(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    struct http_options http = http_options_default();
    struct reactor_hooks hooks = gateway_hooks;
    program->router = router_new(gateway_routes, gateway_route_count);
    hooks.context = gateway;
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        gateway->reactors[i] = reactor_new(&http, program->router, &hooks, program->listen_fds[i],
                                           &program->connections);
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        reactor_start(gateway->reactors[i]);
}

/* --- running --- */

static void announce(const struct program *program)
{
    char listen[300];
    name_address(program, program->port, listen, sizeof listen);
    log_event(LOG_INFO, "ready", LOG_STR("listen", listen),
              LOG_INT("workers", program->options.workers),
              LOG_STR("adapter", program->options.adapter),
              LOG_INT("ready_ms", (clock_now_us() - program->gateway.started_us) / 1000), LOG_END);
}

/* True when a signal to leave has come; waits at most `timeout_ms`, -1 without end. */
static bool told_to_leave(const struct program *program, int timeout_ms)
{
    struct signalfd_siginfo info;
    struct pollfd wait = {.fd = program->signals, .events = POLLIN};
    poll(&wait, 1, timeout_ms);
    return read(program->signals, &info, sizeof info) == sizeof info;
}

/* Until told to leave, or until the first start has failed. Returns the exit code. */
static int run(const struct program *program)
{
    bool started = false;
    for (;;) {
        struct pollfd waits[] = {{.fd = program->signals, .events = POLLIN},
                                 {.fd = program->news, .events = POLLIN}};
        uint64_t news = 0;
        poll(waits, 2, -1);
        if (told_to_leave(program, 0))
            return EXIT_SUCCESS;
        if (read(program->news, &news, sizeof news) != sizeof news)
            continue;
        if (!started && news >= NEWS_FAILED)
            return EXIT_FAILURE;
        if (!started)
            announce(program);
        started = true;
    }
}

/* --- going down --- */

static bool is_idle(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        struct pool_view view;
        pool_look(gateway->pools[i], &view);
        if (view.queue_depth || view.inflight)
            return false;
    }
    return true;
}

/* New calls are refused and probes say so, while what runs goes on; a second signal cuts it short.
 */
static void drain(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    log_event(LOG_INFO, "draining", LOG_END);
    atomic_store(&gateway->leaving, true);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_drain(gateway->pools[i]);
    uint64_t until_us = clock_now_us() + (uint64_t)DRAIN_MS * 1000;
    while (!is_idle(gateway) && clock_now_us() < until_us) {
        if (told_to_leave(program, DRAIN_STEP_MS))
            break;
    }
}

static void stop(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_stop(gateway->pools[i], (uint64_t)WORKER_GRACE_MS * 1000);
    for (unsigned i = 0; i < gateway->reactor_count && gateway->reactors[i]; i++)
        reactor_stop(gateway->reactors[i], LAST_ANSWERS_MS);
    for (unsigned i = 0; i < gateway->reactor_count && gateway->reactors[i]; i++)
        reactor_join(gateway->reactors[i]);
    bridge_wait(program->bridge, (uint64_t)(WORKER_GRACE_MS + 1000) * 1000);
    bridge_close(program->bridge);
    supervisor_stop(&program->supervisor);
    bridge_free(&program->bridge);
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        reactor_free(&gateway->reactors[i]);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_free(&gateway->pools[i]);
    registry_free(&gateway->registry);
    router_free(&program->router);
}

static int serve(struct program *program)
{
    int code = EXIT_FAILURE;
    program->signals = block_signals();
    program->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (open_port(program)) {
        bool up = start_workers(program);
        if (up) {
            start_reactors(program);
            code = run(program);
        }
        if (code == EXIT_SUCCESS)
            drain(program);
        stop(program);
    }
    return code;
}

static unsigned reactor_count(void)
{
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    return half < 1 ? 1 : half > GATEWAY_MAX_REACTORS ? GATEWAY_MAX_REACTORS : (unsigned)half;
}

/* What has to be done before there are threads. */
static bool prepare(struct program *program)
{
    log_set_level(program->options.log_level);
    program->gateway.reactor_count = reactor_count();
    program->pythons[0] = program->options.python;
    program->pythons[1] = "/usr/bin/python3";
    program->pythons[2] = "python3";
    find_package(program->package_path, sizeof program->package_path);
    raise_file_limit();
    if (!rundir_make(&program->rundir))
        return false;
    program->warden = warden_start(&program->rundir);
    return program->warden != NULL;
}

int main(int count, char **arguments)
{
    struct options options;
    uint64_t started_us = clock_now_us();
    switch (options_read(count, arguments, &options)) {
    case OPTIONS_SERVE:
        break;
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return 2;
    }
    struct program *program = MEM_NEW(struct program);
    program->options = options;
    program->gateway.started_us = started_us;
    int code = prepare(program) ? serve(program) : EXIT_FAILURE;
    rundir_remove(&program->rundir);
    warden_stop(&program->warden);
    free(program);
    return code;
}
