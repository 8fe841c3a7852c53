/* snakepit: the program. Wires the rooms together, and takes them apart again in order.
 *
 * The rooms of this folder, from the top down; none knows one above it:
 *
 *   config/      options.c: command line and environment; config*.c: the file, what may be set
 *   resources/   routes.c: the route table; handlers, one file per resource: execute.c, stream.c,
 *                sessions.c, variables*.c, tools.c (registration.c: those of callers), calls.c
 *                (tool_results.c: answers to question.c), pools.c, workers.c, probes.c,
 *                scrape.c (/metrics), description.c (/openapi.json, /docs)
 *   tool_calls/  what Python asks for while it runs a call: tool_calls.c finds and runs it,
 *                tool_request.c is one of these, switchboard.c the way back; question.c asks the
 *                caller of a stream
 *   calls/       the life of a call: envelope.c reads it, invocation.c runs it, outcome.c answers;
 *                job.c: one that others look at, event_log.c: what it says, ledger.c: all jobs;
 *                deferral.c answers later, or again; idempotency.c and lookup.c find the one meant
 *   tools/       tools that callers bring: offer.c reads them, toolbox.c has them, callout.c is to
 *                their calls what a pool is to others, callbacks.c has them run
 *   requests/    what handlers share: gateway.c, what they know of the rest; members.c, listing.c:
 *                bodies and queries; origin.c, patience.c: headers; membership.c: the session
 *   telemetry/   events and spans that tools tell of; trace.c: whose work it is
 *   outbound/    HTTP that the gateway sends: courier.c, by libcurl in curl_loop.c
 *   http/        HTTP that it serves, a request's way: listener.c (sniff.c), http1*.c or http2*.c,
 *                exchange_request.c, router.c, handler, exchange.c; problem.c: answers that say no;
 *                reactor.c: the thread, of which listener and protocols are tenants
 *
 *   ../bridge    Python processes, and the gRPC streams to them
 *   ../pool      queue, scheduler, workers' seats: knows neither HTTP nor gRPC
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/bridge.h"
#include "bridge/run.h"
#include "bridge/rundir.h"
#include "bridge/strays.h"
#include "server/calls/ledger.h"
#include "server/config/options.h"
#include "server/http/listener.h"
#include "server/requests/gateway.h"
#include "server/resources/routes.h"
#include "server/resources/stream.h"
#include "server/telemetry/telemetry.h"
#include "server/tool_calls/switchboard.h"
#include "server/tool_calls/tool_calls.h"
#include "server/tools/callbacks.h"
#include "server/tools/toolbox.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Milliseconds: for the last answers to be written; between two looks at what still runs. */
enum { LAST_ANSWERS_MS = 1000, DRAIN_STEP_MS = 20 };

/* For the processes of workers to be gone after their grace. */
enum { WORKERS_GONE_US = 1000000 };

/* The same trouble of a pool is an error in the log once in that time. */
enum { COMPLAINT_US = 60000000 };

/* Descriptors beside those of clients' connections: workers', pipes, files. */
enum { SPARE_FILES = 4096 };

enum plant_state {
    PLANT_COMING,  /* neither of the others has happened yet */
    PLANT_STARTED, /* its first workers are ready, or have been */
    PLANT_FAILED,  /* it could not start a single one until now */
};

/* A pool with what belongs to it. */
struct plant {
    struct program *program;
    const struct pool_config *config;
    struct pool *pool;
    struct bridge *bridge;
    char address[RUNDIR_ADDRESS_MAX];
    _Atomic enum plant_state state;
    _Atomic uint64_t complained_us; /* 0: never */
};

struct program {
    struct config config;
    struct gateway gateway;
    struct plant plants[GATEWAY_MAX_POOLS];
    struct run run;
    struct rundir *rundir;
    struct warden *warden;
    struct supervisor *supervisor;
    const char *pythons[4];
    char package_path[512];
    int listen_fds[GATEWAY_MAX_REACTORS];
    uint16_t port;
    struct router *router;
    int signals;      /* a signalfd */
    int news;         /* an eventfd: a plant's state has changed */
    uint64_t gone_us; /* when no worker may be left */
    _Atomic unsigned connections;
};
_Static_assert((int)CONFIG_POOLS_MAX <= (int)GATEWAY_MAX_POOLS &&
                   (int)CONFIG_POOLS_MAX <= (int)RUNDIR_SOCKETS &&
                   (int)CONFIG_POOLS_MAX <= (int)REGISTRY_MAX_POOLS,
               "each pool needs a place, a socket and a rank");

