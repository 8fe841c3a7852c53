/* A gateway under test: the real binary as a child process, on a port of its own, with a private
 * folder for its log and its temporary files. The binary is $SNAKEPIT_BIN, by default
 * build/snakepit.
 *
 * Whatever fails here fails the running test. When the test process dies, the gateway is killed
 * with it. */
#ifndef SNAKEPIT_TESTS_API_GATEWAY_H
#define SNAKEPIT_TESTS_API_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct gateway;

/* Starts `snakepit` with exactly `args` and, beside the caller's environment, `env` ("NAME=value");
 * both end with NULL, and may be NULL. Modules of tests/api/adapters can be imported. Does not
 * wait. Returns owned. */
struct gateway *gateway_launch(const char *const *args, const char *const *env);

/* `snakepit serve --listen 127.0.0.1:0` and `args`, and waits until it is ready. Returns owned. */
struct gateway *gateway_start(const char *const *args, const char *const *env);

/* Waits for the ready line; the port is known from then on. False when the process ended or
 * `seconds` passed. */
bool gateway_wait_ready(struct gateway *gateway, double seconds);

int gateway_port(const struct gateway *gateway);
pid_t gateway_pid(const struct gateway *gateway);

/* A folder that only this gateway and its test use; gone with the gateway. */
const char *gateway_folder(const struct gateway *gateway);

/* What it has written to standard error, or to standard output, until now. The caller frees it. */
char *gateway_log(const struct gateway *gateway);
char *gateway_output(const struct gateway *gateway);

/* Live processes, zombies not counted, that the gateway or this test process has brought forth,
 * without the gateway itself; also those whose parents are gone. Writes at most `max` ids and
 * returns how many there are. */
size_t gateway_processes(const struct gateway *gateway, pid_t *out_pids, size_t max);

/* Waits until no such process is left. Returns the seconds it took; fails the test after `seconds`.
 */
double gateway_expect_no_process(const struct gateway *gateway, double seconds);

/* Fails the test if a Unix socket, temporary file or shared memory that the gateway had is still
 * there. Looks at those that existed at the last gateway_note_files(). */
void gateway_note_files(struct gateway *gateway);
void gateway_expect_no_files(const struct gateway *gateway);

void gateway_signal(const struct gateway *gateway, int signal);

/* Whether it is far enough in its start to deal with SIGTERM in its own way. */
bool gateway_minds_signals(const struct gateway *gateway);

/* Waits for its end and returns the wait(2) status; fails the test after `seconds`. */
int gateway_wait(struct gateway *gateway, double seconds);

/* SIGTERM, exit code 0, nothing left; then frees it. Accepts NULL inside. */
void gateway_stop(struct gateway **gateway);

/* Kills it if it still runs, and frees it. */
void gateway_free(struct gateway **gateway);

/* Seconds on the monotonic clock. */
double now_seconds(void);
void sleep_ms(unsigned ms);

#endif
