#include "gateway.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGS = 32, MAX_NOTED = 32, MAX_PROCESSES = 4096, READY_SECONDS = 60 };

struct gateway {
    pid_t pid; /* 0 once it has been waited for */
    int port;
    int status;
    char folder[64];
    size_t noted_count;
    char noted[MAX_NOTED][512]; /* paths that must be gone after the end */
};

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sleep_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    if (!file)
        return strdup("");
    FILE *out = open_memstream(&text, &size);
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof(block), file)) > 0)
        fwrite(block, 1, got, out);
    fclose(out);
    fclose(file);
    return text;
}

static const char *binary_path(void)
{
    const char *binary = getenv("SNAKEPIT_BIN");
    return binary ? binary : "build/snakepit";
}

static void redirect(const char *folder, const char *name, int fd)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(126);
    close(file);
}

/* In the child, before exec. */
static _Noreturn void become_gateway(const struct gateway *gateway, pid_t parent, char *const *argv,
                                     const char *const *env)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    redirect(gateway->folder, "stdout", STDOUT_FILENO);
    redirect(gateway->folder, "stderr", STDERR_FILENO);
    const char *inherited = getenv("PYTHONPATH");
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s%s%s", TEST_ADAPTERS, inherited ? ":" : "",
             inherited ? inherited : "");
    setenv("PYTHONPATH", path, 1);
    setenv("XDG_RUNTIME_DIR", gateway->folder, 1);
    setenv("TMPDIR", gateway->folder, 1);
    for (; env && *env; env++)
        putenv((char *)(uintptr_t)*env);
    execv(argv[0], argv);
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

struct gateway *gateway_launch(const char *const *args, const char *const *env)
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));
    ck_assert_ptr_nonnull(gateway);
    snprintf(gateway->folder, sizeof(gateway->folder), "/tmp/gwtest-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(gateway->folder));

    char *argv[MAX_ARGS + 2] = {(char *)(uintptr_t)binary_path()};
    for (size_t i = 0; args && args[i]; i++) {
        ck_assert_uint_lt(i, MAX_ARGS);
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    /* Orphans of the gateway become our children, so that none can hide. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t parent = getpid();
    int running[2];
    char byte;
    ck_assert_int_eq(pipe2(running, O_CLOEXEC), 0);
    gateway->pid = fork();
    ck_assert_int_ge(gateway->pid, 0);
    if (gateway->pid == 0)
        become_gateway(gateway, parent, argv, env);
    /* Until exec it has check's handlers, which would end the test at a signal. */
    close(running[1]);
    ck_assert_int_eq(read(running[0], &byte, 1), 0);
    close(running[0]);
    return gateway;
}

/* What of the log goes into a message, of which check takes no long ones: a sanitizer's report if
 * there is one, else the end. */
static const char *log_tail(const struct gateway *gateway)
{
    enum { MOST = 3000, TAIL = 3000 };
    static char *log;
    free(log);
    log = gateway_log(gateway);
    size_t size = strlen(log);
    char *report = strstr(log, "Sanitizer: ");
    if (report && strlen(report) > MOST)
        report[MOST] = '\0';
    return report ? report : size > TAIL ? log + size - TAIL : log;
}

struct gateway *gateway_start(const char *const *args, const char *const *env)
{
    const char *all[MAX_ARGS + 1] = {"serve", "--listen", "127.0.0.1:0"};
    for (size_t i = 0; args && args[i]; i++) {
        ck_assert_uint_lt(i + 3, MAX_ARGS);
        all[i + 3] = args[i];
    }
    struct gateway *gateway = gateway_launch(all, env);
    if (!gateway_wait_ready(gateway, READY_SECONDS))
        ck_abort_msg("the gateway did not get ready; its log:\n%s", log_tail(gateway));
    return gateway;
}

/* The port of the ready line, or 0 when there is none yet. */
static int ready_port(const struct gateway *gateway)
{
    int port = 0;
    char *log = gateway_log(gateway);
    char *rest = log;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
        json_t *entry = json_loads(line, 0, NULL);
        const char *event = json_string_value(json_object_get(entry, "event"));
        const char *listen = json_string_value(json_object_get(entry, "listen"));
        if (event && listen && strcmp(event, "ready") == 0 && strrchr(listen, ':'))
            port = atoi(strrchr(listen, ':') + 1);
        json_decref(entry);
    }
    free(log);
    return port;
}

static bool has_ended(struct gateway *gateway)
{
    if (gateway->pid && waitpid(gateway->pid, &gateway->status, WNOHANG) == gateway->pid)
        gateway->pid = 0;
    return gateway->pid == 0;
}

bool gateway_wait_ready(struct gateway *gateway, double seconds)
{
    for (double end = now_seconds() + seconds; now_seconds() < end; sleep_ms(5)) {
        gateway->port = ready_port(gateway);
        if (gateway->port)
            return true;
        if (has_ended(gateway))
            return false;
    }
    return false;
}

int gateway_port(const struct gateway *gateway)
{
    return gateway->port;
}

pid_t gateway_pid(const struct gateway *gateway)
{
    return gateway->pid;
}

const char *gateway_folder(const struct gateway *gateway)
{
    return gateway->folder;
}

static char *read_file_of(const struct gateway *gateway, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", gateway->folder, name);
    return read_whole(path);
}

char *gateway_log(const struct gateway *gateway)
{
    return read_file_of(gateway, "stderr");
}

char *gateway_output(const struct gateway *gateway)
{
    return read_file_of(gateway, "stdout");
}

struct process {
    pid_t pid;
    pid_t parent;
    char state;
};

