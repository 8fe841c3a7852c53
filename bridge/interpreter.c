#include "bridge/interpreter.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/control.h"
#include "bridge/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often one is told that Python still loads. */
enum { IMPATIENT_MS = 10000 };

/* For a worker's threads to end. */
enum { ADOPT_TIMEOUT_MS = 5000 };

extern char **environ;

struct interpreter {
    struct supervisor *supervisor;
    const struct interpreter_options *options;
    const struct interpreter_handler *handler;
    void *context;
    unsigned attempt; /* index into options->pythons */
    int control;      /* our end, or -1 */
    uv_poll_t poll;
    uv_timer_t patience;
    unsigned open_handles;
    bool polling;
    bool killed;
    uint64_t started_us;
    struct process process;
    bool exited;
    bool loaded;
    bool missing; /* this program lacks what we need; another may have it */
    char reason[512];
    struct worker_exit exit;
    struct errand no_program;
};

/* A new process group, no blocked or ignored signals, no input, and only the control socket to
 * inherit. */
static int spawn(const struct interpreter_options *options, const char *program, int control,
                 pid_t *out_pid)
{
    enum { CHILD_FD = 3 };
    char *arguments[] = {(char *)(size_t)program, (char *)(size_t) "-m",
                         (char *)(size_t) "snakepit_bridge",
                         options->run ? (char *)(size_t)options->run->mark : NULL, NULL};
    char **environment = environment_make(&(struct environment_source){
        .ours = (const char *const *)environ,
        .extra = options->env,
        .package_path = options->package_path,
        .control_fd = CHILD_FD,
        .mark = options->run ? options->run->mark : NULL,
        .threads = options->threads,
    });
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, control, CHILD_FD);
    posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_FD + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int fault = posix_spawnp(out_pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    environment_free(&environment);
    return fault;
}

static void try_next(struct interpreter *interpreter);

/* The process is gone and the socket is closed. */
static void conclude(struct interpreter *interpreter)
{
    if (!interpreter->loaded && interpreter->missing && !interpreter->killed) {
        interpreter->attempt++;
        try_next(interpreter);
        return;
    }
    interpreter->handler->ended(interpreter->context, interpreter,
                                interpreter->loaded ? NULL : interpreter->reason,
                                &interpreter->exit);
    free(interpreter);
}

/* Only when libuv has let go of it may the descriptor be closed. */
static void on_handle_closed(uv_handle_t *handle)
{
    struct interpreter *interpreter = handle->data;
    if (--interpreter->open_handles > 0)
        return;
    close(interpreter->control);
    interpreter->control = -1;
    if (interpreter->exited)
        conclude(interpreter);
}