/* --- what the pool reports --- */

static void enter_state(struct plant *plant, enum plant_state state)
{
    uint64_t news = 1;
    enum plant_state before = atomic_load(&plant->state);
    while (before != PLANT_STARTED && before != state) {
        if (!atomic_compare_exchange_weak(&plant->state, &before, state))
            continue;
        if (write(plant->program->news, &news, sizeof news) != sizeof news)
            abort();
        return;
    }
}

static void on_worker_ready(void *context, const char *id, int pid, uint64_t start_us)
{
    struct plant *plant = context;
    log_event(LOG_INFO, "worker ready", LOG_STR("worker", id), LOG_INT("pid", pid),
              LOG_INT("start_us", start_us), LOG_END);
    atomic_store(&plant->complained_us, 0);
    if (atomic_load(&plant->state) == PLANT_FAILED)
        enter_state(plant, PLANT_STARTED);
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

static void on_pool_started(void *context, struct pool *pool)
{
    (void)pool;
    enter_state(context, PLANT_STARTED);
}

/* The bridge goes on trying, and fails again each time. */
static void on_pool_failed(void *context, struct pool *pool, const char *reason)
{
    struct plant *plant = context;
    uint64_t now_us = clock_now_us(), before_us = atomic_load(&plant->complained_us);
    bool again = before_us && now_us - before_us < COMPLAINT_US;
    if (!again)
        atomic_store(&plant->complained_us, now_us);
    log_event(again ? LOG_DEBUG : LOG_ERROR, "pool cannot start workers",
              LOG_STR("pool", pool_name(pool)), LOG_STR("reason", reason), LOG_END);
    enter_state(plant, PLANT_FAILED);
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

/* Started without standard streams, the next descriptors we open would pass for them. */
static bool open_standard_streams(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Gives the table of descriptors the size that all connections need. The kernel enlarges it by
 * doubling, and once a process has threads it waits for every processor then (synchronize_rcu):
 * with busy workers that stopped a reactor for seconds. */
static void widen_file_table(unsigned connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && wanted >= limit.rlim_cur)
        wanted = limit.rlim_cur - 1;
    int highest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (int)wanted);
    if (highest >= 0)
        close(highest);
}

/* Blocked in every thread: main reads them from a descriptor, the supervisor unblocks SIGCHLD for
 * itself. */
static int block_signals(void)
{
    sigset_t blocked, wanted;
    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    blocked = wanted;
    sigaddset(&blocked, SIGCHLD);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void name_address(const struct program *program, unsigned port, char *out_name, size_t size)
{
    bool colons = strchr(program->config.listen.host, ':') != NULL;
    snprintf(out_name, size, "%s%s%s:%u", colons ? "[" : "", program->config.listen.host,
             colons ? "]" : "", port);
}

static bool open_port(struct program *program)
{
    char error[256], address[300];
    if (listener_open(program->config.listen.host, program->config.listen.port,
                      program->gateway.reactor_count, program->listen_fds, &program->port, error,
                      sizeof error))
        return true;
    name_address(program, program->config.listen.port, address, sizeof address);
    log_event(LOG_ERROR, "cannot listen", LOG_STR("listen", address), LOG_STR("reason", error),
              LOG_END);
    return false;
}

/* Numeric libraries start as many threads as there are processors, in every worker. One call at a
 * time, on as many workers as there are processors, needs one; of other profiles' workers each gets
 * its share. */
static unsigned threads_of(const struct pool_config *config)
{
    long share = sysconf(_SC_NPROCESSORS_ONLN) / (long)config->options.max_workers;
    return config->profile == PROFILE_PROCESS || share < 1 ? 1 : (unsigned)share;
}

static void make_plant(struct program *program, unsigned index)
{
    struct gateway *gateway = &program->gateway;
    struct plant *plant = &program->plants[index];
    const struct pool_config *config = &program->config.pools[index];
    unsigned threads = gateway->reactor_count / program->config.pool_count;
    rundir_address(program->rundir, index, plant->address);
    struct bridge_options options = {
        .interpreter = {.pythons = program->config.python ? program->pythons : program->pythons + 1,
                        .package_path = program->package_path,
                        .adapter = config->adapter,
                        .preload = config->preload,
                        .load_timeout_us = config->start_timeout_us,
                        .snakebridge_allow = config->snakebridge_allow,
                        .pool = config->name,
                        .run = &program->run,
                        .threads = threads_of(config),
                        .env = sdk_limits_environment(&program->config.sdk, config->env,
                                                      program->config.arena),
                        .limits = config->limit_list,
                        .limit_count = config->limit_count,
                        .no_new_privs = config->no_new_privs},
        .port = tool_calls_port(gateway->switchboard),
        .sessions = gateway->sessions,
        .address = plant->address,
        .threads = threads ? threads : 1,
        .profile = config->profile,
        .slots = config->slots,
        .refork = config->options.refork_after > 0,
        .start_timeout_us = config->start_timeout_us,
        .heartbeat_interval_us = config->heartbeat_us,
        .stall_after_us = config->stall_after_us,
        .kill_stalled_after_us = config->kill_stalled_us,
        .output_lines = config->output_lines,
        .memory_limited = config->options.worker_max_resident > 0,
    };
    plant->program = program;
    plant->config = config;
    plant->bridge = bridge_new(&options, program->supervisor, gateway->registry);
    plant->pool = pool_new(&config->options, gateway->registry, bridge_runtime(plant->bridge),
                           (struct observer){.ops = &observer_ops, .context = plant});
    gateway->bridges[gateway->pool_count] = plant->bridge;
    gateway->pools[gateway->pool_count++] = plant->pool;
    session_store_add(gateway->sessions, plant->pool, pool_end_session);
    bridge_serve(plant->bridge, plant->pool);
}

/* The gateway's list is complete before the first one starts. */
static void start_workers(struct program *program)
{
    program->supervisor = supervisor_start(program->warden);
    program->gateway.registry = registry_new(program->config.tool_changes);
    program->gateway.callback_options = &program->config.callbacks;
    program->gateway.telemetry = telemetry_new(program->config.telemetry_names);
    program->gateway.toolbox = toolbox_new(program->config.callbacks.limit);
    program->gateway.callbacks = callbacks_start(&program->config.callbacks);
    program->gateway.switchboard = switchboard_new(&program->gateway, &program->config.tool_calls);
    program->gateway.sessions = session_store_new(&program->config.sessions);
    for (unsigned i = 0; i < program->config.pool_count; i++)
        make_plant(program, i);
    for (unsigned i = 0; i < program->gateway.pool_count; i++) {
        if (bridge_listen(program->plants[i].bridge))
            pool_start(program->plants[i].pool);
        else
            pool_fail(program->plants[i].pool, "no socket for workers can be opened");
    }
}

static void start_reactors(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    struct reactor_hooks hooks = route_hooks;
    program->router = router_new(routes, route_count);
    hooks.context = gateway;
    gateway->ledger = ledger_new(&program->config.calls);
    gateway->streams = &program->config.streams;
    gateway->metadata = &program->config.metadata;
    gateway->depth_limit = program->config.tool_calls.depth;
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        list_init(&gateway->open_streams[i]), list_init(&gateway->deferrals[i]);
    for (unsigned i = 0; i < gateway->reactor_count; i++) {
        gateway->reactors[i] =
            reactor_new(&program->config.http, program->router, &hooks, &program->connections);
        listener_start(gateway->reactors[i], program->listen_fds[i]);
    }
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        reactor_start(gateway->reactors[i]);
}

/* --- running --- */

static unsigned count_plants(const struct program *program, enum plant_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < program->gateway.pool_count; i++)
        count += atomic_load(&program->plants[i].state) == state;
    return count;
}

static void announce(const struct program *program)
{
    char listen[300];
    unsigned workers = 0;
    for (unsigned i = 0; i < program->gateway.pool_count; i++) {
        const struct plant *plant = &program->plants[i];
        if (atomic_load(&plant->state) == PLANT_STARTED)
            workers += plant->config->options.min_workers;
    }
    name_address(program, program->port, listen, sizeof listen);
    log_event(LOG_INFO, "ready", LOG_STR("listen", listen), LOG_INT("workers", workers),
              LOG_INT("pools", count_plants(program, PLANT_STARTED)),
              LOG_INT("pools_failed", count_plants(program, PLANT_FAILED)),
              LOG_STR("adapter", program->config.pools[0].adapter),
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

/* Until told to leave, or until the first start of every pool has failed. Returns the exit code. */
static int run(const struct program *program)
{
    bool announced = false;
    for (;;) {
        struct pollfd waits[] = {{.fd = program->signals, .events = POLLIN},
                                 {.fd = program->news, .events = POLLIN}};
        uint64_t news = 0;
        poll(waits, 2, -1);
        if (told_to_leave(program, 0))
            return EXIT_SUCCESS;
        if (read(program->news, &news, sizeof news) != sizeof news || announced ||
            count_plants(program, PLANT_COMING) > 0)
            continue;
        if (count_plants(program, PLANT_STARTED) == 0)
            return EXIT_FAILURE;
        announce(program);
        announced = true;
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
    return callbacks_running(gateway->callbacks) == 0;
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
    uint64_t until_us = clock_now_us() + program->config.drain_timeout_us;
    while (!is_idle(gateway) && clock_now_us() < until_us) {
        if (told_to_leave(program, DRAIN_STEP_MS))
            break;
    }
}

/* Each worker gets its pool's grace; all leave at the same time. */
static void stop_workers(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    uint64_t grace_us = 0;
    for (unsigned i = 0; i < gateway->pool_count; i++) {
        const struct pool_options *options = &program->config.pools[i].options;
        pool_stop(gateway->pools[i], options->stop_grace_us);
        if (options->stop_grace_us > grace_us)
            grace_us = options->stop_grace_us;
    }
    program->gone_us = clock_now_us() + grace_us + WORKERS_GONE_US;
}

static void close_bridges(struct program *program)
{
    for (unsigned i = 0; i < program->gateway.pool_count; i++) {
        uint64_t now_us = clock_now_us();
        bridge_wait(program->plants[i].bridge,
                    program->gone_us > now_us ? program->gone_us - now_us : 0);
    }
    for (unsigned i = 0; i < program->gateway.pool_count; i++)
        bridge_close(program->plants[i].bridge);
    supervisor_stop(&program->supervisor);
    for (unsigned i = 0; i < program->gateway.pool_count; i++)
        bridge_free(&program->plants[i].bridge);
}

static void stop(struct program *program)
{
    struct gateway *gateway = &program->gateway;
    stop_workers(program);
    callbacks_cancel_all(gateway->callbacks);
    for (unsigned i = 0; i < gateway->reactor_count && gateway->reactors[i]; i++)
        reactor_stop(gateway->reactors[i], LAST_ANSWERS_MS);
    for (unsigned i = 0; i < gateway->reactor_count && gateway->reactors[i]; i++)
        reactor_join(gateway->reactors[i]);
    session_store_stop(gateway->sessions);
    callbacks_stop(&gateway->callbacks);
    close_bridges(program);
    for (unsigned i = 0; i < gateway->reactor_count; i++)
        reactor_free(&gateway->reactors[i]);
    for (unsigned i = 0; i < gateway->pool_count; i++)
        pool_free(&gateway->pools[i]);
    ledger_free(&gateway->ledger);
    session_store_free(&gateway->sessions);
    toolbox_free(&gateway->toolbox);
    telemetry_free(&gateway->telemetry);
    switchboard_free(&gateway->switchboard);
    registry_free(&gateway->registry);
    router_free(&program->router);
}

static int serve(struct program *program)
{
    int code = EXIT_FAILURE;
    program->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (open_port(program)) {
        start_workers(program);
        start_reactors(program);
        code = run(program);
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
    log_set_level(program->config.log_level);
    log_never_block();
    program->gateway.reactor_count = reactor_count();
    program->pythons[0] = program->config.python;
    program->pythons[1] = "/usr/bin/python3";
    program->pythons[2] = "python3";
    find_package(program->package_path, sizeof program->package_path);
    raise_file_limit();
    widen_file_table(program->config.http.connection_limit);
    run_init(&program->run, program->config.instance);
    run_sweep(&program->run);
    program->rundir = rundir_new();
    if (!program->rundir)
        return false;
    program->warden = warden_start(&program->run, program->rundir); /* first, or it could be left */
    return program->warden && rundir_make(program->rundir);
}

int main(int count, char **arguments)
{
    if (!open_standard_streams())
        return EXIT_FAILURE;
    struct program *program = MEM_NEW(struct program);
    int code = EXIT_SUCCESS;
    program->signals = block_signals(); /* first: whoever is told to stop while it starts, stops */
    program->gateway.started_us = clock_now_us();
    switch (options_read(count, arguments, &program->config)) {
    case OPTIONS_SERVE:
        code = prepare(program) ? serve(program) : EXIT_FAILURE;
        rundir_remove(program->rundir);
        warden_stop(&program->warden);
        strays_kill(NULL, NULL);
        break;
    case OPTIONS_DONE:
        break;
    case OPTIONS_WRONG:
        code = 2;
    }
    config_deinit(&program->config);
    free(program);
    return code;
}
