/* The pool: a queue of calls and the workers that run them.
 *
 * A monitor: one mutex, short critical sections, no I/O and no callback under it. Every function
 * may be called from any thread unless it says otherwise. Effects of a change (frames, process
 * starts, answers) are carried out by the thread that made it, after the lock is released.
 *
 * From the top floor down; each knows only those below it:
 *
 *   pool.c       what callers and operators ask; report.c and stream.c: what the runtime tells
 *   leave.c      the end of it; view.c: looking in
 *   turn.c       what is seen to on the way out of the monitor
 *   scheduler.c  which call goes to which worker, and when
 *   staff.c      who comes, and who has to go; death.c: those that are gone
 *   demand.c     how many are wanted; renewal.c: who is to be replaced; backoff.c: but not too fast
 *   recall.c     calls that were sent ahead and come back
 *   due.c        calls whose time is up; grace.c: calls that are given up while a worker has them
 *   removal.c    workers that are dismissed, killed or lost
 *   ending.c     how a call ends; waiting.c: where it is until a worker has it
 *   nested.c     what calls wait for that they asked for; deadlock.c: whether that is in a circle
 *   forecast.c   how long calls will take, and wait; limits.c: how long they may
 *   affinity.c   which workers a call may go to; slots.c: which ones can be given a call now
 *   census.c     how many workers there are of some kind
 *   inside.c     what there is under the lock, and the way in and out
 *   effects.c    what is done after it
 *   worker.h queue.h breaker.h poison.h options.h state.h: what it consists of
 *   call.h session.h variables.h tool.h: what it deals with; runtime.h observer.h: its ports
 */
#ifndef SNAKEPIT_POOL_POOL_H
#define SNAKEPIT_POOL_POOL_H

#include "pool/call.h"
#include "pool/leave.h"
#include "pool/observer.h"
#include "pool/options.h"
#include "pool/report.h"
#include "pool/runtime.h"
#include "pool/session.h"
#include "pool/stream.h"
#include "pool/tool.h"
#include "pool/view.h"

#include <stdbool.h>
#include <stdint.h>

struct pool;

/* Borrows all but the options. Its tools come behind those of pools of `registry` made before.
 * `observer` is copied. No process is started yet. */
struct pool *pool_new(const struct pool_options *options, struct registry *registry,
                      struct runtime *runtime, struct observer observer)
    __attribute__((returns_nonnull));

/* Frees a pool that has no calls and no processes. Clears the pointer, accepts NULL inside. */
void pool_free(struct pool **pool);

const char *pool_name(const struct pool *pool);

/* Asks for the first processes. */
void pool_start(struct pool *pool);

/* --- for callers --- */

/* Takes a reference to the call until it is posted to call->home. Does not send: pool_flush() does.
 */
void pool_submit(struct pool *pool, struct call *call);

/* Sends what was submitted. To be called at the end of a turn of work. */
void pool_flush(struct pool *pool);

/* For whoever opens the call's mail, before anybody is told: an answer that has come this far only
 * after the deadline, because the thread of `home` was late, is none. Any thread. */
void pool_deliver(struct pool *pool, struct call *call);

/* Nobody waits for the call any more: if it has not ended it ends now, CANCELLED. The worker is
 * told. */
void pool_cancel(struct pool *pool, struct call *call);

/* The same for the live call with that request id. False: there is none. */
bool pool_cancel_request(struct pool *pool, struct bytes request_id);

/* Tells the workers that have had calls of this session, which nobody uses any more, to forget it;
 * not if one of its id is there `again`. Does not send: pool_flush() does. */
void pool_end_session(struct pool *pool, struct session *session, bool again);

/* --- for the runtime --- */

/* Does what is due. Returns when it wants to be called next (UINT64_MAX: not at all);
 * runtime->alarm may ask for an earlier moment. One thread at a time. */
uint64_t pool_tick(struct pool *pool);

/* --- for operators --- */

/* Changes how many workers there may be. NULL, or why not (static) and nothing changed. */
const char *pool_resize(struct pool *pool, unsigned min_workers, unsigned max_workers,
                        unsigned spare) __attribute__((warn_unused_result));

/* Replaces one worker, without losing a call: its replacement is ready before it takes no more.
 * False: there is no such worker. */
bool pool_recycle(struct pool *pool, struct bytes worker_id);

/* Replaces all workers there are now, a few at a time. */
void pool_reload(struct pool *pool);

/* Forgets poisonous requests: the one with that fingerprint, or all when it is 0. Returns how many.
 */
unsigned pool_forgive(struct pool *pool, uint64_t fingerprint);

#endif