static size_t list_processes(struct process *out, size_t max)
{
    size_t count = 0;
    DIR *proc = opendir("/proc");
    ck_assert_ptr_nonnull(proc);
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && count < max;) {
        char path[300];
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        char *stat = read_whole(path);
        char *after_name = strrchr(stat, ')');
        struct process process = {.pid = atoi(entry->d_name)};
        if (after_name && sscanf(after_name, ") %c %d", &process.state, &process.parent) == 2)
            out[count++] = process;
        free(stat);
    }
    closedir(proc);
    return count;
}

static bool descends(const struct process *all, size_t count, pid_t pid, pid_t a, pid_t b)
{
    for (size_t depth = 0; depth < 64 && pid > 1; depth++) {
        pid_t parent = 0;
        for (size_t i = 0; i < count; i++) {
            if (all[i].pid == pid)
                parent = all[i].parent;
        }
        if (parent && (parent == a || parent == b))
            return true;
        pid = parent;
    }
    return false;
}

size_t gateway_processes(const struct gateway *gateway, pid_t *out_pids, size_t max)
{
    static struct process all[MAX_PROCESSES];
    size_t count = list_processes(all, MAX_PROCESSES);
    size_t found = 0;
    pid_t self = getpid();
    for (size_t i = 0; i < count; i++) {
        if (all[i].pid == self || all[i].pid == gateway->pid)
            continue;
        if (all[i].state == 'Z') {
            if (all[i].parent == self)
                waitpid(all[i].pid, NULL, WNOHANG);
            continue;
        }
        if (!descends(all, count, all[i].pid, self, gateway->pid))
            continue;
        if (found < max)
            out_pids[found] = all[i].pid;
        found++;
    }
    return found;
}

double gateway_expect_no_process(const struct gateway *gateway, double seconds)
{
    double start = now_seconds();
    pid_t pids[8];
    size_t count;
    while ((count = gateway_processes(gateway, pids, 8)) > 0) {
        if (now_seconds() - start > seconds) {
            char path[64];
            snprintf(path, sizeof(path), "/proc/%d/cmdline", pids[0]);
            char *command = read_whole(path);
            ck_abort_msg("%zu processes are left after %.1f s, among them %d (%s)", count, seconds,
                         pids[0], command);
        }
        sleep_ms(5);
    }
    return now_seconds() - start;
}

static void note(struct gateway *gateway, const char *path)
{
    if (gateway->noted_count < MAX_NOTED)
        snprintf(gateway->noted[gateway->noted_count++], sizeof(gateway->noted[0]), "%s", path);
}

/* Everything named snakepit… in a folder. */
static void note_folder(struct gateway *gateway, const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, "snakepit", 8) == 0)
            note(gateway, path);
    }
    if (dir)
        closedir(dir);
}

/* Unix sockets with a path that the gateway holds open, by way of the inode. */
static void note_sockets(struct gateway *gateway)
{
    char folder[64];
    snprintf(folder, sizeof(folder), "/proc/%d/fd", gateway->pid);
    char *table = read_whole("/proc/net/unix");
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        char path[384], target[64] = "", inode[64], entry_start[80];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (readlink(path, target, sizeof(target) - 1) < 0 ||
            sscanf(target, "socket:[%63[0-9]", inode) != 1)
            continue;
        snprintf(entry_start, sizeof(entry_start), " %s /", inode);
        char *line = strstr(table, entry_start);
        char name[256];
        if (line && sscanf(strchr(line, '/'), "%255[^\n]", name) == 1)
            note(gateway, name);
    }
    if (dir)
        closedir(dir);
    free(table);
}

void gateway_note_files(struct gateway *gateway)
{
    gateway->noted_count = 0;
    note_sockets(gateway);
    note_folder(gateway, gateway->folder);
}

void gateway_expect_no_files(const struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->noted_count; i++)
        ck_assert_msg(access(gateway->noted[i], F_OK) != 0, "%s is left behind", gateway->noted[i]);
}

void gateway_signal(const struct gateway *gateway, int signal)
{
    ck_assert_int_gt(gateway->pid, 0);
    ck_assert_int_eq(kill(gateway->pid, signal), 0);
}

bool gateway_minds_signals(const struct gateway *gateway)
{
    char path[64];
    unsigned long long blocked = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", gateway->pid);
    char *status = read_whole(path);
    char *line = strstr(status, "SigBlk:");
    if (line)
        blocked = strtoull(line + strlen("SigBlk:"), NULL, 16);
    free(status);
    return blocked >> (SIGTERM - 1) & 1;
}

int gateway_wait(struct gateway *gateway, double seconds)
{
    double end = now_seconds() + seconds;
    while (!has_ended(gateway)) {
        if (now_seconds() > end)
            ck_abort_msg("the gateway still runs after %.1f s; its log:\n%s", seconds,
                         log_tail(gateway));
        sleep_ms(5);
    }
    return gateway->status;
}

void gateway_stop(struct gateway **gateway)
{
    if (!*gateway)
        return;
    gateway_note_files(*gateway);
    gateway_signal(*gateway, SIGTERM);
    int status = gateway_wait(*gateway, 60);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x; its log:\n%s",
                  status, log_tail(*gateway));
    gateway_expect_no_process(*gateway, 60);
    gateway_expect_no_files(*gateway);
    gateway_free(gateway);
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        char inner[PATH_MAX];
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlink(inner) != 0)
            remove_tree(inner);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void gateway_free(struct gateway **gateway)
{
    if (!*gateway)
        return;
    if ((*gateway)->pid) {
        kill((*gateway)->pid, SIGKILL);
        waitpid((*gateway)->pid, NULL, 0);
    }
    remove_tree((*gateway)->folder);
    free(*gateway);
    *gateway = NULL;
}
