#include "bridge/supervisor.h"

#include "base/mem.h"
#include "bridge/memory.h"
#include "bridge/oom.h"
#include "bridge/proc.h"
#include "bridge/strays.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A forked worker may be dead before its pid has been told to us: the last so many exits of
 * strangers are kept. */
enum { STRANGERS = 64 };

/* How long a process may take to die once the kernel has chosen it, at least. */
enum { OOM_LAG_MS = 5000 };

struct supervisor {
    uv_loop_t loop;
    pthread_t thread;
    uv_async_t wake;
    uv_signal_t children;
    struct mailbox inbox;
    struct warden *warden;
    struct list processes;
    unsigned next_stranger;
    siginfo_t strangers[STRANGERS];
    struct oom oom; /* which deaths were for want of memory */
    uv_timer_t oom_clock;
    bool leaving;
};

static struct worker_exit classify(const siginfo_t *info)
{
    static const struct {
        int signal;
        const char *cause;
    } causes[] = {
        {SIGSEGV, "segfault"}, {SIGBUS, "segfault"}, {SIGABRT, "abort"}, {SIGKILL, "killed"}};
    if (info->si_code == CLD_EXITED)
        return (struct worker_exit){.code = info->si_status, .cause = "exit"};
    struct worker_exit exit = {.signal = info->si_status, .cause = "signal"};
    for (unsigned i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if (causes[i].signal == exit.signal)
            exit.cause = causes[i].cause;
    }
    return exit;
}

static uint64_t count_oom_kills(void)
{
    return memory_oom_kills("/proc/self", "/sys/fs/cgroup");
}

static void on_oom_clock(uv_timer_t *timer)
{
    struct supervisor *supervisor = timer->data;
    oom_settle(&supervisor->oom, count_oom_kills());
}

/* SIGKILL says nothing of its sender. */
static bool was_out_of_memory(struct supervisor *supervisor, const struct process *process,
                              const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED || info->si_status != SIGKILL || process->killed)
        return false;
    return oom_claim(&supervisor->oom, count_oom_kills());
}

static struct process *find(const struct supervisor *supervisor, pid_t pid)
{
    LIST_FOREACH (&supervisor->processes, node, next) {
        struct process *process = CONTAINER_OF(node, struct process, place);
        if (process->pid == pid)
            return process;
    }
    return NULL;
}

/* The loop ends once it has been told to and every process is gone. */
static void leave_if_done(struct supervisor *supervisor)
{
    if (!supervisor->leaving || !list_empty(&supervisor->processes) ||
        uv_is_closing((uv_handle_t *)&supervisor->wake))
        return;
    uv_close((uv_handle_t *)&supervisor->wake, NULL);
    uv_close((uv_handle_t *)&supervisor->oom_clock, NULL);
    uv_close((uv_handle_t *)&supervisor->children, NULL);
}

static void finish(struct supervisor *supervisor, struct process *process, const siginfo_t *info)
{
    struct worker_exit exit = classify(info);
    if (was_out_of_memory(supervisor, process, info))
        exit.cause = "oom";
    else
        exit.outside = exit.signal == SIGKILL && !process->killed;
    warden_forget(supervisor->warden, process->pid);
    list_remove(&process->place);
    process->pid = 0;
    process->on_exit(process, &exit);
}

/* Whether the session is that of somebody we watch, or our own. */
static bool is_session_of_ours(const struct supervisor *supervisor, pid_t session)
{
    if (session == getsid(0))
        return true;
    LIST_FOREACH (&supervisor->processes, node, next) {
        if (getsid(CONTAINER_OF(node, struct process, place)->pid) == session)
            return true;
    }
    return false;
}

/* A child that nobody watches. It may be a worker that was forked just now, which says who it is
 * later; or a daemon that a tool of a worker has started which lives: its environment names that
 * worker. */
static bool is_stray(const void *context, pid_t pid)
{
    const struct supervisor *supervisor = context;
    char owner[24];
    if (find(supervisor, pid) || warden_is(supervisor->warden, pid))
        return false;
    if (proc_variable(pid, STRAYS_VARIABLE "=", owner, sizeof owner))
        return !find(supervisor, (pid_t)strtol(owner, NULL, 10));
    return !is_session_of_ours(supervisor, getsid(pid));
}

/* Looks at the dead child before burying it: as long as it is a zombie, its number can belong to no
 * other group. Strangers are reaped too: as a subreaper we inherit the orphans of our workers. */