static void hang_up(struct interpreter *interpreter)
{
    if (!interpreter->polling)
        return;
    interpreter->polling = false;
    uv_close((uv_handle_t *)&interpreter->poll, on_handle_closed);
    uv_close((uv_handle_t *)&interpreter->patience, on_handle_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_exit_seen(struct process *process, const struct worker_exit *exit)
{
    struct interpreter *interpreter = CONTAINER_OF(process, struct interpreter, process);
    if (interpreter->polling)
        on_readable(&interpreter->poll, 0, UV_READABLE); /* what it said last */
    interpreter->exit = *exit;
    interpreter->exited = true;
    if (!interpreter->loaded && !interpreter->reason[0])
        snprintf(interpreter->reason, sizeof interpreter->reason,
                 "%s ended before it was ready (%s %d)",
                 interpreter->options->pythons[interpreter->attempt], exit->cause,
                 exit->signal ? exit->signal : exit->code);
    if (interpreter->control < 0)
        conclude(interpreter);
    else
        hang_up(interpreter);
}

static const char *text(const json_t *packet, const char *name)
{
    const char *value = json_string_value(json_object_get(packet, name));
    return value ? value : "";
}

/* What a worker said before it ended, or a zygote that cannot fork. */
static void on_worker_failed(struct interpreter *interpreter, const json_t *packet)
{
    bool fork = strcmp(text(packet, "kind"), "fork") == 0;
    log_event(LOG_ERROR, fork ? "cannot fork a worker" : "a worker cannot start",
              LOG_STR("worker", text(packet, "worker")), LOG_STR("reason", text(packet, "message")),
              LOG_STR("traceback", text(packet, "traceback")), LOG_END);
    interpreter->handler->unable(interpreter->context, interpreter, text(packet, "worker"),
                                 text(packet, "message"));
    if (fork)
        interpreter_kill(interpreter);
}

static void on_failed(struct interpreter *interpreter, const json_t *packet)
{
    const char *message = text(packet, "message");
    if (interpreter->loaded) {
        on_worker_failed(interpreter, packet);
        return;
    }
    interpreter->missing = strcmp(text(packet, "kind"), "missing") == 0;
    snprintf(interpreter->reason, sizeof interpreter->reason, "%s", message);
    log_event(interpreter->missing ? LOG_WARNING : LOG_DEBUG, "python cannot be used",
              LOG_STR("python", interpreter->options->pythons[interpreter->attempt]),
              LOG_STR("reason", message), LOG_STR("traceback", text(packet, "traceback")), LOG_END);
}

static void on_packet(struct interpreter *interpreter, const json_t *packet)
{
    const char *event = text(packet, "event");
    if (strcmp(event, "loaded") == 0 && !interpreter->loaded) {
        interpreter->loaded = true;
        uv_timer_stop(&interpreter->patience);
        log_event(LOG_DEBUG, "python loaded", LOG_INT("pid", interpreter->process.pid),
                  LOG_STR("python", text(packet, "python")),
                  LOG_INT("import_ms", json_integer_value(json_object_get(packet, "import_ms"))),
                  LOG_END);
        interpreter->handler->loaded(interpreter->context, interpreter,
                                     json_is_true(json_object_get(packet, "forkable")),
                                     text(packet, "reason"));
    } else if (strcmp(event, "forked") == 0) {
        interpreter->handler->forked(interpreter->context, interpreter, text(packet, "worker"),
                                     (pid_t)json_integer_value(json_object_get(packet, "pid")));
    } else if (strcmp(event, "failed") == 0) {
        on_failed(interpreter, packet);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct interpreter *interpreter = poll->data;
    (void)status;
    (void)events;
    while (interpreter->polling) {
        bool end = false;
        json_t *packet = control_receive(interpreter->control, &end);
        if (end)
            hang_up(interpreter);
        if (!packet)
            return;
        on_packet(interpreter, packet);
        json_decref(packet);
    }
}

static void on_impatient(uv_timer_t *timer);

/* Sets the timer to the next word, or to the end of patience. */
static void wait_loading(struct interpreter *interpreter, uint64_t loading_ms)
{
    uint64_t left_ms = interpreter->options->load_timeout_us / 1000 - loading_ms;
    uv_timer_start(&interpreter->patience, on_impatient,
                   left_ms < IMPATIENT_MS ? left_ms : IMPATIENT_MS, 0);
}

/* Importing models may take minutes: said aloud now and then, and not waited for without end. */
static void on_impatient(uv_timer_t *timer)
{
    struct interpreter *interpreter = timer->data;
    uint64_t loading_ms = (clock_now_us() - interpreter->started_us) / 1000;
    uint64_t limit_ms = interpreter->options->load_timeout_us / 1000;
    if (loading_ms < limit_ms) {
        log_event(LOG_INFO, "python is still loading", LOG_INT("pid", interpreter->process.pid),
                  LOG_INT("loading_ms", loading_ms), LOG_END);
        wait_loading(interpreter, loading_ms);
        return;
    }
    snprintf(interpreter->reason, sizeof interpreter->reason,
             "python did not import %s within %llu ms (start_timeout)",
             interpreter->options->adapter, (unsigned long long)limit_ms);
    interpreter_kill(interpreter);
}

/* "a,b" as an array of strings. */
static json_t *names_of(const char *text)
{
    json_t *names = json_array();
    char *list = mem_strdup(text), *rest = list;
    for (const char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        if (*name)
            json_array_append_new(names, json_string(name));
    }
    free(list);
    return names;
}

static bool load(struct interpreter *interpreter)
{
    const struct interpreter_options *options = interpreter->options;
    return control_send(interpreter->control,
                        json_pack("{s:s, s:s, s:o, s:s, s:o}", "op", "load", "adapter",
                                  options->adapter, "preload", names_of(options->preload), "pool",
                                  options->pool, "snakebridge_allow",
                                  names_of(options->snakebridge_allow)),
                        NULL, 0);
}

static void run_no_program(struct errand *errand)
{
    struct interpreter *interpreter = CONTAINER_OF(errand, struct interpreter, no_program);
    interpreter->handler->ended(interpreter->context, interpreter, interpreter->reason,
                                &interpreter->exit);
    free(interpreter);
}

static void on_late(uv_timer_t *timer)
{
    struct interpreter *interpreter = timer->data;
    snprintf(interpreter->reason, sizeof interpreter->reason,
             "it did not let go of its threads within %d s", ADOPT_TIMEOUT_MS / 1000);
    interpreter_kill(interpreter);
}

static void listen_to(struct interpreter *interpreter)
{
    uv_loop_t *loop = supervisor_loop(interpreter->supervisor);
    uv_poll_init(loop, &interpreter->poll, interpreter->control);
    uv_timer_init(loop, &interpreter->patience);
    interpreter->poll.data = interpreter->patience.data = interpreter;
    uv_poll_start(&interpreter->poll, UV_READABLE, on_readable);
    interpreter->open_handles = 2;
    interpreter->polling = true;
    interpreter->started_us = clock_now_us();
}

static void attend(struct interpreter *interpreter, pid_t pid)
{
    interpreter->missing = interpreter->exited = false;
    listen_to(interpreter);
    wait_loading(interpreter, 0);
    bool told = load(interpreter);
    supervisor_watch(interpreter->supervisor, &interpreter->process, pid);
    supervisor_expect(interpreter->supervisor, false);
    if (!told) {
        snprintf(interpreter->reason, sizeof interpreter->reason,
                 "python cannot be told what to load: is it UTF-8?");
        interpreter_kill(interpreter);
    }
}

/* False, and why, when this program cannot be started. */
static bool try_one(struct interpreter *interpreter, const char *program)
{
    int theirs = -1;
    pid_t pid = 0;
    int fault;
    if (control_pair(&interpreter->control, &theirs)) {
        supervisor_expect(interpreter->supervisor, true);
        fault = spawn(interpreter->options, program, theirs, &pid);
        close(theirs);
        if (fault == 0) {
            attend(interpreter, pid);
            return true;
        }
        supervisor_expect(interpreter->supervisor, false);
        close(interpreter->control);
        interpreter->control = -1;
    } else {
        fault = errno;
    }
    snprintf(interpreter->reason, sizeof interpreter->reason, "cannot start %s: %s", program,
             strerror(fault));
    return false;
}

/* Starts the next program that can be started at all. */
static void try_next(struct interpreter *interpreter)
{
    for (; interpreter->options->pythons[interpreter->attempt]; interpreter->attempt++) {
        if (try_one(interpreter, interpreter->options->pythons[interpreter->attempt]))
            return;
    }
    char last[sizeof interpreter->reason];
    memcpy(last, interpreter->reason, sizeof last);
    snprintf(
        interpreter->reason, sizeof interpreter->reason,
        "no Python has grpc and protobuf: install python3-grpcio and python3-protobuf, or name an "
        "interpreter that has them with --python (%.300s)",
        last);
    interpreter->no_program.run = run_no_program;
    supervisor_send(interpreter->supervisor, &interpreter->no_program);
}

static struct interpreter *make(struct supervisor *supervisor,
                                const struct interpreter_options *options,
                                const struct interpreter_handler *handler, void *context)
{
    struct interpreter *interpreter = MEM_NEW(struct interpreter);
    interpreter->supervisor = supervisor;
    interpreter->options = options;
    interpreter->handler = handler;
    interpreter->context = context;
    interpreter->control = -1;
    interpreter->process.on_exit = on_exit_seen;
    interpreter->exit.cause = "exit";
    list_init(&interpreter->process.place);
    return interpreter;
}

struct interpreter *interpreter_start(struct supervisor *supervisor,
                                      const struct interpreter_options *options,
                                      const struct interpreter_handler *handler, void *context)
{
    struct interpreter *interpreter = make(supervisor, options, handler, context);
    try_next(interpreter);
    return interpreter;
}

struct interpreter *interpreter_adopt(struct supervisor *supervisor,
                                      const struct interpreter_options *options,
                                      const struct interpreter_handler *handler, void *context,
                                      int control, struct process *worker)
{
    struct interpreter *interpreter = make(supervisor, options, handler, context);
    interpreter->control = control;
    listen_to(interpreter);
    uv_timer_start(&interpreter->patience, on_late, ADOPT_TIMEOUT_MS, 0);
    supervisor_hand_over(supervisor, worker, &interpreter->process);
    return interpreter;
}

static json_t *pack_limits(const struct interpreter_options *options)
{
    json_t *limits = json_object();
    for (size_t i = 0; i < options->limit_count; i++)
        json_object_set_new(limits, options->limits[i].name,
                            json_integer((json_int_t)options->limits[i].value));
    return limits;
}

static bool order(struct interpreter *interpreter, const char *op,
                  const struct interpreter_task *task)
{
    static const char *const profiles[] = {
        [PROFILE_PROCESS] = "process", [PROFILE_THREAD] = "thread", [PROFILE_ASYNC] = "async"};
    const struct interpreter_options *options = interpreter->options;
    const int fds[] = {task->page_fd, task->error_fd, task->channel_fd, task->output_fd,
                       task->template_fd};
    _Static_assert(sizeof fds <= CONTROL_MAX_FDS * sizeof fds[0], "they fit one packet");
    return interpreter->polling &&
           control_send(interpreter->control,
                        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:b}", "op", op, "worker",
                                  task->worker, "token", task->token, "address", task->address,
                                  "profile", profiles[task->profile], "slots", (int)task->slots,
                                  "limits", pack_limits(options), "no_new_privs",
                                  options->no_new_privs),
                        fds, task->template_fd < 0 ? 4 : 5);
}

bool interpreter_fork(struct interpreter *interpreter, const struct interpreter_task *task)
{
    return order(interpreter, "fork", task);
}

bool interpreter_become(struct interpreter *interpreter, const struct interpreter_task *task)
{
    return order(interpreter, "become", task);
}

void interpreter_kill(struct interpreter *interpreter)
{
    interpreter->killed = true;
    supervisor_kill(&interpreter->process);
}

pid_t interpreter_pid(const struct interpreter *interpreter)
{
    return interpreter->process.pid;
}
