/* The tables of moves: every pair of states, the legal ones and those that abort. */
#include "pool/worker.h"

#include "../base/run.h"

#include <signal.h>

enum { CALL_STATES = CALL_DONE + 1 };

static const bool call_moves[CALL_STATES][CALL_STATES] = {
    [CALL_NEW] = {[CALL_QUEUED] = true, [CALL_DONE] = true},
    [CALL_QUEUED] = {[CALL_DISPATCHED] = true, [CALL_DONE] = true},
    [CALL_DISPATCHED] =
        {[CALL_RUNNING] = true, [CALL_STREAMING] = true, [CALL_QUEUED] = true, [CALL_DONE] = true},
    [CALL_RUNNING] = {[CALL_QUEUED] = true, [CALL_DONE] = true},
    [CALL_STREAMING] = {[CALL_DONE] = true},
};

static const bool worker_moves[WORKER_STATES][WORKER_STATES] = {
    [WORKER_VACANT] = {[WORKER_STARTING] = true},
    [WORKER_STARTING] = {[WORKER_READY] = true, [WORKER_DRAINING] = true, [WORKER_VACANT] = true},
    [WORKER_READY] = {[WORKER_DRAINING] = true, [WORKER_VACANT] = true},
    [WORKER_DRAINING] = {[WORKER_VACANT] = true},
};

static struct call call;
static struct worker worker;

static void move_call(int pair)
{
    call.state = (enum call_state)(pair / CALL_STATES);
    call_move(&call, (enum call_state)(pair % CALL_STATES));
}

static void move_worker(int pair)
{
    worker.state = (enum worker_state)(pair / WORKER_STATES);
    worker_move(&worker, (enum worker_state)(pair % WORKER_STATES));
}

START_TEST(a_call_makes_the_moves_of_its_picture)
{
    for (int i = 0; i < CALL_STATES * CALL_STATES; i++) {
        if (!call_moves[i / CALL_STATES][i % CALL_STATES])
            continue;
        move_call(i);
        ck_assert_int_eq(call.state, i % CALL_STATES);
    }
}
END_TEST

START_TEST(any_other_move_of_a_call_aborts)
{
    if (call_moves[_i / CALL_STATES][_i % CALL_STATES])
        raise(SIGABRT);
    move_call(_i);
}
END_TEST

START_TEST(a_worker_makes_the_moves_of_its_picture)
{
    for (int i = 0; i < WORKER_STATES * WORKER_STATES; i++) {
        if (!worker_moves[i / WORKER_STATES][i % WORKER_STATES])
            continue;
        move_worker(i);
        ck_assert_int_eq(worker.state, i % WORKER_STATES);
    }
}
END_TEST

START_TEST(any_other_move_of_a_worker_aborts)
{
    if (worker_moves[_i / WORKER_STATES][_i % WORKER_STATES])
        raise(SIGABRT);
    move_worker(_i);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("moves");
    tcase_add_test(tests, a_call_makes_the_moves_of_its_picture);
    tcase_add_loop_test_raise_signal(tests, any_other_move_of_a_call_aborts, SIGABRT, 0,
                                     CALL_STATES * CALL_STATES);
    tcase_add_test(tests, a_worker_makes_the_moves_of_its_picture);
    tcase_add_loop_test_raise_signal(tests, any_other_move_of_a_worker_aborts, SIGABRT, 0,
                                     WORKER_STATES * WORKER_STATES);
    return run_case(tests, "moves");
}