static void on_child(uv_signal_t *handle, int signum)
{
    struct supervisor *supervisor = handle->data;
    siginfo_t info = {0};
    bool buried = false;
    (void)signum;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        struct process *process = find(supervisor, info.si_pid);
        if (process)
            kill(-info.si_pid, SIGKILL);
        waitid(P_PID, (id_t)info.si_pid, &(siginfo_t){0}, WEXITED);
        if (process)
            finish(supervisor, process, &info);
        else
            supervisor->strangers[supervisor->next_stranger++ % STRANGERS] = info;
        info.si_pid = 0;
        buried = true;
    }
    if (buried)
        strays_kill(is_stray, supervisor);
    leave_if_done(supervisor);
}

/* It was reaped before we knew whose it was. */
static void finish_stranger(struct supervisor *supervisor, struct process *process)
{
    siginfo_t info = {.si_code = CLD_EXITED};
    for (unsigned i = 0; i < STRANGERS; i++) {
        if (supervisor->strangers[i].si_pid == process->pid)
            info = supervisor->strangers[i];
    }
    finish(supervisor, process, &info);
}

void supervisor_expect(struct supervisor *supervisor, bool expects)
{
    warden_expect(supervisor->warden, expects);
}

void supervisor_watch(struct supervisor *supervisor, struct process *process, pid_t pid)
{
    process->pid = pid;
    process->killed = false;
    list_push_back(&supervisor->processes, &process->place);
    warden_watch(supervisor->warden, pid);
    if (kill(pid, 0) != 0)
        finish_stranger(supervisor, process);
}

void supervisor_hand_over(struct supervisor *supervisor, struct process *from, struct process *to)
{
    to->pid = from->pid;
    to->killed = from->killed;
    from->pid = 0;
    list_remove(&from->place);
    list_push_back(&supervisor->processes, &to->place);
}

/* The group may not exist yet when the process was started just now. */
void supervisor_kill(struct process *process)
{
    if (process->pid == 0)
        return;
    process->killed = true;
    kill(-process->pid, SIGKILL);
    kill(process->pid, SIGKILL);
}

static void on_wake(uv_async_t *handle)
{
    struct supervisor *supervisor = handle->data;
    for (struct mail *mail = mailbox_drain(&supervisor->inbox); mail;) {
        struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
        mail = mail->next;
        errand->run(errand);
    }
    leave_if_done(supervisor);
}

static void wake(void *context)
{
    struct supervisor *supervisor = context;
    uv_async_send(&supervisor->wake);
}

void supervisor_send(struct supervisor *supervisor, struct errand *errand)
{
    mailbox_post(&supervisor->inbox, &errand->mail);
}

static void *run(void *context)
{
    struct supervisor *supervisor = context;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_UNBLOCK, &child, NULL);
    uv_run(&supervisor->loop, UV_RUN_DEFAULT);
    return NULL;
}

struct supervisor *supervisor_start(struct warden *warden)
{
    struct supervisor *supervisor = MEM_NEW(struct supervisor);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    supervisor->warden = warden;
    oom_init(&supervisor->oom, count_oom_kills());
    list_init(&supervisor->processes);
    mailbox_init(&supervisor->inbox, wake, supervisor);
    uv_loop_init(&supervisor->loop);
    uv_async_init(&supervisor->loop, &supervisor->wake, on_wake);
    supervisor->wake.data = supervisor;
    uv_signal_init(&supervisor->loop, &supervisor->children);
    supervisor->children.data = supervisor;
    uv_signal_start(&supervisor->children, on_child, SIGCHLD);
    uv_timer_init(&supervisor->loop, &supervisor->oom_clock);
    supervisor->oom_clock.data = supervisor;
    uv_timer_start(&supervisor->oom_clock, on_oom_clock, OOM_LAG_MS, OOM_LAG_MS);
    pthread_create(&supervisor->thread, NULL, run, supervisor);
    pthread_setname_np(supervisor->thread, "supervisor");
    return supervisor;
}

struct leaving {
    struct errand errand;
    struct supervisor *supervisor;
};

static void run_leaving(struct errand *errand)
{
    struct leaving *leaving = (struct leaving *)(void *)errand;
    leaving->supervisor->leaving = true;
    free(leaving);
}

void supervisor_stop(struct supervisor **supervisor)
{
    struct supervisor *gone = *supervisor;
    *supervisor = NULL;
    if (!gone)
        return;
    struct leaving *leaving = MEM_NEW(struct leaving);
    *leaving = (struct leaving){.errand.run = run_leaving, .supervisor = gone};
    supervisor_send(gone, &leaving->errand);
    pthread_join(gone->thread, NULL);
    uv_loop_close(&gone->loop);
    free(gone);
}

uv_loop_t *supervisor_loop(struct supervisor *supervisor)
{
    return &supervisor->loop;
}
